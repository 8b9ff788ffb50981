"""Bilinear resize that does not alias, of operations that every runtime has."""

from typing import Any

import keras
import numpy as np

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class AntialiasedResize(keras.layers.Layer):
    """Bilinear resize with antialiasing: `tf.image.resize(..., "bilinear", antialias=True)` as two matrix products.

    When making smaller, the triangle of bilinear interpolation is widened by the factor, so that every input pixel
    counts; when enlarging this is plain bilinear interpolation with half-pixel centres. The operation behind
    `tf.image.resize` is none of TFLite's; products with constant matrices are.

    Args:
        height: of the output, pixels.
        width: of the output, pixels.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...). The dtype is float32 whatever the global
            policy: bfloat16 would keep no 8 bits of a pixel.

    Input shape: `[n, h, w, c]`, any number type, `h`, `w` and `c` known.

    Output shape: `[n, height, width, c]`, float32, in the input's range.

    Raises:
        ValueError: the input's height, width or channels are not known.

    Example:

    >>> AntialiasedResize(48, 64)(np.random.rand(1, 211, 300, 3)).shape
    TensorShape([1, 48, 64, 3])
    """

    def __init__(self, height: int, width: int, **kwargs: Any):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.height, self.width = height, width

    def build(self, input_shape: Any) -> None:
        if None in input_shape[1:]:
            raise ValueError(f"The input's height, width and channels must be known: {tuple(input_shape)}.")
        self.rows = _weights(self.height, input_shape[1])
        self.columns = _weights(self.width, input_shape[2])

    def call(self, inputs: Any) -> Any:
        _, height, width, channels = inputs.shape
        x = ops.reshape(ops.cast(inputs, self.compute_dtype), [-1, height, width * channels])
        x = ops.matmul(ops.cast(self.rows, x.dtype), x)
        x = ops.reshape(x, [-1, width, channels])
        x = ops.matmul(ops.cast(self.columns, x.dtype), x)
        return ops.reshape(x, [-1, self.height, self.width, channels])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0], self.height, self.width, input_shape[3]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"height": self.height, "width": self.width}


def _weights(output: int, size: int) -> np.ndarray:
    """`[output, size]` float32, each row the weights of one output place, of sum 1."""
    scale = size / output
    centres = (np.arange(output) + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
