"""Recordings longer than the network hears at once, by windows that overlap; and the answers to them as one."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from apps.speech.frames import second, step
from apps.speech.sounds import to_float
from shared.app import Answer, Raw


def starts(length: int, size: int) -> list[int]:
    """Where the windows of a recording begin; they overlap by a quarter or more."""
    count = 1 + max(0, -(-(length - size) // (size - size // 4)))
    return [round(number * (length - size) / max(1, count - 1)) for number in range(count)] if count > 1 else [0]


def windows(raw: Raw, size: int) -> Iterator[Raw]:
    """Raw inputs of `size` samples, filled up with 0."""
    length = int(raw["length"])
    for start in starts(length, size):
        row = np.zeros(size, np.float32)
        own = to_float(raw["samples"][start:min(length, start + size)])
        row[:len(own)] = own
        yield {"samples": row, "length": np.array(len(own), np.int32)}


def surest(answers: list[Answer]) -> Answer:
    """Of words the window that is surest of its own."""
    return max(answers, key=lambda answer: float(answer["probabilities"].max()))


def joined(answers: list[Answer], places: list[int], size: int, rate: int, hop: float) -> Answer:
    """Of sentences all symbols, each from the window in which it stands deeper.

    Args:
        answers: to each window.
        places: where they begin, in samples.
        size: of a window, in samples.
        rate: samples a second.
        hop: seconds from a window of the features to the next.
    """
    middles = [(after + start + size) / 2 for start, after in pairwise(places)]
    parts = []
    for start, answer, low, high in zip(places, answers, [-np.inf, *middles], [*middles, np.inf], strict=True):
        count, later = int(answer["count"]), round(start / rate / step(hop))
        own = {name: answer[name][:count] for name in ("symbols", "frames", "confidences")}
        at = [start + rate * second(frame, hop) for frame in own["frames"]]
        kept = np.array([low <= place < high for place in at], bool)
        parts.append({name: values[kept] + (later if name == "frames" else 0) for name, values in own.items()})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**whole, "count": np.array(len(whole["symbols"]), np.int32)}
