"""Answers to raw inputs of any size: cut into what the signature takes, answered in batches, joined."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from shared.app import MOST_PIECES, Answer, Answering, App, Raw
from shared.facts import Facts
from shared.signature import Tensor

MOST_BYTES = 4 << 20  # of raw inputs a call: a network's activations take some hundred times as much


def answering(app: App, predict: Callable[[Raw], Answer], inputs: dict[str, Tensor], facts: Facts) -> Answering:
    """A function from raw inputs without batch axis, of any size, to their answers in the same order.

    Args:
        app: whose `cut` and `join` are used.
        predict: batched raw inputs of the signature's size to batched answers.
        inputs: of the signature.
        facts: of the artifact.
    """
    def answer(rows: list[Raw]) -> Iterator[Answer]:
        pieces = (piece for row in rows for piece in app.cut({name: row[name] for name in inputs}, inputs, facts))
        answered = in_batches(predict, pieces, app.at_once(facts))
        for row in rows:
            yield app.join(row, answered, inputs, facts)
    return answer


def in_batches(predict: Callable[[Raw], Answer], pieces: Iterable[Raw], most: int = MOST_PIECES) -> Iterator[Answer]:
    """The answer to each piece, one after another; no more pieces are held than one call takes, `most` at most."""
    waiting = iter(pieces)
    while first := next(waiting, None):
        size = sum(array.nbytes for array in first.values())
        count = max(1, min(most, MOST_BYTES // max(1, size)))
        batch = [first, *islice(waiting, count - 1)]
        answers = predict({name: np.stack([piece[name] for piece in batch]) for name in first})
        for row in range(len(batch)):
            yield {name: answer[row] for name, answer in answers.items()}
        del answers, batch  # or they would live on beside the next
