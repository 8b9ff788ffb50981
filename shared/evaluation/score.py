"""The one way of measuring: answers and truth through a scorer, in training, evaluation and export alike."""

from collections.abc import Callable

from shared.app import Scorer
from shared.data.dataset import Split
from shared.evaluation.answering import Answering
from shared.evaluation.report import Report


def score(answer: Answering, split: Split, scorer: Scorer, batch_size: int = 256,
          advance: Callable[[int], None] = lambda examples: None, explain: bool = False) -> Report:
    """Answers a split and reports.

    Args:
        answer: see `shared.evaluation.answering`.
        split: the examples.
        scorer: a fresh one.
        batch_size: examples read at once, at most.
        advance: told how many examples were done since it was last called (progress).
        explain: let the scorer look closer at what it found (see `Scorer.explain`).
    """
    for indices, columns in split.batches(split.gathered(batch_size)):
        rows = [{name: column[row] for name, column in columns.items()} for row in range(len(indices))]
        for index, example, given in zip(indices, rows, answer(rows), strict=True):
            scorer.update({**example, "meta": {"index": int(index), **split.about(int(index))}}, given)
        advance(len(indices))
    if explain:
        scorer.explain(answer)
    return scorer.report()
