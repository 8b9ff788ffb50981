"""What is shown of a confusion matrix; rows are the truth."""

import numpy as np

SHOWN_CLASSES = 30  # of a figure


def most_confused(confusion: np.ndarray, most: int = 20) -> list[tuple[int, int]]:
    """(truth, answer) of the largest numbers beside the diagonal, none that is 0."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(row), int(column)) for row, column in pairs if wrong[row, column]]


def shown_classes(confusion: np.ndarray) -> tuple[np.ndarray, str]:
    """The classes that a figure has room for, and what its title says where they are not all."""
    if len(confusion) <= SHOWN_CLASSES:
        return np.arange(len(confusion)), ""
    off = confusion.sum(0) + confusion.sum(1) - 2 * np.diag(confusion)
    chosen = np.sort(np.argsort(-off, kind="stable")[:SHOWN_CLASSES])
    return chosen, f", the {SHOWN_CLASSES} most confused classes"
