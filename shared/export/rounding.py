"""Layers that round what they give to eight bits, by ranges they have seen: what `fake_quant.py` builds with."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

L = keras.layers
# What values are multiplied by where integers end, next to 1: the converter does not look beyond. Softmax and sigmoid
# straight after an integer would become integer too, with answers of 256 steps.
END = float(np.nextafter(np.float32(1), np.float32(2)))


class Rounding(keras.layers.Layer):
    """A layer whose answers are eight bits: 256 steps between `low` and `high`; float32 until it is settled.

    Args:
        source: the layer or operation of the network that is computed; None where a subclass computes.
        relu: follows, None or the largest value it lets through.
    """

    def __init__(self, source: Any, relu: float | None, name: str):
        super().__init__(name=name, dtype="float32", trainable=False)
        self.source, self.relu, self.settled = source, relu, False
        self.supports_masking = True
        self.low = self.add_weight(name="low", shape=(), initializer="zeros", trainable=False)
        self.high = self.add_weight(name="high", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.rounded(self.source(*inputs) if isinstance(inputs, tuple) else self.source(inputs))

    def rounded(self, x: Any) -> Any:
        if self.relu is not None:
            x = tf.nn.relu6(x) if self.relu == 6 else tf.nn.relu(x)
        if self.settled:
            return tf.quantization.fake_quant_with_min_max_vars(x, self.low.value, self.high.value)
        self.low.assign(tf.minimum(self.low, tf.reduce_min(x)))
        self.high.assign(tf.maximum(self.high, tf.reduce_max(x)))
        return x

    def settle(self) -> None:
        """Ranges were seen: from now on answers are rounded."""
        if self.low.numpy() == self.high.numpy():
            self.high.assign(1.0)  # zeros alone have no step
        self.settled = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: who takes a mask was given it as an argument when the network was built, and is here."""


class Begin(Rounding):
    """Where integers begin: rounds what comes in."""

    def __init__(self, name: str):
        super().__init__(None, None, name)

    def call(self, x: Any) -> Any:
        return self.rounded(x)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, "float32")  # not sparse, as Keras takes a product with a number to be


class Lookup(Rounding):
    """An embedding: its answers have the range of its table."""

    def __init__(self, source: Any, name: str):
        super().__init__(source, None, name)
        table = source.embeddings.numpy()
        self.low.assign(min(0.0, table.min()))
        self.high.assign(max(0.0, table.max()))

    def call(self, ids: Any) -> Any:
        table = tf.convert_to_tensor(self.source.embeddings)
        return self.rounded(tf.gather(self.rounded(table) if self.settled else table, tf.cast(ids, tf.int32)))


@dataclass(frozen=True)
class Kernel:
    """One convolution, over images; sequences are images of height 1, and vectors images of one pixel.

    Args:
        weights: `[h, w, in, out]`, of a depthwise one `[h, w, 1, out]`.
        bias: `[out]`.
        strides, rates: of height and width.
        padding: `SAME` or `VALID`.
        before: zeros put before the width (causal).
        multiplier: outputs a channel of a depthwise convolution, or 0.
    """

    weights: np.ndarray
    bias: np.ndarray
    strides: tuple[int, int] = (1, 1)
    rates: tuple[int, int] = (1, 1)
    padding: str = "VALID"
    before: int = 0
    multiplier: int = 0

    def normalised(self, layer: Any) -> "Kernel":
        """The same with batch normalisation after it."""
        gamma = 1.0 if layer.gamma is None else layer.gamma.numpy()
        beta = 0.0 if layer.beta is None else layer.beta.numpy()
        scale = gamma / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
        return replace(self, weights=self.weights * scale, bias=(self.bias - layer.moving_mean.numpy()) * scale + beta)


class Convolution(Rounding):
    """Convolution, bias and relu as one; its kernel is rounded by output channel, symmetrically.

    Args:
        kernel: what is computed.
        reads: the layer that rounded the input.
    """

    def __init__(self, kernel: Kernel, reads: Rounding, relu: float | None, name: str):
        super().__init__(None, relu, name)
        self.how, self.reads = kernel, reads
        self.kernel = self.add_weight(name="kernel", shape=kernel.weights.shape, trainable=False)
        self.bias = self.add_weight(name="bias", shape=kernel.bias.shape, trainable=False)
        self.top = self.add_weight(name="top", shape=kernel.bias.shape, initializer="ones", trainable=False)
        self.kernel.assign(kernel.weights)
        self.bias.assign(kernel.bias)

    def call(self, x: Any) -> Any:
        how, rank = self.how, len(x.shape)
        for _ in range(4 - rank):
            x = tf.expand_dims(x, 1)
        if how.before:
            x = tf.pad(x, [[0, 0], [0, 0], [how.before, 0], [0, 0]])
        kernel = tf.convert_to_tensor(self.kernel)
        if self.settled:
            kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
                kernel, -self.top.value, self.top.value, narrow_range=True)
        if how.multiplier:
            kernel = tf.reshape(kernel, (*how.weights.shape[:2], -1, how.multiplier))
            x = tf.nn.depthwise_conv2d(x, kernel, (1, *how.strides, 1), how.padding, dilations=how.rates)
        else:
            x = tf.nn.conv2d(x, kernel, how.strides, how.padding, dilations=how.rates)
        # Rounded before the axes go: the converter joins bias, relu and rounding only straight after a convolution.
        x = self.rounded(tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)))
        return tf.squeeze(x, list(range(1, 5 - rank))) if rank < 4 else x

    def settle(self) -> None:
        super().settle()
        largest = np.abs(self.how.weights).reshape(-1, len(self.how.bias)).max(0)
        # The bias is an int32 number of steps of input times kernel: where the kernel of a channel is next to nothing
        # its steps must not be, or the bias overflows.
        step = (self.reads.high.numpy() - self.reads.low.numpy()) / 255
        least = 127 * np.abs(self.how.bias) / (step * 2**30)
        self.top.assign(np.maximum(np.maximum(largest, least), 1e-12))


class End(keras.layers.Layer):
    """Where integers end, see `END`."""

    def __init__(self, name: str):
        super().__init__(name=name, dtype="float32", trainable=False)
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        return x * END

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None, as above."""


def as_convolutions(layer: Any, x: Any) -> list[Kernel]:
    """A layer as convolutions of images, its activation aside; none where it has another layout or groups."""
    if len(x.shape) > 4 or getattr(layer, "data_format", None) == "channels_first" or getattr(layer, "groups", 1) > 1:
        return []
    bias = None if layer.bias is None else layer.bias.numpy()
    if isinstance(layer, L.Dense):
        weights = layer.kernel.numpy()[None, None]
        return [Kernel(weights, np.zeros(layer.units, np.float32) if bias is None else bias)]
    flat = len(layer.kernel_size) == 1

    def weights_of(variable: Any) -> np.ndarray:
        return variable.numpy()[None] if flat else variable.numpy()

    rates = (1, *layer.dilation_rate) if flat else tuple(layer.dilation_rate)
    where: dict[str, Any] = {"strides": tuple(layer.strides) * (2 if flat else 1), "rates": rates,
                             "padding": "SAME" if layer.padding == "same" else "VALID",
                             "before": (layer.kernel_size[0] - 1) * rates[1] if layer.padding == "causal" else 0}
    if isinstance(layer, L.Conv1D | L.Conv2D):
        weights = weights_of(layer.kernel)
        return [Kernel(weights, np.zeros(weights.shape[-1], np.float32) if bias is None else bias, **where)]
    separable = isinstance(layer, L.SeparableConv1D | L.SeparableConv2D)
    weights = weights_of(layer.depthwise_kernel if separable else layer.kernel)
    height, width, channels, multiplier = weights.shape
    weights = weights.reshape(height, width, 1, channels * multiplier)
    zeros = np.zeros(channels * multiplier, np.float32)
    depthwise = Kernel(weights, zeros if separable or bias is None else bias, multiplier=multiplier, **where)
    if not separable:
        return [depthwise]
    pointwise = weights_of(layer.pointwise_kernel)
    return [depthwise, Kernel(pointwise, np.zeros(pointwise.shape[-1], np.float32) if bias is None else bias)]
