"""Code points to the rows of an embedding."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("pocketconv")
class CharacterIds(keras.layers.Layer):
    """Looks code points up: 0 stays 0, unknown ones are 1, known ones 2 and up, in the order of `characters`.

    A table in two steps, of 128 numbers for each block of Unicode that a known character lies in; TFLite has its
    operations built in.

    Args:
        characters: the known ones, each once.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: int32 of any shape, values 0 to 0x10FFFF (as `Utf8Tokens` gives them).

    Output shape: int32 of the same shape.

    Example:

    >>> CharacterIds("ab")(np.array([97, 98, 99, 0])).numpy()
    array([2, 3, 1, 0], dtype=int32)
    """

    def __init__(self, characters: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.characters = characters
        codes = np.array([ord(character) for character in characters], np.int64)
        used = np.unique(np.concatenate([[0], codes >> 7]))
        self.pages = np.zeros(0x110000 >> 7, np.int32)  # page 0 of `ids`: blocks without a known character
        self.pages[used] = np.arange(1, len(used) + 1)
        ids = np.ones((len(used) + 1) * 128, np.int32)
        ids[128] = 0
        ids[self.pages[codes >> 7] * 128 + (codes & 127)] = np.arange(2, len(codes) + 2)
        self.ids = ids

    @property
    def size(self) -> int:
        """The number of ids: what an embedding needs."""
        return len(self.characters) + 2

    def call(self, inputs: Any) -> Any:
        codes = tf.clip_by_value(tf.cast(inputs, tf.int32), 0, 0x10FFFF)
        page = tf.bitwise.right_shift(codes, 7)
        return tf.gather(self.ids, (tf.gather(self.pages, page) - page) * 128 + codes)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"characters": self.characters}
