"""Networks from the last items of a history to a score for every item of the catalogue."""

from collections.abc import Callable
from typing import Any

import keras

from shared.layers.causal_padding import CausalPadding
from shared.networks.blocks import Style, convolution
from shared.networks.words import Used

L = keras.layers
ops = keras.ops
ITEMS, ENCODED = "table", "encoded"  # names of layers: the table, and what is compared with its rows


@keras.saving.register_keras_serializable("pocketconv")
class Items(keras.layers.Layer):
    """A table of vectors that gives items theirs, and vectors their likeness to each item's: one table for both
    (Press and Wolf 2017, https://arxiv.org/abs/1608.05859).

    Args:
        count: items; numbers are from 1 on, and 0 is none of them.
        dimension: of a vector.
    """

    def __init__(self, count: int, dimension: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count, self.dimension = count, dimension

    def build(self, *shapes: Any) -> None:
        self.table = self.add_weight(shape=(self.count + 1, self.dimension), name="table",
                                     initializer=keras.initializers.RandomNormal(stddev=self.dimension ** -0.5))
        self.bias = self.add_weight(shape=(self.count + 1,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x: Any, score: bool = False) -> Any:
        """Items, int32 `[n, t]`, to vectors `[n, t, dimension]`; or with `score` vectors `[..., dimension]` to scores
        `[..., 1 + count]`."""
        if score:
            return ops.matmul(x, ops.transpose(ops.convert_to_tensor(self.table))) + self.bias
        return ops.take(self.table, x, 0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"count": self.count, "dimension": self.dimension}


def nextitnet(items: Any, table: Items, settings: Any, style: Style) -> Any:
    """Dilated causal convolutions with shortcuts (NextItNet: Yuan et al. 2019, https://arxiv.org/abs/1808.05163): a
    vector at each step, of what came until then; with `--attention` each looks back at all before it besides."""
    used = L.Reshape((-1, 1, 1))(Used()(items))
    x = L.Multiply()([L.Reshape((-1, 1, settings.dimension))(table(items)), used])
    x = L.Dropout(settings.dropout)(x)
    for rate in settings.each_dilation():
        y = CausalPadding((settings.kernel - 1) * rate)(x)
        y = L.Conv2D(settings.dimension, (settings.kernel, 1), dilation_rate=(rate, 1), padding="valid",
                     activation=style.activation, **style.kernel())(y)
        x = L.Add()([x, L.Dropout(settings.dropout)(y)])
    x = L.Reshape((-1, settings.dimension))(L.Dense(settings.dimension, **style.kernel())(x))
    if settings.attention:
        looked = L.MultiHeadAttention(settings.attention, settings.dimension // settings.attention,
                                      dropout=settings.dropout)(x, x, use_causal_mask=True)
        x = L.Add()([x, looked])
    return L.Identity(name=ENCODED)(x)


def caser(items: Any, table: Items, settings: Any, style: Style) -> Any:
    """The last items as a picture: horizontal convolutions over some of them at once, vertical ones over a number of
    all their vectors (Caser: Tang and Wang 2018, https://arxiv.org/abs/1809.07426); without its table of people, whom
    a file must not know."""
    used = L.Reshape((-1, 1, 1))(Used()(items))
    picture = L.Multiply()([L.Reshape((-1, 1, settings.dimension))(table(items)), used])
    steps = picture.shape[1]
    seen = [L.Flatten()(L.Conv2D(settings.vertical, (steps, 1), **style.kernel())(
        L.Reshape((steps, settings.dimension, 1))(picture)))]
    for height in range(1, steps + 1):
        y = convolution(picture, style, settings.filters, (height, 1), padding="valid")
        seen.append(L.GlobalMaxPooling2D()(y))
    x = L.Dropout(settings.dropout)(L.Concatenate()(seen))
    return L.Dense(settings.dimension, **style.kernel(), name=ENCODED)(x)


NETWORKS: dict[str, Callable[..., Any]] = {"nextitnet": nextitnet, "caser": caser, "two_tower": nextitnet}
EVERY_STEP = {"nextitnet", "two_tower"}  # networks that give a vector at each step of the history
