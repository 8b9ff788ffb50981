"""Long texts as pieces that the graph takes, cut between tokens."""

from typing import NamedTuple

import numpy as np

from shared.data.plain_tokens import SEPARATOR, token_bounds
from shared.data.text_bytes import read_of


class Piece(NamedTuple):
    """A part of a text: its bytes, where it begins, and the number of its first token and of the one behind it."""

    text: np.ndarray
    start: int
    first: int
    last: int


def pieces(text: np.ndarray, max_bytes: int, max_tokens: int) -> list[Piece]:
    """Parts of at most so many bytes and tokens, in order; a longer token is cut.

    Args:
        text: uint8 `[bytes]`, without padding.
        max_bytes, max_tokens: what the graph takes.
    """
    if len(text) <= min(max_bytes, max_tokens):  # a token has a byte at least
        return [Piece(text, 0, 0, -1)]
    bounds = token_bounds(text.astype(np.uint8).tobytes())
    if len(text) <= max_bytes and len(bounds) <= max_tokens:
        return [Piece(text, 0, 0, len(bounds))]
    own = int(ord(SEPARATOR) in text)
    found, first = [], 0
    while first < len(bounds):
        start, last = bounds[first][0], first + 1
        while last < len(bounds) and last - first < max_tokens and bounds[last][1] + own - start <= max_bytes:
            last += 1
        end = bounds[last - 1][1]
        part = text[start:start + read_of(text[start:end], max_bytes - own)]
        found.append(Piece(np.append(part, ord(SEPARATOR)).astype(text.dtype) if own else part, start, first, last))
        first = last
    return found or [Piece(text[:0], 0, 0, 0)]
