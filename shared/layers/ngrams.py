"""Ids of longer runs of tokens, from those of pairs."""

from typing import Any

import keras
from keras import ops

FACTOR = 509  # times the largest id it stays an int32


@keras.saving.register_keras_serializable("pocketconv")
class Ngrams(keras.layers.Layer):
    """Gives each run of 2 to `longest` tokens one of `buckets` ids, hashed from those of the two shorter runs of
    which it is made; those of 2 are given.

    Args:
        longest: tokens of the longest run, at least 2.
        buckets: how many ids there are, at most 2 ** 22.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: int32 `[batch, tokens]`: 1 to `buckets` for a token and the next one, 0 behind the last pair, as
    `Utf8Tokens` has them.

    Output shape: int32 `[batch, (longest - 1) * tokens]`: first all runs of 2, then all of 3, and so on; 0 where none
    begins.

    Example:

    >>> Ngrams(3, 1000)(np.array([[7, 8, 9, 0]], np.int32)).numpy().tolist()
    [[7, 8, 9, 0, 572, 82, 0, 0]]

    Reference:
        [Weinberger et al. 2009](https://arxiv.org/abs/0902.2206): feature hashing
    """

    def __init__(self, longest: int, buckets: int, **kwargs: Any):
        super().__init__(**kwargs)
        if longest < 2 or not 1 <= buckets <= 1 << 22:
            raise ValueError(f"longest {longest}, buckets {buckets}: at least 2, and 1 to {1 << 22}.")
        self.longest, self.buckets = longest, buckets

    def call(self, pairs: Any) -> Any:
        runs = [ops.convert_to_tensor(pairs, "int32")]
        for _ in range(self.longest - 2):
            first = runs[-1]
            second = ops.pad(first[:, 1:], [[0, 0], [0, 1]])
            runs.append(ops.where((first > 0) & (second > 0), 1 + ops.mod(first * FACTOR + second, self.buckets), 0))
        return ops.concatenate(runs, 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0], input_shape[1] and (self.longest - 1) * input_shape[1]

    def compute_output_spec(self, pairs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(pairs.shape), "int32")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"longest": self.longest, "buckets": self.buckets}
