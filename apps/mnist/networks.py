"""The networks of `--model`. Each maps normalised images `[batch, h, w, c]` to logits `[batch, classes]`, float32."""

from collections.abc import Callable
from typing import Any

import keras

from shared.networks.blocks import Style, convolution, residual, separable

L = keras.layers


def logits(x: Any, style: Style, classes: int) -> Any:
    return L.Dense(classes, dtype="float32", name="logits", **style.kernel())(x)


def cnn(x: Any, style: Style, classes: int, width: float, dropout: float) -> Any:
    """Convolution, pooling, convolution, pooling, dense: as textbooks draw it (after LeCun et al. 1998)."""
    for filters in (32, 64):
        x = L.Conv2D(round(filters * width), 3, **style.kernel())(x)
        x = L.MaxPooling2D()(L.Activation(style.activation)(x))
    x = L.Dropout(dropout)(L.Flatten()(x))
    x = L.Activation(style.activation)(L.Dense(round(128 * width), **style.kernel())(x))
    return logits(L.Dropout(dropout)(x), style, classes)


def resnet(x: Any, style: Style, classes: int, width: float, dropout: float) -> Any:
    """Residual blocks at half and quarter size (He et al. 2016), averaged over the image."""
    x = L.MaxPooling2D()(convolution(x, style, round(32 * width)))
    for filters, stride in ((32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        x = residual(x, style, round(filters * width), stride)
    x = L.Concatenate()([L.GlobalAveragePooling2D()(x), L.GlobalMaxPooling2D()(x)])
    return logits(L.Dropout(dropout)(x), style, classes)


def allconv(x: Any, style: Style, classes: int, width: float, dropout: float) -> Any:
    """Convolutions of stride 2 in place of pooling (Springenberg et al. 2015); the head sees where things are."""
    for filters, layers in ((32, ((3, 1), (5, 2))), (64, ((3, 1), (3, 1), (5, 2))), (128, ((3, 2),))):
        for kernel, stride in layers:
            x = convolution(x, style, round(filters * width), kernel, stride)
        x = L.Dropout(dropout)(x)
    return logits(L.Flatten()(x), style, classes)


def separable_cnn(x: Any, style: Style, classes: int, width: float, dropout: float) -> Any:
    """Depthwise separable convolutions (MobileNet: Howard et al. 2017): the small and fast one."""
    x = convolution(x, style, round(16 * width), 3, stride=2)
    for filters, kernel, stride in ((32, 5, 1), (64, 5, 2), (64, 5, 1), (96, 5, 1), (96, 3, 1)):
        x = separable(x, style, round(filters * width), kernel, stride)
    x = L.GlobalAveragePooling2D()(x)
    return logits(L.Dropout(dropout)(x), style, classes)


NETWORKS: dict[str, Callable[..., Any]] = {"cnn": cnn, "allconv": allconv, "resnet": resnet,
                                            "separable": separable_cnn}
