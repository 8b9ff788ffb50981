"""What a network must beat: popularity, likeness of items by who had them, and a Markov chain. Nothing is trained."""

import numpy as np
from scipy import sparse

from shared.data.dataset import Ragged

MOST = 20_000  # items: a table of every pair is kept
STEPS = 5  # that the chain looks ahead
NEAREST = 200  # items that a cosine counts for
# By how much an item of the history counts less than the one after it.
DECAYS = {"popularity": 0.0, "cosine": 0.8, "markov": 0.7}
LENGTHS = {"popularity": 1, "cosine": 50, "markov": 20}  # items of a history that count


def table(kind: str, histories: Ragged, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What each item of a history says for each item of the catalogue, float32 `[1 + count, 1 + count]`; and what
    speaks for each without any history, `[1 + count]`.

    Args:
        kind: of `DECAYS`.
        histories: training ones, items numbered from 1 on.
        count: items.
    """
    popular = np.bincount(histories.values, minlength=count + 1).astype(np.float32)
    nothing = popular / popular.sum() * 1e-3  # decides where histories say nothing
    if kind == "popularity":
        return np.zeros((count + 1, count + 1), np.float32), popular / popular.sum()
    made = cosine(histories, popular) if kind == "cosine" else markov(histories, popular)
    return made.toarray().astype(np.float32), nothing


def weights(steps: int, decay: float) -> np.ndarray:
    """How much each item of a history counts, the last one 1: float32 `[steps]`."""
    return (decay ** np.arange(steps)[::-1]).astype(np.float32)


def scores(kind: str, histories: list[np.ndarray], excluded: list[np.ndarray],
           tables: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Of each item of the catalogue for each history, `[n, 1 + count]`; -inf for what is in it, and what is excluded.

    Args:
        kind: of `DECAYS`.
        histories, excluded: items numbered from 1 on.
        tables: what `table` gave.
    """
    every, nothing = tables
    recent = np.zeros((len(histories), len(every)), np.float32)
    for row, history in zip(recent, histories, strict=True):
        last = history[-LENGTHS[kind]:]
        np.add.at(row, last, weights(len(last), DECAYS[kind]))
    made = recent @ every + nothing
    for row, history, others in zip(made, histories, excluded, strict=True):
        row[history], row[others] = -np.inf, -np.inf
    made[:, 0] = -np.inf
    return made


def cosine(histories: Ragged, popular: np.ndarray) -> sparse.csr_array:
    """Between the sets of people who had two items (Sarwar et al. 2001, https://doi.org/10.1145/371920.372071)."""
    shape = (len(histories), len(popular))
    had = sparse.csr_array((np.ones(len(histories.values), np.float32), histories.values, histories.offsets), shape)
    root = sparse.diags_array(1 / np.sqrt(np.maximum(popular, 1)))
    made = (root @ (had.T @ had) @ root).tocsr()
    return nearest((made - sparse.diags_array(made.diagonal())).tocsr(), NEAREST)


def nearest(table: sparse.csr_array, most: int) -> sparse.csr_array:
    """Only the largest values of each row."""
    for start, end in zip(table.indptr[:-1], table.indptr[1:], strict=True):
        if end - start > most:
            row = table.data[start:end]
            row[row < np.partition(row, -most)[-most]] = 0
    table.eliminate_zeros()
    return table


def markov(histories: Ragged, popular: np.ndarray) -> sparse.csr_array:
    """How often an item came up to `STEPS` after another, later ones counting less, and popular ones too."""
    count = len(popular)
    made = sparse.csr_array((count, count), dtype=np.float32)
    row = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
    for step in range(1, STEPS + 1):
        near = np.flatnonzero(row[step:] == row[:-step])
        pairs = histories.values[near], histories.values[near + step]
        made = made + sparse.csr_array((np.full(len(near), 1 / step, np.float32), pairs), (count, count))
    seldom = sparse.diags_array(1 / (made.sum(1) + 10))
    return (seldom @ made @ sparse.diags_array(1 / np.sqrt(popular + 10))).tocsr()
