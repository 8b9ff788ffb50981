"""What is looked at before the first epoch, so that a bad data set costs seconds."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from shared.data.dataset import Dataset, Ragged, Split
from shared.data.splits import _labels
from shared.errors import UserError

MOST = 200_000  # examples above which duplicates are not looked for


def check(dataset: Dataset, raw: Iterable[str], needs: Sequence[str] = ("train", "validation")) -> list[str]:
    """Sentences that a person should read before training.

    Args:
        dataset: with its splits complete.
        raw: names of the columns that are raw inputs.
        needs: splits that must not be empty.

    Raises:
        UserError: a split is empty, there is one class only, or a class that training lacks stands elsewhere.
    """
    for name in needs:
        if not len(dataset.splits.get(name, [])):
            raise UserError(f"{dataset.name} gives no {name} examples: add some, or change --validation.")
    notes = _classes(dataset)
    if sum(map(len, dataset.splits.values())) <= MOST:
        notes += _duplicates(dataset, list(raw))
    return notes


def _classes(dataset: Dataset) -> list[str]:
    labels = {name: _labels(split) for name, split in dataset.splits.items()}
    train = labels.get("train")
    if train is None:
        return []
    names = dataset.labels or [str(number) for number in range(int(train.max()) + 1)]
    counts = np.bincount(train, minlength=len(names))
    if (counts > 0).sum() < 2:
        raise UserError(f"{dataset.name} has one class only in training ({names[int(train[0])]}): "
                        f"there is nothing to tell apart; add examples of another.")

    def known(number: int) -> bool:
        return 0 <= number < len(names)

    for name, values in labels.items():
        if values is not None:
            lacking = [number for number in np.unique(values) if not known(number) or not counts[number]]
            if lacking:
                shown = ", ".join(str(names[n]) if known(n) else str(n) for n in lacking[:5])
                raise UserError(f"The {name} split of {dataset.name} has classes that training lacks ({shown}): "
                                f"add training examples of them, or take them out.")
    notes = []
    missing = [names[number] for number in np.flatnonzero(counts == 0)]
    if missing:
        notes.append(f"No training examples of {', '.join(map(str, missing[:5]))}: never to be answered.")
    seen = counts[counts > 0]
    if seen.max() > 10 * seen.min():
        notes.append(f"Classes are uneven: {seen.max()} of {names[int(counts.argmax())]}, {seen.min()} of "
                     f"{names[int(np.where(counts > 0, counts, counts.max() + 1).argmin())]}; "
                     f"consider --class-weights balanced.")
    return notes


def _duplicates(dataset: Dataset, raw: list[str]) -> list[str]:
    """Notes on raw inputs that stand in two splits."""
    seen: dict[bytes, tuple[str, int]] = {}
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    # Training first, whatever the order of files: what is seen in training makes scores elsewhere too good.
    for name in sorted(dataset.splits, key=lambda name: (name != "train", name != "validation")):
        split = dataset.splits[name]
        for start in range(0, len(split), 256):
            indices = np.arange(start, min(start + 256, len(split)))
            # Ragged rows are taken one by one: gathered, all would be as long as the longest.
            columns = {name_: split.columns[name_][indices] for name_ in raw
                       if not isinstance(split.columns[name_], Ragged)}
            for row, index in enumerate(indices):
                digest = hashlib.blake2b(digest_size=16)
                for name_ in raw:
                    column = split.columns[name_]
                    own = column.row(int(index)) if isinstance(column, Ragged) else columns[name_][row]
                    digest.update(np.ascontiguousarray(own).tobytes())
                key = digest.digest()
                other, at = seen.setdefault(key, (name, int(index)))
                if other != name:
                    found.setdefault((other, name), []).append((at, int(index)))
    return [f"{len(pairs)} example(s) of {b} also stand in {a} (the first: {_named(dataset.splits[a], pairs[0][0])} "
            f"and {_named(dataset.splits[b], pairs[0][1])}): scores on {b} are too good by as much."
            for (a, b), pairs in found.items()]


def _named(split: Split, index: int) -> str:
    return str(split.meta["file"][index]) if "file" in split.meta else f"example {index}"
