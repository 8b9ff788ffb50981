"""Networks from the last items of a history to a score for every item of the catalogue."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from shared.layers.causal_padding import CausalPadding
from shared.model import FLOAT
from shared.networks.blocks import Style, convolution
from shared.networks.words import Used

L = keras.layers
ops = keras.ops
ITEMS, ENCODED = "table", f"{FLOAT}encoded"  # names of layers: the table, and what is compared with its rows


class ItemTable(keras.layers.Layer):
    """What gives items their vectors, and vectors their likeness to each item's, by a table `[1 + items, dimension]`.

    Attributes:
        by_row: the table, each row over its largest number, and those numbers, for int8 files: eight bits for the
            whole table would leave few to the rows of small numbers, which are most.
    """

    by_row: tuple[np.ndarray, np.ndarray] | None = None

    def round_by_row(self, table: np.ndarray) -> None:
        most = np.maximum(np.abs(table).max(1, keepdims=True), 1e-9)
        self.by_row = table / most, most

    def rows(self, items: Any, table: Any) -> Any:
        """Items, int32 `[..., t]`, to vectors `[..., t, dimension]`."""
        if self.by_row is None:
            return ops.take(table, items, 0)
        rows, most = self.by_row
        rows = ops.take(rows, items, 0)
        with keras.name_scope(f"{FLOAT}rows"):
            # One axis more: a product is computed in the place of its first factor, whose range would become its own.
            return ops.squeeze(ops.expand_dims(rows, -2) * ops.expand_dims(ops.take(most, items, 0), -2), -2)

    def likeness(self, x: Any, table: Any) -> Any:
        """Vectors `[..., dimension]` to scores `[..., 1 + items]`."""
        return ops.matmul(x, ops.transpose(ops.convert_to_tensor(table)))


@keras.saving.register_keras_serializable("pocketconv")
class Items(ItemTable):
    """A table that is learned, one for both uses (Press and Wolf 2017, https://arxiv.org/abs/1608.05859), and what is
    added to each item's score.

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
        return self.likeness(x, self.table) + self.bias if score else self.rows(x, self.table)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"count": self.count, "dimension": self.dimension}


def nextitnet(items: Any, table: Items, settings: Any, style: Style) -> Any:
    """Dilated causal convolutions with shortcuts (NextItNet: Yuan et al. 2019, https://arxiv.org/abs/1808.05163): a
    vector at each step, of what came until then; with `--attention` each looks back at all before it besides."""
    used = L.Reshape((-1, 1, 1))(Used()(items))
    x = L.Multiply(name=f"{FLOAT}used")([L.Reshape((-1, 1, settings.dimension), name=f"{FLOAT}picture")(table(items)),
                                        used])
    x = L.Dropout(settings.dropout)(x)
    for place, rate in enumerate(settings.each_dilation()):
        y = CausalPadding((settings.kernel - 1) * rate)(x)
        y = L.Conv2D(settings.dimension, (settings.kernel, 1), dilation_rate=(rate, 1), padding="valid",
                     activation=style.activation, **style.kernel())(y)
        x = L.Add(name=f"{FLOAT}sum_{place}")([x, L.Dropout(settings.dropout)(y)])
    x = L.Dense(settings.dimension, name=f"{FLOAT}dense", **style.kernel())(x)
    x = L.Reshape((-1, settings.dimension), name=f"{FLOAT}steps")(x)
    if settings.attention:
        looked = L.MultiHeadAttention(settings.attention, settings.dimension // settings.attention,
                                      dropout=settings.dropout)(x, x, use_causal_mask=True)
        x = L.Add(name=f"{FLOAT}sum")([x, looked])
    return L.Identity(name=ENCODED)(x)


def caser(items: Any, table: Items, settings: Any, style: Style) -> Any:
    """Items as a picture: horizontal convolutions over some of the last ones at once, vertical ones over a number of
    all vectors that are read (Caser: Tang and Wang 2018, https://arxiv.org/abs/1809.07426). The paper's table of
    people tells what they like in the long run; a file must not know people, so here a longer history tells it."""
    used = L.Reshape((-1, 1, 1))(Used()(items))
    picture = L.Multiply()([L.Reshape((-1, 1, settings.dimension))(table(items)), used])
    steps = picture.shape[1]
    seen = [L.Flatten()(L.Conv2D(settings.vertical, (steps, 1), **style.kernel())(
        L.Reshape((steps, settings.dimension, 1))(picture)))]
    recent = min(settings.recent, steps)
    last = L.Cropping2D(((steps - recent, 0), (0, 0)))(picture)
    for height in range(1, recent + 1):
        y = convolution(last, style, settings.filters, (height, 1), padding="valid")
        seen.append(L.GlobalMaxPooling2D()(y))
    x = L.Dropout(settings.dropout)(L.Concatenate()(seen))
    return L.Dense(settings.dimension, **style.kernel(), name=ENCODED)(x)


NETWORKS: dict[str, Callable[..., Any]] = {"nextitnet": nextitnet, "caser": caser, "two_tower": nextitnet}
EVERY_STEP = {"nextitnet", "two_tower"}  # networks that give a vector at each step of the history
