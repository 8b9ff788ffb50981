"""Blocks that several apps' networks are built from. Each takes and gives a Keras tensor.

Convolutions carry no bias where batch normalisation follows: it would be subtracted again, and the pair folds into
one integer operation on export.
"""

from dataclasses import dataclass
from typing import Any

import keras

from shared.layers.batch_normalization import BatchNormalization

L = keras.layers
Size = int | tuple[int, int]  # of both axes, or of height and width


@dataclass(frozen=True)
class Style:
    """What a network's layers have in common: `Style.of(settings)` reads it from an app's settings.

    Args:
        activation: Keras name of the activation between layers.
        initializer: Keras name of the kernels' initialiser.
        l1, l2: penalties on kernels.
        momentum: of the moving statistics of batch normalisation; lower where an epoch has few steps.
    """

    activation: str = "relu"
    initializer: str = "he_normal"
    l1: float = 0.0
    l2: float = 0.0
    momentum: float = 0.99

    @classmethod
    def of(cls, settings: Any) -> "Style":
        return cls(settings.activation, settings.initializer, settings.l1, settings.l2)

    def penalty(self) -> keras.regularizers.Regularizer | None:
        return keras.regularizers.L1L2(self.l1, self.l2) if self.l1 or self.l2 else None

    def kernel(self) -> dict[str, Any]:
        """Keyword arguments of a layer with one kernel."""
        return {"kernel_initializer": self.initializer, "kernel_regularizer": self.penalty()}


def convolution(x: Any, style: Style, filters: int, kernel: Size = 3, stride: Size = 1, activate: bool = True,
                rate: int = 1, padding: str = "same") -> Any:
    """Convolution, batch normalisation, activation: `[n, h, w, c]` to `[n, h / stride, w / stride, filters]`.

    Args:
        rate: distance between the taps of the kernel (atrous convolution), for stride 1.
        padding: `valid` where `x` is padded already.
    """
    x = L.Conv2D(filters, kernel, stride, padding=padding, dilation_rate=rate, use_bias=False, **style.kernel())(x)
    x = BatchNormalization(momentum=style.momentum)(x)
    return L.Activation(style.activation)(x) if activate else x


def separable(x: Any, style: Style, filters: int, kernel: Size = 3, stride: Size = 1, rate: int = 1,
              padding: str = "same") -> Any:
    """Depthwise then pointwise convolution, each normalised and activated (MobileNet: Howard et al. 2017)."""
    x = L.DepthwiseConv2D(kernel, stride, padding=padding, dilation_rate=rate, use_bias=False,
                          depthwise_initializer=style.initializer, depthwise_regularizer=style.penalty())(x)
    x = L.Activation(style.activation)(BatchNormalization(momentum=style.momentum)(x))
    return convolution(x, style, filters, 1)


def residual(x: Any, style: Style, filters: int, stride: int = 1, rate: int = 1) -> Any:
    """Two 3x3 convolutions round which the input goes by (ResNet: He et al. 2016); a 1x1 one where shapes differ."""
    y = convolution(x, style, filters, 3, stride, rate=rate)
    y = convolution(y, style, filters, 3, activate=False, rate=rate)
    if stride > 1 or x.shape[-1] != filters:
        x = convolution(x, style, filters, 1, stride, activate=False)
    return L.Activation(style.activation)(L.Add()([x, y]))
