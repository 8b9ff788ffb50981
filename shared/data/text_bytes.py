"""Texts as rows of UTF-8 bytes, as graphs take them."""

from collections.abc import Iterable

import numpy as np

from shared.data.dataset import Ragged


def to_bytes(texts: Iterable[str]) -> Ragged:
    """Texts as rows of UTF-8; NUL, which is padding, becomes a space. Half surrogates become question marks."""
    rows = [text.replace("\0", " ").encode("utf-8", "replace") for text in texts]
    offsets = np.cumsum([0, *map(len, rows)])
    return Ragged(np.frombuffer(b"".join(rows), np.uint8), offsets)


def decoded(row: np.ndarray) -> str:
    """The text of a row of bytes, padding and all."""
    return row.astype(np.uint8).tobytes().decode("utf-8", "replace")


def characters(text: bytes) -> tuple[str, np.ndarray]:
    """A text and where its characters begin, so that places in bytes and in characters can be told from each other.

    Args:
        text: UTF-8; each maximal subpart of what is none becomes one U+FFFD (The Unicode Standard, 3.9).

    Returns:
        The text, and int64 `[characters + 1]`: the first byte of each, then the number of bytes.
    """
    every = np.frombuffer(text, np.uint8)
    first = (every & 0xC0) != 0x80  # all but continuation bytes
    at = 0
    while True:
        try:
            text[at:].decode()
            break
        except UnicodeDecodeError as error:
            first[at + error.start] = True  # of such a part too, all bytes but the first are continuations
            at += error.end
    return text.decode("utf-8", "replace"), np.append(np.flatnonzero(first), len(text))


def read_of(text: np.ndarray, most: int) -> int:
    """How many bytes of a text are read: at most so many, no padding, and no part of a character."""
    end = int(np.flatnonzero(text).max(initial=-1)) + 1
    if end > most:
        end = most
        while end and most - end < 3 and text[end] & 0xC0 == 0x80:  # a character has four bytes at most
            end -= 1
    return end


def power_of_two(least: int) -> int:
    """The smallest one that is at least so large, and at least 16: a length for padded bytes."""
    return 1 << max(4, int(least - 1).bit_length())
