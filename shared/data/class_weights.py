"""Weights that make rare classes count."""

from typing import Literal

import numpy as np


def class_weights(labels: np.ndarray, classes: int, how: Literal["balanced", "square_root"]) -> list[float]:
    """A weight for each class, 1 on average over the examples.

    Args:
        labels: class numbers of the training examples.
        classes: how many classes there are.
        how: `balanced` for 1 / share of the class, `square_root` for its root.
    """
    weights = len(labels) / np.maximum(np.bincount(labels, minlength=classes), 1)
    weights = weights if how == "balanced" else np.sqrt(weights)
    return (weights / weights[labels].mean()).tolist()
