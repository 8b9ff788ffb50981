"""Each step of a sequence beside those some way before and behind it."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("pocketconv")
class Neighbours(keras.layers.Layer):
    """Concatenates a sequence with itself, moved forwards and backwards; zeros come in at the ends.

    With a convolution of width 1 behind it this is a convolution of width 3, dilated by `rate`. Keras' own dilated
    one becomes a shuffle of the whole sequence in TFLite (SPACE_TO_BATCH), and has no gradient on some processors.

    Args:
        rate: distance in steps, at least 1.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: `[batch, steps, channels]`.

    Output shape: `[batch, steps, 3 * channels]`: the step `rate` before, the step itself, the step `rate` behind.

    Example:

    >>> Neighbours(1)(np.array([[[1], [2], [3]]], np.float32))[0].numpy().tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """

    def __init__(self, rate: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        if rate < 1:
            raise ValueError(f"rate {rate}: at least 1.")
        self.rate = rate

    def call(self, inputs: Any) -> Any:
        wide, steps = ops.pad(inputs, [[0, 0], [self.rate, self.rate], [0, 0]]), ops.shape(inputs)[1]
        return ops.concatenate([wide[:, :steps], inputs, wide[:, 2 * self.rate:]], -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 3 * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
