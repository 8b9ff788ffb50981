"""The tokens of `shared.layers.utf8_tokens` in plain Python, for vocabularies and reports; no TensorFlow."""

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from shared.data.text_bytes import characters
from shared.layers.unicode_classes import IGNORED, MARK, NUMBER, SIGN, SINGLE, WORD, unicode_tables

JOINER = "\u200d"
SEPARATOR = "\x1f"  # behind each token of a text that brings its own


def spans(text: str, separator: str | None = None) -> Iterator[tuple[int, int]]:
    """(start, end) of each token, in characters; where the text holds `separator`, what stands between them."""
    pattern = re.compile(f"[^{separator}\0]+") if separator and separator in text else _pattern()
    return (match.span() for match in pattern.finditer(text))


def words(text: str, separator: str | None = None) -> list[str]:
    """The tokens as a vocabulary holds them: lower-cased, without invisible characters."""
    return [text[start:end].translate(_normal()) for start, end in spans(text, separator)]


def token_bounds(text: bytes) -> list[tuple[int, int]]:
    """(start, end) in bytes of each token: what stands between the U+001F, or else those of the graph's tokenizer."""
    plain, starts = characters(text)
    return [(int(starts[start]), int(starts[end])) for start, end in spans(plain, SEPARATOR)]


@cache
def _every() -> np.ndarray:
    """Class and change to lower case of every code point, int32 `[code points, 2]`."""
    pages, properties, meaning = unicode_tables()
    return meaning[properties.reshape(-1, 128)[pages].ravel()]


@cache
def _pattern() -> re.Pattern[str]:
    """A base with its marks; of letters and of digits as many as come, of signs as many as are joined."""
    kinds = _every()[:, 0]

    def one_of(*wanted: int) -> str:
        edges = np.flatnonzero(np.diff(np.isin(kinds, wanted), prepend=False, append=False)).reshape(-1, 2)
        return "[" + "".join(rf"\U{start:08x}-\U{end - 1:08x}" for start, end in edges.tolist()) + "]"

    marks = one_of(MARK, IGNORED) + "*"
    sign = one_of(SIGN) + marks
    return re.compile(f"(?:{one_of(WORD)}{marks})+|(?:{one_of(NUMBER)}{marks})+|{one_of(SINGLE)}{marks}"
                      f"|{sign}(?:(?<={JOINER}){sign})*")


@cache
def _normal() -> dict[int, str]:
    """What `str.translate` needs: lower case of those that have one, nothing for the invisible ones."""
    kinds, changes = _every().T
    return {int(code): "" if kinds[code] == IGNORED else chr(code + changes[code])
            for code in np.flatnonzero((kinds == IGNORED) | (changes != 0))}
