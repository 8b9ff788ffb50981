"""Networks from features to scores by frame, or by clip. What stands behind the last frame never changes an answer."""

from collections.abc import Callable
from typing import Any

import keras

from shared.layers.causal_padding import CausalPadding
from shared.networks.blocks import Style, convolution, separable
from shared.networks.words import MeanOverTime

L = keras.layers
ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class Within(keras.layers.Layer):
    """1 for the first steps of a sequence, 0 behind them: int32 `[n]` and `[n, t, ...]` to floats `[n, t, 1, 1]`.

    Args:
        halved: how often the sequence was halved since its steps were counted, odd ones rounded up.
    """

    def __init__(self, halved: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.halved = halved

    def call(self, frames: Any, sequence: Any) -> Any:
        size = 1 << self.halved
        steps = ops.reshape(ops.arange(ops.shape(sequence)[1], dtype="int32"), (1, -1, 1, 1))
        return ops.cast(steps < ops.reshape((frames + size - 1) // size, (-1, 1, 1, 1)), self.compute_dtype)

    def compute_output_shape(self, frames_shape: Any, sequence_shape: Any) -> Any:
        return frames_shape[0], sequence_shape[1], 1, 1

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"halved": self.halved}


def convolutional(features: Any, frames: Any, settings: Any, style: Style) -> tuple[Any, Any]:
    """Time-channel separable convolutions with shortcuts (QuartzNet: Kriman et al. 2020,
    https://arxiv.org/abs/1910.10261), behind two that go over time and frequency, so that a pattern is known at any
    pitch; steps are halved once. Causal ones see no later step."""
    def padded(x: Any, kernel: int) -> Any:
        return CausalPadding(kernel - 1)(x) if settings.causal else x

    def over_both(x: Any, layer: Callable[..., Any], filters: int, stride: tuple[int, int]) -> Any:
        if settings.causal:
            x = L.ZeroPadding2D(((0, 0), (1, 1)))(CausalPadding(2)(x))
        return layer(x, style, filters, 3, stride, padding=padding)
    padding = "valid" if settings.causal else "same"
    used = Within()(frames, features)
    x = L.Multiply()([L.Reshape((-1, features.shape[2], 1))(features), used])
    x = over_both(x, convolution, settings.filters // 4, (2, 2))
    used = Within(1, name="used")(frames, x)
    x = over_both(L.Multiply()([x, used]), separable, settings.filters // 2, (1, 2))
    x = convolution(L.Reshape((-1, 1, x.shape[2] * x.shape[3]))(x), style, settings.filters, 1)
    for block in range(settings.depth):
        kernel, y = 2 * (settings.kernel // 2 + block) + 1, x
        for _ in range(2):
            y = padded(L.Multiply()([y, used]), kernel)
            y = separable(y, style, settings.filters, (kernel, 1), padding=padding)
        x = L.Add()([x, L.SpatialDropout2D(settings.block_dropout)(y)])
    return convolution(L.Multiply()([x, used]), style, 2 * settings.filters, (1, 1)), used


def recurrent(layer: Any) -> Callable[..., tuple[Any, Any]]:
    """Convolutions over time and frequency, then a recurrent layer in both directions (Sainath et al. 2015, CLDNN,
    https://doi.org/10.1109/ICASSP.2015.7178838); steps are halved once."""
    def build(features: Any, frames: Any, settings: Any, style: Style) -> tuple[Any, Any]:
        used = Within()(frames, features)
        x = L.Multiply()([L.Reshape((*features.shape[1:], 1))(features), used])
        x = convolution(x, style, settings.filters // 4, 3, 2)
        used = Within(1, name="used")(frames, x)
        for filters in (settings.filters // 2, settings.filters // 2):
            x = convolution(L.Multiply()([x, used]), style, filters, 3, (1, 2))
        x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
        x = L.Dropout(settings.dropout)(L.Dense(settings.filters, style.activation, **style.kernel())(x))
        mask = ops.not_equal(L.Reshape((-1,))(used), 0)
        for _ in range(settings.recurrent_depth):
            x = L.Bidirectional(layer(settings.filters, return_sequences=True))(x, mask=mask)
            x = L.Dropout(settings.dropout)(x)
        if settings.model == "attention":
            whole = ops.logical_and(ops.expand_dims(mask, 1), ops.expand_dims(mask, 2))
            seen = L.MultiHeadAttention(4, settings.filters // 2, name="attention")(x, x, attention_mask=whole)
            x = L.Concatenate()([x, seen])
        x = L.Multiply()([x, L.Reshape((-1, 1))(used)])  # Keras' mask ends here
        return L.Reshape((x.shape[1], 1, x.shape[2]))(x), used
    return build


NETWORKS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "cnn_lstm": recurrent(L.LSTM), "cnn_gru": recurrent(L.GRU), "separable": convolutional,
    "attention": recurrent(L.LSTM)}


def by_clip(x: Any, used: Any, classes: int, dropout: float) -> Any:
    """One label a clip: logits `[n, classes]`."""
    mean = MeanOverTime()(*(L.Reshape((-1, values.shape[3]))(values) for values in (x, used)))
    return L.Dense(classes, dtype="float32", name="logits")(L.Dropout(dropout)(mean))


def by_frame(x: Any, used: Any, symbols: int, dropout: float) -> Any:
    """A symbol, or none (the last), a frame: logits `[n, t, symbols + 1]`."""
    x = L.Reshape((x.shape[1], x.shape[3]))(x)
    return L.Dense(symbols + 1, dtype="float32", name="logits")(L.Dropout(dropout)(x))
