"""What is known of items besides who had them: words of their titles, and values of further columns. No TensorFlow."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.data.dataset import Dataset
from shared.data.plain_tokens import words
from shared.errors import UserError

# Columns that tell of items, by their usual names.
USUAL = ("genre", "genres", "movie_genres", "category", "categories", "tag", "tags", "brand", "year", "author",
         "authors", "artist", "publisher", "keywords", "topic", "topics", "subject", "type", "department", "color",
         "colour", "language", "country")
YEAR = re.compile(r"\((\d{4})\)\s*$")  # of a title
SELDOM = 2  # items that must have a word or value, or nothing is learned of it that holds for others
LONGEST, MOST = 16, 16  # words of a title, values of a cell that are read
KNOTS, NEAR = 32, 4  # of a column of numbers: between how many it is told where one lies, and by how many
RECENT = 10  # items of a history that the comparison looks at
PRIOR = 1.0  # of the least squares by which popularity is guessed


@dataclass
class Catalogue(Dataset):
    """Histories, and what is known of their items.

    Args:
        attributes: cells by column, in the order of the labels; empty where nothing is known.
    """

    attributes: dict[str, list[str]] = field(default_factory=dict)


def chosen(names: list[str], taken: list[int], asked: str | None, path: Any) -> list[int]:
    """Which columns tell of items: those asked for, else by their usual names.

    Args:
        names: of all columns.
        taken: columns that tell something else.
        asked: names with commas between.
        path: of the table.

    Raises:
        UserError: one that was asked for is not there, or is taken.
    """
    if asked is None:
        return [at for at, name in enumerate(names) if at not in taken and name.casefold().replace(" ", "_") in USUAL]
    found = []
    for name in filter(None, (part.strip() for part in asked.split(","))):
        if name not in names or names.index(name) in taken:
            raise UserError(f"--attribute-columns: {path} has no further column '{name}': line 1 names "
                            f"{', '.join(names[:10])}.")
        found.append(names.index(name))
    return found


def parts(cell: str) -> list[str]:
    """The values of a cell, each once: between bars or semicolons, in small letters."""
    return list(dict.fromkeys(part.strip().casefold() for part in re.split(r"[|;]", cell) if part.strip()))


def title_words(title: str) -> list[str]:
    """Those of any language, without signs; a year is one."""
    return [word for word in words(title) if any(map(str.isalnum, word))]


def learned(titles: list[str], attributes: dict[str, list[str]], counts: np.ndarray) -> tuple[dict, dict]:
    """Facts of a catalogue: values `words` and `attribute_values`, in the order of their numbers from 1 on; arrays
    `item_words`, int32 `[1 + items, words]`, and `item_values`, int32 `[1 + items, columns, values]`; 0 is unknown,
    none, and item 0. Numbers are told by the `KNOTS` that lie round them, so that near ones are alike.

    Args:
        titles: of the items, number 1 first; a year at the end in brackets is an attribute where no column is one.
        attributes: cells by column in the same order.
        counts: of each item in training: words and values are learned from those alone that it has.

    Raises:
        UserError: nothing is known of the items.
    """
    known = np.flatnonzero(counts > 0)
    if "year" not in map(str.casefold, attributes):
        years = [match[1] if (match := YEAR.search(title)) else "" for title in titles]
        if any(years[item] for item in known):
            attributes = {**attributes, "year": years}
    rows = [title_words(title)[:LONGEST] for title in titles]
    vocabulary = often([rows[item] for item in known])
    numbers = {word: number for number, word in enumerate(vocabulary, 1)}
    item_words = padded([[numbers.get(word, 0) for word in row] for row in rows])
    names: list[str] = []
    tables = []
    for column, cells in attributes.items():
        split = [parts(cell)[:MOST] for cell in cells]
        own, values = numeric(split, known) or categorical(split, known)
        tables.append(padded([[len(names) + value if value else 0 for value in row] for row in values]))
        names += [f"{column}={name}" for name in own]
    if not vocabulary and not names:
        raise UserError("Nothing is known of the items that several have in common: name a column of titles by "
                        "--title-column, or others by --attribute-columns.")
    item_values = np.zeros((len(titles) + 1, len(tables), max([1, *(table.shape[1] for table in tables)])), np.int32)
    for at, table in enumerate(tables):
        item_values[:, at, :table.shape[1]] = table
    return {"words": vocabulary, "attribute_values": names}, {"item_words": item_words, "item_values": item_values}


def often(rows: list[list[str]]) -> list[str]:
    """What several rows have, the most frequent first."""
    found = Counter(name for row in rows for name in dict.fromkeys(row))
    return sorted((name for name, count in found.items() if count >= SELDOM), key=lambda name: (-found[name], name))


def categorical(split: list[list[str]], known: np.ndarray) -> tuple[list[str], list[list[int]]]:
    """Names of the values of a column, and each item's, numbered from 1 on."""
    names = often([split[item] for item in known])
    numbers = {name: number for number, name in enumerate(names, 1)}
    return names, [[numbers[value] for value in row if value in numbers] for row in split]


def numeric(split: list[list[str]], known: np.ndarray) -> tuple[list[str], list[list[int]]] | None:
    """The same of a column of numbers, one a cell: the knots round each, which are quantiles. None: it is no such
    column."""
    try:
        values = np.array([float(row[0]) if row else np.nan for row in split])
    except ValueError:
        return None
    own = values[known][np.isfinite(values[known])]
    if not len(own) or any(len(row) > 1 for row in split):
        return None
    knots = np.unique(np.quantile(own, np.linspace(0, 1, KNOTS), method="nearest"))
    first = np.clip(np.searchsorted(knots, values) - NEAR // 2, 0, max(0, len(knots) - NEAR))
    near = [[int(at) + 1 + step for step in range(min(NEAR, len(knots)))] if np.isfinite(value) else []
            for at, value in zip(first, values, strict=True)]
    return [f"{knot:g}" for knot in knots], near


def padded(rows: list[list[int]]) -> np.ndarray:
    """Rows with 0 behind them below one of 0 alone: int32 `[1 + rows, longest]`."""
    made = np.zeros((len(rows) + 1, max([1, *map(len, rows)])), np.int32)
    for row, values in zip(made[1:], rows, strict=True):
        row[:len(values)] = values
    return made


# What a network must beat where nobody had an item yet: `report` asks for these.

def features(item_values: np.ndarray) -> np.ndarray:
    """Which values each item has, each column of length 1: float32 `[1 + items, columns * values]`."""
    count, columns, _ = item_values.shape
    made = np.zeros((count, columns, int(item_values.max(initial=0)) + 1), np.float32)
    np.put_along_axis(made, item_values, 1, 2)
    made[:, :, 0] = 0
    made /= np.maximum(np.linalg.norm(made, axis=2, keepdims=True), 1e-9)
    return made.reshape(count, -1)


def likeness(made: np.ndarray, history: np.ndarray) -> np.ndarray:
    """The cosine of each item's `features` and the mean of the last items' of a history, float32 `[1 + items]`."""
    unit = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
    return unit @ unit[history[-RECENT:]].sum(0)


def guessed_popularity(made: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What the attributes say of how often an item is had, by least squares over those of training, `[1 + items]`."""
    known = np.flatnonzero(counts > 0)
    own = made[known + 1]
    weights = np.linalg.solve(own.T @ own + PRIOR * np.eye(own.shape[1]), own.T @ np.log1p(counts[known]))
    return made @ weights
