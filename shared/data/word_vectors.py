"""Word vectors from GloVe and word2vec text files."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UserError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def read_vectors(path: Path, wanted: Collection[str], first: int = 0) -> dict[str, np.ndarray]:
    """Vectors of the wanted words, float32 `[dimension]`; a word that stands twice keeps its first.

    Args:
        path: a text file, a word and its numbers a line, plain or packed (gzip, xz, bz2); word2vec's first line of
            two counts is known.
        wanted: lower-cased words; those of the file are lower-cased too.
        first: take the first so many words of the file as well (its most frequent ones, as a rule).

    Raises:
        UserError: it cannot be read, or a line is broken; the message names the line.
    """
    found: dict[str, np.ndarray] = {}
    dimension = 0
    wanted = set(wanted)
    for number, line in _lines(path):
        word, _, rest = line.rstrip(" \r").partition(" ")
        size = rest.count(" ") + 1 if rest else 0
        if number == 1 and size == 1 and word.isdecimal() and rest.isdecimal():
            dimension = int(rest)
            continue
        if number == 1 and not rest:
            break
        dimension = dimension or size
        if size > dimension and not all(map(is_number, rest.split(" ")[:size - dimension])):
            continue  # GloVe of 840 billion words has some with spaces inside, which no text has as one token
        if size != dimension:
            raise UserError(f"{path} line {number}: {size} numbers after the word, where there are {dimension} "
                            f"before: the file is damaged, or no GloVe or word2vec text.")
        word = word.lower()
        if (word in wanted or len(found) < first) and word not in found:
            try:
                vector = np.array(rest.split(" "), np.float32)
            except ValueError as error:
                raise UserError(f"{path} line {number}: not all of the {dimension} values are numbers.") from error
            if not np.isfinite(vector).all():
                raise UserError(f"{path} line {number}: not all of the {dimension} values are finite numbers.")
            found[word] = vector
    if dimension < 2:
        raise UserError(f"{path} is no GloVe or word2vec text: each line has a word and its numbers.")
    return found


def coverage(vectors: Collection[str], words: list[str], counts: Mapping[str, int]) -> dict[str, float]:
    """The shares of a vocabulary, and of the running words of its texts, that have a vector."""
    running = max(1, sum(counts.values()))
    return {"vocabulary": round(sum(word in vectors for word in words) / max(1, len(words)), 4),
            "text": round(sum(counts[word] for word in vectors) / running, 4)}


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} line {number} is no UTF-8: binary word2vec files are not read; save it as text, in "
                        f"UTF-8.") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
