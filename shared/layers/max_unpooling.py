"""The way back from max pooling."""

from typing import Any

import keras

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class MaxUnpooling(keras.layers.Layer):
    """Doubles height and width: each value goes where `MaxPoolingWithIndices` found the maximum, zeros elsewhere.

    Args:
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: a pair of floats.
        values: `[n, h, w, c]`, `c` known.
        indices: `[n, h, w, 4 c]` of 0 and 1, as `MaxPoolingWithIndices` gives them.

    Output shape: `[n, 2 h, 2 w, c]` in the compute dtype.

    Raises:
        ValueError: the two shapes do not fit.

    Example:

    >>> pooled, indices = MaxPoolingWithIndices()(np.random.rand(1, 4, 6, 3))
    >>> MaxUnpooling()([pooled, indices]).shape
    TensorShape([1, 4, 6, 3])

    Reference:
        [Badrinarayanan et al. 2017, SegNet](https://arxiv.org/abs/1511.00561)
    """

    def call(self, inputs: Any) -> Any:
        values, indices = inputs
        self.compute_output_shape([values.shape, indices.shape])
        _, height, width, channels = ops.shape(values)
        placed = ops.concatenate([values] * 4, -1) * indices
        # Joining rows and reshaping is quicker in training than depth-to-space, and the same numbers.
        rows = [ops.reshape(row, [-1, height, 2 * width, channels]) for row in ops.split(placed, 2, -1)]
        return ops.reshape(ops.concatenate(rows, 2), [-1, 2 * height, 2 * width, channels])

    def compute_output_shape(self, input_shape: Any) -> Any:
        values, indices = (tuple(shape) for shape in input_shape)
        pairs = zip((*values[:3], 4 * values[3]), indices, strict=True)
        if any(a != b for a, b in pairs if a is not None and b is not None):
            raise ValueError(f"Values {values} need indices of the same height and width and of {4 * values[3]} "
                             f"channels, not {indices}.")
        batch, height, width, channels = values
        return batch, *(side if side is None else 2 * side for side in (height, width)), channels
