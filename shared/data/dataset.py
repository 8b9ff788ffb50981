"""Splits of examples, kept by column so that millions of rows fit and batches are gathered whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Columns = dict[str, Any]


class Column(Protocol):
    """Anything that gives an array for an array of indices: a NumPy array, or one of the classes below."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: np.ndarray) -> np.ndarray: ...


class Ragged:
    """A column whose rows differ in length; gathered rows come padded to the longest of them.

    Args:
        values: all rows, one after another, `[total, ...]`.
        offsets: where each row begins, and the end: `[rows + 1]`.
        fill: what stands in the padding.
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray, fill: float = 0):
        self.values, self.offsets, self.fill = values, np.asarray(offsets, np.int64), fill

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        starts, ends = self.offsets[indices], self.offsets[np.asarray(indices) + 1]
        longest = int((ends - starts).max(initial=0))
        rows = np.full((len(starts), longest, *self.values.shape[1:]), self.fill, self.values.dtype)
        for row, start, end in zip(rows, starts, ends, strict=True):
            row[:end - start] = self.values[start:end]
        return rows

    def row(self, index: int) -> np.ndarray:
        """One row without padding."""
        return self.values[self.offsets[index]:self.offsets[index + 1]]

    def select(self, indices: np.ndarray, most: int | None = None) -> "Ragged":
        """The column of these rows alone, of each at most the first `most` values."""
        starts, lengths = self.offsets[indices], np.diff(self.offsets)[indices]
        lengths = lengths if most is None else np.minimum(lengths, most)
        ends = np.cumsum(lengths)
        source = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return Ragged(self.values[source], np.concatenate([[0], ends]), self.fill)


class Decoded:
    """A column read from files when asked for.

    Args:
        items: what `decode` takes, one a row (usually paths).
        decode: gives the row's array; all rows have one shape.
    """

    def __init__(self, items: Sequence[Any], decode: Callable[[Any], np.ndarray]):
        self.items, self.decode = items, decode

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, indices: np.ndarray) -> Any:
        return np.stack([self.decode(self.items[i]) for i in indices])


class Varied(Decoded):
    """A column whose rows differ in shape (images of any size): gathered rows are a list of arrays."""

    def __getitem__(self, indices: np.ndarray) -> Any:
        return [self.decode(self.items[i]) for i in indices]


@dataclass
class Split:
    """One part of a data set.

    Args:
        columns: raw inputs and truth by name, all of the same length.
        meta: what else is known of each example, for reports only (`file`, `speaker`, …).
    """

    columns: dict[str, Column]
    meta: dict[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, indices: np.ndarray) -> Columns:
        """Arrays by name, row i belonging to `indices[i]`; lists of arrays of columns that are `Varied`."""
        return {name: column[indices] for name, column in self.columns.items()}

    def select(self, indices: np.ndarray) -> "Split":
        """The split of these rows alone, nothing decoded."""
        def pick(column: Any) -> Any:
            if isinstance(column, Decoded):
                return type(column)([column.items[i] for i in indices], column.decode)
            if isinstance(column, Ragged):
                return column.select(indices)
            return column[indices]
        return Split({name: pick(column) for name, column in self.columns.items()},
                     {name: [values[i] for i in indices] for name, values in self.meta.items()})

    def gathered(self, most: int, room: int = 64 << 20) -> int:
        """How many rows to gather at once: at most `most`, and about `room` bytes."""
        if not len(self):
            return 1
        longest = {name: np.argmax(np.diff(column.offsets)) if isinstance(column, Ragged) else 0  # all become as long
                   for name, column in self.columns.items()}
        size = sum(np.asarray(self.columns[name][np.array([row])][0]).nbytes for name, row in longest.items())
        return max(1, min(most, room // max(1, size)))

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, Columns]]:
        """(indices, columns) in order, the last batch as short as it comes."""
        for start in range(0, len(self), size):
            indices = np.arange(start, min(start + size, len(self)))
            yield indices, self.take(indices)

    def about(self, index: int) -> dict[str, Any]:
        return {name: values[index] for name, values in self.meta.items()}


@dataclass
class Dataset:
    """The splits of one source.

    Args:
        name: as `--data` names it.
        splits: `train`, `validation`, `test`; those that there are.
        labels: class names in the order of the label column's numbers, where there are classes.
        notes: what a person should know of how this was read (skipped files, made splits).
        public: whether `name` means the same on every machine (`sample`, `tfds:…`), unlike a path.
        group: name of the `meta` that must not stand on both sides of a split (speaker, user), if any.
        titles: what people call the labels, in their order, where labels are codes.
    """

    name: str
    splits: dict[str, Split]
    labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    public: bool = False
    group: str | None = None
    titles: list[str] = field(default_factory=list)
