"""The one way of measuring: answers and truth through a scorer, in training, evaluation and export alike."""

from collections.abc import Callable, Iterable

from shared.app import Answer, Raw, Scorer
from shared.data.dataset import Split
from shared.evaluation.report import Report


def score(predict: Callable[[Raw], Answer], inputs: Iterable[str], split: Split, scorer: Scorer,
          batch_size: int = 256, advance: Callable[[int], None] = lambda examples: None) -> Report:
    """Runs `predict` over a split and reports.

    Args:
        predict: batched raw inputs by name to batched answers by name.
        inputs: names of the columns that are raw inputs.
        split: the examples.
        scorer: a fresh one.
        batch_size: examples a call.
        advance: told how many examples were done since it was last called (progress).
    """
    inputs = list(inputs)
    for indices, columns in split.batches(batch_size):
        answers = predict({name: columns[name] for name in inputs})
        for row, index in enumerate(indices):
            example = {name: column[row] for name, column in columns.items()}
            example["meta"] = {"index": int(index), **split.about(int(index))}
            scorer.update(example, {name: answer[row] for name, answer in answers.items()})
        advance(len(indices))
    return scorer.report()
