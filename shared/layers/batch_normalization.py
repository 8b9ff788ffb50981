"""Batch normalisation that trains with TensorFlow's fused kernel."""

from typing import Any

import keras
import tensorflow as tf

SMALLEST_EPSILON = 1.001e-5  # the kernel's own limit on graphics cards


@keras.saving.register_keras_serializable("pocketconv")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' `BatchNormalization`, faster in training: one fused kernel in place of separate moments.

    Arguments, variables, configuration and answers are those of `keras.layers.BatchNormalization`; weights go from
    one to the other. The fused kernel is used in training on the TensorFlow backend for float32 or bfloat16 inputs of
    rank 4 with the channels last; its statistics are float32. All else (inference, masks, other ranks, axes and
    dtypes, `renorm`, `synchronized`, `trainable=False`) is Keras' own code.

    Args:
        axis, momentum, epsilon, center, scale, ...: as in `keras.layers.BatchNormalization`.

    Input shape: any; fused `[n, h, w, c]`, float32 or bfloat16.

    Output shape: the input's, in the layer's compute dtype.

    Example:

    >>> layer = BatchNormalization()
    >>> layer(np.random.rand(8, 32, 32, 16), training=True).shape
    TensorShape([8, 32, 32, 16])

    Reference:
        [Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not (training and self.trainable) or mask is not None or not self._fusable(inputs):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        gamma = tf.ones([channels]) if self.gamma is None else keras.ops.cast(self.gamma, "float32")
        beta = tf.zeros([channels]) if self.beta is None else keras.ops.cast(self.beta, "float32")
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=gamma, offset=beta, mean=tf.zeros([0]), variance=tf.zeros([0]), epsilon=self.epsilon,
            is_training=True)
        count = tf.cast(tf.size(inputs) // channels, "float32")
        # The kernel divides by count - 1, Keras by count.
        variance *= tf.maximum(count - 1.0, 1.0) / count
        for moving, value in (self.moving_mean, mean), (self.moving_variance, variance):
            moving.assign(keras.ops.cast(moving, "float32") * self.momentum + value * (1.0 - self.momentum))
        return keras.ops.cast(outputs, self.compute_dtype)

    def _fusable(self, inputs: Any) -> bool:
        return (keras.backend.backend() == "tensorflow" and len(inputs.shape) == 4 and self.axis in (-1, 3)
                and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16")
                and not self.renorm and not self.synchronized and self.epsilon >= SMALLEST_EPSILON)
