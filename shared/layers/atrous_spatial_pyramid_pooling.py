"""Context at several scales in parallel, for dense prediction."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from shared.layers.batch_normalization import BatchNormalization

L, ops = keras.layers, keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class AtrousSpatialPyramidPooling(keras.layers.Layer):
    """Atrous spatial pyramid pooling of DeepLab V3: a 1x1 convolution, one 3x3 convolution a rate, image pooling.

    The branches are concatenated and projected by a 1x1 convolution. Each convolution is without bias and followed by
    batch normalisation and the activation. Image pooling is the mean over height and width, a 1x1 convolution, and the
    answer at every place.

    Args:
        filters: channels of each branch and of the output.
        rates: dilation of each 3x3 convolution; (6, 12, 18) suits features of a 16th of the image's size, twice that
            an 8th.
        separable: depthwise 3x3 and pointwise convolution in place of a full one, each normalised and activated
            (DeepLab V3+).
        activation: Keras activation.
        dropout: share of the output's values dropped in training.
        kernel_initializer: of each kernel.
        kernel_regularizer: of each kernel.
        seed: of the dropout.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: `[n, h, w, c]`, float.

    Output shape: `[n, h, w, filters]`, in the compute dtype.

    Example:

    >>> layer = AtrousSpatialPyramidPooling(64, rates=(2, 4, 6), separable=True)
    >>> layer(np.random.rand(1, 24, 32, 128)).shape
    TensorShape([1, 24, 32, 64])

    References:
        - [Chen et al. 2017, DeepLab V3](https://arxiv.org/abs/1706.05587)
        - [Chen et al. 2018, DeepLab V3+](https://arxiv.org/abs/1802.02611)
    """

    def __init__(self, filters: int, rates: Sequence[int] = (6, 12, 18), separable: bool = False,
                 activation: Any = "relu", dropout: float = 0.0, kernel_initializer: Any = "he_normal",
                 kernel_regularizer: Any = None, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters, self.rates, self.separable = filters, tuple(rates), separable
        self.activation = keras.activations.get(activation)
        self.dropout, self.seed = dropout, seed
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        batch, height, width, channels = input_shape
        self.pointwise = self._normalised(self._convolution(1), name="pointwise")
        self.atrous = [self._atrous(rate) for rate in self.rates]
        self.image = self._normalised(self._convolution(1), name="image_pooling")
        self.project = self._normalised(self._convolution(1), name="project")
        self.drop = L.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        for branch in (self.pointwise, *self.atrous):
            branch.build(input_shape)
        self.image.build((batch, 1, 1, channels))
        self.project.build((batch, height, width, (2 + len(self.rates)) * self.filters))
        self.drop.build((batch, height, width, self.filters))

    def call(self, inputs: Any, training: Any = None) -> Any:
        image = self.image(ops.mean(inputs, (1, 2), keepdims=True), training=training)
        image = ops.broadcast_to(image, (*ops.shape(inputs)[:3], self.filters))
        branches = [branch(inputs, training=training) for branch in (self.pointwise, *self.atrous)]
        outputs = self.project(ops.concatenate([*branches, image], -1), training=training)
        return self.drop(outputs, training=training)

    def _kernel(self, prefix: str = "kernel") -> dict[str, Any]:
        # One initialiser object gives each kernel of a shape the same values.
        return {f"{prefix}_initializer": self.kernel_initializer.clone(),
                f"{prefix}_regularizer": self.kernel_regularizer, "use_bias": False, "dtype": self.dtype_policy}

    def _convolution(self, size: int, rate: int = 1) -> Any:
        kind = L.Conv2D if rate == 1 else _DilatedConv2D
        return kind(self.filters, size, padding="same", dilation_rate=rate, **self._kernel())

    def _atrous(self, rate: int) -> Any:
        if not self.separable:
            return self._normalised(self._convolution(3, rate), name=f"atrous_{rate}")
        depthwise = L.DepthwiseConv2D(3, padding="same", dilation_rate=rate, **self._kernel("depthwise"))
        return self._normalised(depthwise, self._convolution(1), name=f"atrous_{rate}")

    def _normalised(self, *convolutions: Any, name: str) -> keras.Sequential:
        layers = []
        for convolution in convolutions:
            layers += [convolution, BatchNormalization(dtype=self.dtype_policy),
                       L.Activation(self.activation, dtype=self.dtype_policy)]
        return keras.Sequential(layers, name=name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return *input_shape[:3], self.filters

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters, "rates": self.rates, "separable": self.separable,
            "activation": keras.activations.serialize(self.activation), "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer), "seed": self.seed}


class _DilatedConv2D(keras.layers.Conv2D):
    """Keras' layer in one operation in place of three (space to batch, convolution, batch to space): half the time."""

    def call(self, inputs: Any) -> Any:
        if keras.backend.backend() != "tensorflow" or not _trains_dilated(self.compute_dtype):
            return super().call(inputs)
        return tf.nn.conv2d(inputs, ops.convert_to_tensor(self.kernel), 1, "SAME", dilations=self.dilation_rate)


@functools.cache
def _trains_dilated(dtype: str) -> bool:
    """Whether this TensorFlow has a dilated convolution's gradient on this processor.

    It is oneDNN that has it: not where that is turned off, and in bfloat16 not on processors without AVX-512.
    """
    # Not by a tape: those record nothing inside init_scope.
    with tf.init_scope(), tf.device("CPU"):
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 5, 5, 1], filter=tf.zeros([3, 3, 1, 1], dtype),
                out_backprop=tf.zeros([1, 5, 5, 1], dtype), strides=[1, 1, 1, 1], padding="SAME",
                dilations=[1, 2, 2, 1])
        except tf.errors.OpError:
            return False
    return True
