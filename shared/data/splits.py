"""Splits that are made where the data bring none: seeded, stratified or by group."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.errors import UserError

# What folders, files and columns call a split.
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "test": "test"}


def _labels(split: Split) -> np.ndarray | None:
    """The label column where there is one that can be stratified by."""
    column = split.columns.get("label")
    if column is None:
        return None
    labels = np.asarray(column[np.arange(len(split))])
    return labels if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer) else None


def part(split: Split, share: float, seed: int, group: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (the rest, a part of about `share`), both sorted.

    Every class keeps its share, rounded, at least one example on either side where it has two; with `group`, all
    examples of one value of that meta stay together instead.
    """
    random = np.random.default_rng([seed, 20_26])
    count = len(split)
    if group and group in split.meta:
        names = np.asarray([str(value) for value in split.meta[group]])
        taken: list[str] = []
        held = 0
        for name in random.permutation(np.unique(names)):
            if held >= share * count or len(taken) + 1 == len(np.unique(names)):
                break
            taken.append(name)
            held += int((names == name).sum())
        chosen = np.isin(names, taken)
    else:
        labels = _labels(split)
        labels = np.zeros(count, np.int64) if labels is None else labels
        chosen = np.zeros(count, bool)
        for label in np.unique(labels):
            own = random.permutation(np.flatnonzero(labels == label))
            size = min(max(round(share * len(own)), 1), len(own) - 1)
            chosen[own[:size]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def complete(dataset: Dataset, validation: float, test: float, seed: int) -> Dataset:
    """Makes the test and then the validation split from training data, where the source has none, and says so."""
    splits, notes = dict(dataset.splits), list(dataset.notes)
    for name, share in (("test", test), ("validation", validation)):
        if name not in splits and len(splits.get("train", [])) > 1:
            whole = splits["train"]
            rest, held = part(whole, share, seed, dataset.group)
            splits["train"], splits[name] = whole.select(rest), whole.select(held)
            grouped = dataset.group and dataset.group in whole.meta
            way = f"whole {dataset.group}s" if grouped else "every class in its share"
            notes.append(f"{dataset.name} has no {name} split: {len(held)} of its {len(whole)} training examples "
                         f"were held out by seed {seed} ({way}).")
    return replace(dataset, splits=splits, notes=notes)


def folds(dataset: Dataset, count: int, seed: int) -> Iterator[tuple[Split, Split]]:
    """(training, held out) pairs of the training examples, each held out once, every class in its share.

    Raises:
        UserError: there are too few examples, or groups, for so many folds.
    """
    from sklearn.model_selection import GroupKFold, StratifiedKFold
    whole = dataset.splits["train"]
    labels = _labels(whole)
    groups = list(whole.meta[dataset.group]) if dataset.group and dataset.group in whole.meta else None
    labels = np.zeros(len(whole), np.int64) if labels is None else labels
    most = len(set(groups)) if groups else int(np.bincount(labels).max(initial=0))
    if not 2 <= count <= most:
        raise UserError(f"--folds {count}: give at least 2, and at most {most}, the number of "
                        f"{f'{dataset.group}s' if groups else 'examples of the largest class'}.")
    if groups:
        pairs = GroupKFold(count, shuffle=True, random_state=seed).split(labels, groups=groups)
    else:
        pairs = StratifiedKFold(count, shuffle=True, random_state=seed).split(labels, labels)
    return ((whole.select(rest), whole.select(held)) for rest, held in pairs)


def limit(dataset: Dataset, most: int, seed: int) -> Dataset:
    """At most so many examples of each split, every class in its share; none is lost while there is room for all."""
    def cut(split: Split) -> Split:
        if len(split) <= most:
            return split
        random = np.random.default_rng([seed, 20_27])
        labels = _labels(split)
        labels = np.zeros(len(split), np.int64) if labels is None else labels
        places = np.empty(len(split))
        for label in np.unique(labels):
            own = random.permutation(np.flatnonzero(labels == label))
            places[own] = (np.arange(len(own)) + 0.5) / len(own)
            places[own[0]] = 0
        return split.select(np.sort(np.argsort(places, kind="stable")[:most]))
    return replace(dataset, splits={name: cut(split) for name, split in dataset.splits.items()})
