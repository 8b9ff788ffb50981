"""Max pooling that remembers where each maximum was."""

from typing import Any

import keras

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class MaxPoolingWithIndices(keras.layers.Layer):
    """2x2 max pooling of stride 2 that also gives the places of the maxima, for `MaxUnpooling`.

    The places are a mask of zeros and ones, four channels a channel: in each window one of the four is 1, where the
    maximum was, and of equal values the first in reading order, as in `tf.nn.max_pool_with_argmax`. A mask is made
    and used by comparisons and products alone, which TFLite has as built-in operations and which stay exact in int8.

    Args:
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: `[n, h, w, c]`, float, `h` and `w` even, `c` known.

    Output shape: a pair in the compute dtype.
        pooled: `[n, h / 2, w / 2, c]`.
        indices: `[n, h / 2, w / 2, 4 c]` of 0 and 1; channel `k c + i` is place `k` of the window (top left, top
        right, bottom left, bottom right) for channel `i`. No gradient flows through it.

    Raises:
        ValueError: `h` or `w` is odd.

    Example:

    >>> pooled, indices = MaxPoolingWithIndices()(np.random.rand(1, 4, 6, 3))
    >>> pooled.shape, indices.shape
    (TensorShape([1, 2, 3, 3]), TensorShape([1, 2, 3, 12]))

    Reference:
        [Badrinarayanan et al. 2017, SegNet](https://arxiv.org/abs/1511.00561)
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        self.compute_output_shape(inputs.shape)
        _, height, width, channels = ops.shape(inputs)
        height, width = height // 2, width // 2
        # Slices of a reshaped tensor are contiguous: twice as quick in training as space-to-depth.
        rows = ops.split(ops.reshape(inputs, [-1, height, 4 * width, channels]), 2, 2)
        pairs = [ops.split(ops.reshape(row, [-1, height, width, 2 * channels]), 2, 3) for row in rows]
        (top_left, top_right), (bottom_left, bottom_right) = pairs
        top, bottom = ops.maximum(top_left, top_right), ops.maximum(bottom_left, bottom_right)
        in_top = self._mask(top, bottom)
        in_bottom = 1.0 - in_top
        first = in_top * self._mask(top_left, top_right)
        third = in_bottom * self._mask(bottom_left, bottom_right)
        # Without it the backward pass would work out a gradient of the mask and drop it.
        indices = ops.stop_gradient(ops.concatenate([first, in_top - first, third, in_bottom - third], -1))
        return ops.maximum(top, bottom), indices

    def _mask(self, a: Any, b: Any) -> Any:
        return ops.cast(ops.greater_equal(a, b), a.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, Any]:
        batch, height, width, channels = input_shape
        if any(side is not None and side % 2 for side in (height, width)):
            raise ValueError(f"2x2 pooling needs an even height and width, not {height} x {width}.")
        half = [side if side is None else side // 2 for side in (height, width)]
        return (batch, *half, channels), (batch, *half, 4 * channels)
