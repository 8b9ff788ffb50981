"""Room before a convolution that must not see what comes later."""

from typing import Any

import keras

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class CausalPadding(keras.layers.Layer):
    """Puts zeros before the first of the steps, so that an unpadded convolution of `before + 1` taps sees at each step
    this one and `before` earlier ones. In a stream these zeros are what the layer remembers.

    Args:
        before: steps of zeros.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: `[n, steps, width, channels]`.

    Output shape: `[n, before + steps, width, channels]`.

    Raises:
        ValueError: `before` is negative.

    Example:

    >>> keras.layers.Conv2D(8, (5, 1))(CausalPadding(4)(np.zeros((1, 10, 1, 3)))).shape
    TensorShape([1, 10, 1, 8])

    Reference:
        [van den Oord et al. 2016, WaveNet](https://arxiv.org/abs/1609.03499)
    """

    def __init__(self, before: int, **kwargs: Any):
        super().__init__(**kwargs)
        if before < 0:
            raise ValueError(f"before must not be negative, but is {before}.")
        self.before = before

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), (self.before, 0), (0, 0), (0, 0)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, steps, *rest = input_shape
        return batch, None if steps is None else steps + self.before, *rest

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"before": self.before}
