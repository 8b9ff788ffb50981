"""Histories as rows of one width, to train on."""

import numpy as np

from shared.data.dataset import Ragged


def windows(whole: Ragged, length: int, ahead: int = 1, last: bool = False) -> np.ndarray:
    """The `length` items that lead to each item, it, and the `ahead - 1` that follow, padded: int32
    `[n, length + ahead]`; only to the last of each history where said."""
    starts, ends = (np.repeat(bound, np.diff(whole.offsets)) for bound in (whole.offsets[:-1], whole.offsets[1:]))
    at = np.arange(len(whole.values))
    if last:
        starts, ends, at = whole.offsets[:-1], whole.offsets[1:], whole.offsets[1:] - 1
    return places(whole, at[:, None] + np.arange(-length, ahead), starts[:, None], ends[:, None])


def stretches(whole: Ragged, length: int, ahead: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Stretches of each history, `[n, length + most + ahead]`, and how many places the first of their parts of
    `length + ahead` may be moved, int32 `[n]`, at most `most`. However each is cut, every item comes next in one."""
    most = length // 4
    step = length - most
    counts = np.maximum(0, -(-(np.diff(whole.offsets) - length) // step)) + 1
    starts, ends = np.repeat(whole.offsets[:-1], counts), np.repeat(whole.offsets[1:], counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts + number * step - 1  # nothing comes before the first item
    window = places(whole, first[:, None] + np.arange(length + most + ahead), starts[:, None], ends[:, None])
    return window, np.where(number > 0, most, 0).astype(np.int32)


def places(whole: Ragged, at: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Values at places of a history, 0 where it has none."""
    inside = (at >= starts) & (at < ends)
    return np.where(inside, whole.values[np.clip(at, 0, len(whole.values) - 1)], 0).astype(whole.values.dtype)
