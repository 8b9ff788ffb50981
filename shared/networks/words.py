"""Layers over sequences of ids, `[n, t]`, and of what became of them, `[n, t, c]`; padding changes no answer."""

from typing import Any

import keras
import numpy as np

L = keras.layers
ops = keras.ops

# Of a number of a vector at first, by the root of its mean square. From far larger ones training takes far longer.
VECTOR_SIZE = 0.03


@keras.saving.register_keras_serializable("pocketconv")
class Used(keras.layers.Layer):
    """1 where ids are not padding: int32 `[..., t]` to floats `[..., t, 1]`."""

    def call(self, ids: Any) -> Any:
        return ops.expand_dims(ops.cast(ops.not_equal(ids, 0), self.compute_dtype), -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, 1)


@keras.saving.register_keras_serializable("pocketconv")
class MaxOverTime(keras.layers.Layer):
    """The largest value of each channel among what is used; values must not be negative: `[..., t, c]` to
    `[..., c]`."""

    def call(self, values: Any, used: Any) -> Any:
        return ops.max(values * used, -2)

    def compute_output_shape(self, values_shape: Any, used_shape: Any) -> Any:
        return (*values_shape[:-2], values_shape[-1])


@keras.saving.register_keras_serializable("pocketconv")
class MeanOverTime(keras.layers.Layer):
    """The mean of each channel among what is used: `[..., t, c]` to `[..., c]`."""

    def call(self, values: Any, used: Any) -> Any:
        return ops.sum(values * used, -2) / ops.maximum(ops.sum(used, -2), 1)

    def compute_output_shape(self, values_shape: Any, used_shape: Any) -> Any:
        return (*values_shape[:-2], values_shape[-1])


def embedding(size: int, dimension: int, name: str, trainable: bool = True) -> Any:
    """A layer that gives each id a vector, small at first."""
    edge = VECTOR_SIZE * 3**0.5
    return L.Embedding(size, dimension, keras.initializers.RandomUniform(-edge, edge), name=name, trainable=trainable)


def begin_with(layer: keras.layers.Layer, words: list[str], first: int, vectors: dict[str, np.ndarray],
               size: float = VECTOR_SIZE) -> None:
    """Sets the rows of words that have a vector.

    Args:
        layer: an embedding.
        words: in the order of their rows.
        first: the row of the first one.
        vectors: by word.
        size: what they are scaled to, by the root of a number's mean square. Adam's steps do not grow with it: small
            vectors are soon learned anew, large ones stay near to those of words that no training text has.
    """
    scale = size / np.sqrt(np.mean(np.square([*vectors.values()] or 1)))
    [table] = layer.get_weights()
    for row, word in enumerate(words, first):
        if word in vectors:
            table[row] = scale * vectors[word]
    layer.set_weights([table])
