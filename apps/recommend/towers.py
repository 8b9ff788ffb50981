"""Two towers: items by what is known of them, whether or not anyone had them, and people by their histories of such
items (Covington et al. 2016, https://doi.org/10.1145/2959100.2959190)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.recommend.model import Recommender
from apps.recommend.networks import ENCODED, ITEMS, ItemTable
from shared.data.dataset import Split
from shared.facts import Facts
from shared.model import NETWORK, Model, Signature, Tensors
from shared.networks.blocks import Style
from shared.networks.words import MaxOverTime, MeanOverTime, Used, embedding

L = keras.layers
ops = keras.ops
TOWER = "item_tower"  # name of the layer that gives every item's vector
WORDS, VALUES, CHANNELS, WIDE = 32, 32, 64, 128  # numbers of a word's and a value's vector, of the layers after them
NEVER = -1e9  # added to scores in training alone


@keras.saving.register_keras_serializable("pocketconv")
class Stored(keras.layers.Layer):
    """A table of whole numbers that is not learned, whatever goes in: int32 `shape`.

    Args:
        shape: of the table.
        table: its numbers; zeros until weights are loaded where None.
    """

    def __init__(self, shape: Any, table: np.ndarray | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.shape, self.begin = tuple(shape), table

    def build(self, *shapes: Any) -> None:
        begin = np.zeros(self.shape, np.int32) if self.begin is None else self.begin
        self.table = self.add_weight(shape=self.shape, dtype="int32", trainable=False, name="table",
                                     initializer=lambda shape, dtype: ops.convert_to_tensor(begin, dtype))
        self.built = True

    def call(self, anything: Any) -> Any:
        return ops.convert_to_tensor(self.table)

    def compute_output_spec(self, anything: Any) -> Any:
        return keras.KerasTensor(self.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shape": self.shape}


@keras.saving.register_keras_serializable("pocketconv")
class ItemVectors(keras.layers.Layer):
    """What the tower makes of items and, of those that somebody had, a learned remainder, zeros at first. While
    training a share of the items lack theirs at each step, as if nobody had had them yet (DropoutNet: Volkovs et al.
    2017, https://papers.nips.cc/paper/7081); new ones keep the zeros.

    Args:
        unknown: that share.

    Input and output shape: `[1 + items, dimension]`.

    Attributes:
        fixed: the output as an array, once that is known: files then hold it, and not what made it.
    """

    fixed: np.ndarray | None = None

    def __init__(self, unknown: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.unknown, self.seed_generator = unknown, keras.random.SeedGenerator()

    def build(self, shape: Any) -> None:
        self.own = self.add_weight(shape=shape, initializer="zeros", name="own")
        self.built = True

    def call(self, vectors: Any, training: bool = False) -> Any:
        if self.fixed is not None:
            return ops.convert_to_tensor(self.fixed, self.compute_dtype)
        own = ops.convert_to_tensor(self.own)
        if training and self.unknown:
            draws = keras.random.uniform((own.shape[0], 1), seed=self.seed_generator)
            own = own * ops.cast(draws >= self.unknown, own.dtype)
        return vectors + own

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"unknown": self.unknown}


@keras.saving.register_keras_serializable("pocketconv")
class Made(ItemTable):
    """Vectors by a table `[1 + items, dimension]` that other layers made."""

    def call(self, x: Any, table: Any, score: bool = False) -> Any:
        """Items `[..., t]` to vectors `[..., t, dimension]`; with `score` vectors to scores `[..., 1 + items]`."""
        return self.likeness(x, table) if score else self.rows(x, table)


class Towers:
    """What `networks.Items` is, of vectors that the item tower makes, once a step for all items. No item has a bias:
    one that nobody had would have none.

    Args:
        items: of the histories, int32 `[n, t]`.
        facts: `item_words` and `item_values`.
        settings: `dimension`, `dropout`, `word_dropout`, `unknown_items`.
    """

    def __init__(self, items: Any, facts: Facts, settings: Any, style: Style):
        tower = item_tower(items, facts, settings, style)
        self.vectors, self.made = ItemVectors(settings.unknown_items, name=TOWER)(tower), Made(name=ITEMS)

    def __call__(self, x: Any, score: bool = False) -> Any:
        return self.made(x, self.vectors, score=score)


def item_tower(anchor: Any, facts: Facts, settings: Any, style: Style) -> Any:
    """Words of titles embedded, convolved and pooled, beside each attribute's values, embedded and averaged; then
    dense layers: `[1 + items, dimension]`.

    Args:
        anchor: any input, by which Keras knows the tables as part of its graph.
    """
    rate = settings.word_dropout
    words = Stored(facts["item_words"].shape, facts["item_words"], name="item_words")(anchor)
    x = embedding(len(facts["words"]) + 1, WORDS, "words")(words)
    x = L.Multiply()([L.Dropout(rate, noise_shape=(None, None, 1))(x), Used()(words)])
    x = L.Conv1D(CHANNELS, 3, padding="same", activation="relu", **style.kernel())(x)
    parts = [MaxOverTime()(x, Used()(words))]
    if facts["item_values"].shape[1]:
        values = Stored(facts["item_values"].shape, facts["item_values"], name="item_values")(anchor)
        used = Used()(values)
        x = embedding(len(facts["attribute_values"]) + 1, VALUES, "attribute_values")(values)
        parts.append(L.Flatten()(MeanOverTime()(x, used)))
    x = L.Dropout(settings.dropout)(L.Concatenate()(parts))
    x = L.Dense(WIDE, activation=style.activation, **style.kernel())(x)
    return L.Dense(settings.dimension, **style.kernel())(L.Dropout(settings.dropout)(x))


@keras.saving.register_keras_serializable("pocketconv")
class Without(keras.layers.Layer):
    """Scores of items, `[..., 1 + items]`, without those that training lacks: they would all be learned to be wrong.

    Args:
        trained: which items it has, bool `[1 + items]`.
    """

    def __init__(self, trained: np.ndarray, **kwargs: Any):
        super().__init__(**kwargs)
        self.trained = trained

    def call(self, scores: Any) -> Any:
        return ops.where(self.trained, scores, ops.cast(NEVER, scores.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def vectors_of(network: keras.Model) -> np.ndarray:
    """What the item tower makes of each item, float32 `[1 + items, dimension]`."""
    tower = keras.Model(network.input, network.get_layer(TOWER).output)
    return ops.convert_to_numpy(tower({name: ops.zeros([1, spec.shape[1] or 1], "int32")
                                       for name, spec in network.input.items()}))


class TwoTower(Recommender):
    """Facts: `item_words` and `item_values` of all items, `words` and `attribute_values`, see `attributes.learned`."""

    def table(self, items: Any, style: Style) -> Any:
        return Towers(items, self.facts, self.settings, style)

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """The network with scores at every step of a history, of the items alone that training has."""
        encoded, vectors = (network.get_layer(name).output for name in (ENCODED, TOWER))
        scores = network.get_layer(ITEMS)(encoded, vectors, score=True)
        return keras.Model(network.input, Without(np.concatenate([[False], self.facts["counts"] > 0]))(scores))

    def signatures(self, network: keras.Model) -> dict[str, Signature]:
        network.get_layer(TOWER).fixed = vectors_of(network)
        return super().signatures(network)

    def carried(self, layer: keras.Layer, origin: keras.Layer, source: Model) -> list[np.ndarray] | None:
        """Vectors go with their words, values and items, whatever their numbers."""
        if isinstance(layer, Stored):
            return layer.get_weights()
        of = {"words": "words", "attribute_values": "attribute_values", TOWER: "labels"}.get(layer.name)
        if of is None:
            return super().carried(layer, origin, source)
        [table], [old] = layer.get_weights(), origin.get_weights()
        place = {name: row for row, name in enumerate(source.facts[of], 1)}
        for row, name in enumerate(self.facts[of], 1):
            if name in place and table.shape[1] == old.shape[1]:
                table[row] = old[place[name]]
        return [table]

    def outputs(self, encoded: Any, table: Any) -> dict[str, Any]:
        return {**super().outputs(encoded, table), "vectors": table.vectors}

    def scored(self, outputs: Tensors, items: tf.Tensor, network: keras.Model) -> tf.Tensor:
        with tf.name_scope(NETWORK):
            vectors = network.get_layer(ITEMS)(items, outputs["vectors"])
        return tf.reduce_sum(vectors * outputs["encoded"][:, None], 2)

    def vectors(self, network: keras.Model) -> np.ndarray:
        return vectors_of(network)
