"""The TensorFlow part: a history of items in; the items that suit it best, without those, out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.recommend.histories import joined
from apps.recommend.networks import ENCODED, EVERY_STEP, ITEMS, NETWORKS, Items
from apps.recommend.objectives import NextItemTrainer
from apps.recommend.ranking import Ranking
from apps.recommend.windows import stretches, windows
from shared.data.dataset import Split
from shared.data.stateless import uniform
from shared.model import FLOAT, NETWORK, Model, Signature, Tensors
from shared.networks.blocks import Style
from shared.signature import Tensor

SCORED = 256  # items that the signature `score` takes at once


class Recommender(Model):
    """Facts: `labels` (the items, number 1 first), `length` of a history, `exclude`, `top`."""

    augments_raw = True

    @property
    def count(self) -> int:
        return len(self.facts["labels"])

    @property
    def every_step(self) -> bool:
        """Whether the network gives a vector at each step of the history."""
        return self.settings.model in EVERY_STEP

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {name: Tensor((self.facts[size],), "int32") for name, size in (("history", "length"),
                                                                              ("exclude", "exclude"))}

    def preprocess(self, raw: Tensors) -> Tensors:
        history, exclude = raw["history"], raw["exclude"]
        # What is no item of the catalogue is none.
        history, exclude = (tf.where((ids > 0) & (ids <= self.count), ids, 0) for ids in (history, exclude))
        return {"items": history, "excluded": tf.concat([history, exclude], 1)}

    def network_inputs(self) -> dict[str, Any]:
        steps = {"items": self.facts["length"], "excluded": None}  # the network does not read the last
        return {name: keras.Input([size], dtype="int32", name=name) for name, size in steps.items()}

    def table(self, items: Any, style: Style) -> Any:
        """What gives items their vectors, and vectors their scores, see `networks.Items`."""
        return Items(self.count, self.settings.dimension, name=ITEMS)

    def network(self) -> keras.Model:
        inputs, style = self.network_inputs(), Style.of(self.settings)
        table = self.table(inputs["items"], style)
        encoded = NETWORKS[self.settings.model](inputs["items"], table, self.settings, style)
        if self.every_step:
            last = keras.layers.Cropping1D((self.facts["length"] - 1, 0), name=f"{FLOAT}step")(encoded)
            encoded = keras.layers.Reshape((self.settings.dimension,), name=f"{FLOAT}last")(last)
        return keras.Model(inputs, self.outputs(encoded, table), name=NETWORK)

    def outputs(self, encoded: Any, table: Any) -> dict[str, Any]:
        """What the network gives, of a vector of the history."""
        return {"scores": table(encoded, score=True), "encoded": encoded}

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """One that learns at every step of a history, where the network can."""
        return NextItemTrainer(network.input, network.get_layer(ENCODED).output, network.get_layer(ITEMS),
                               self.settings.loss, self.facts["counts"], self.settings.negatives)

    def postprocess(self, outputs: Tensors, inputs: Any, network: keras.Model) -> Tensors:
        ranking = self.ranking(outputs, inputs, network)
        _, order = tf.math.top_k(ranking.chances, self.facts["top"])
        items, best = (tf.gather(values, order, batch_dims=1) for values in (ranking.items, ranking.chances))
        return {"items": tf.where(best > 0, items, -1), "scores": best}

    def ranking(self, outputs: Tensors, inputs: Any, network: keras.Model) -> Ranking:
        return Ranking(outputs["scores"], inputs["excluded"], lambda items: self.scored(outputs, items, network),
                       min(2 * self.facts["top"], self.count + 1))

    def scored(self, outputs: Tensors, items: tf.Tensor, network: keras.Model) -> tf.Tensor:
        """Scores of `items`, `[n, k]`, in float: products of what the network made of histories, and their vectors."""
        table = network.get_layer(ITEMS)
        with tf.name_scope(NETWORK):  # looked up in integers
            vectors = table(items)
        return tf.reduce_sum(vectors * outputs["encoded"][:, None], 2) + tf.gather(table.bias, items)

    def signatures(self, network: keras.Model) -> dict[str, Signature]:
        """With `score`: probabilities of given items, `items` int32 `[SCORED]`, 0 where there are fewer."""
        def score(raw: Tensors) -> Tensors:
            with tf.name_scope("preprocess"):
                inputs = self.preprocess(raw)
            outputs = self.run(network, inputs)
            with tf.name_scope("postprocess"):
                items = tf.where((raw["items"] > 0) & (raw["items"] <= self.count), raw["items"], 0)
                return {"scores": self.ranking(outputs, inputs, network).chances_of(items)}
        return {**super().signatures(network),
                "score": Signature(score, {**self.inputs, "items": Tensor((SCORED,), "int32")})}

    def ranges(self, network: keras.Model, examples: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        items = np.arange(len(examples["history"]) * SCORED, dtype=np.int32) % self.count + 1
        return {**super().ranges(network, examples), "score": {**examples, "items": items.reshape(-1, SCORED)}}

    def for_int8(self, network: keras.Model) -> keras.Model:
        """With vectors that are rounded item by item."""
        copy = self.network()
        copy.set_weights(network.get_weights())
        copy.get_layer(ITEMS).round_by_row(self.vectors(copy))
        return copy

    def examples(self, train: Split) -> Split:
        """Stretches of histories, somewhat longer than the network reads, of which training takes another part each
        epoch; or, for networks that answer once a history, one for each item that came next."""
        length, ahead, whole = self.facts["length"], self.settings.ahead, joined(train)
        if self.every_step:
            window, slack = stretches(whole, length, ahead)
            return Split({"window": window, "slack": slack})
        return Split({"window": windows(whole, length, ahead)})

    def part(self, stretch: tf.Tensor, slack: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """The part of a stretch that is trained on this time."""
        places = whole_number(keys, 0, (), slack + 1)[:, None] + tf.range(self.facts["length"] + self.settings.ahead)
        return tf.gather(stretch, places, axis=1, batch_dims=1)

    def augment_raw(self, columns: Tensors, keys: tf.Tensor) -> Tensors:
        how, length, window = self.settings, self.facts["length"], columns["window"]
        if "slack" in columns:
            window = self.part(window, columns["slack"], keys)
        if how.reorder:
            window = reordered(window, uniform(keys, 2, (length + how.ahead,)) * how.reorder)
        history, following = window[:, :length], window[:, 1:length + 1]
        if how.ahead > 1:
            later = tf.range(1, length + 1)[None] + whole_number(keys, 3, (length,), how.ahead)
            later = tf.gather(window, later, axis=1, batch_dims=1)
            following = tf.where(later > 0, later, following)  # nothing is that far ahead
        if how.item_dropout:
            history = tf.where(uniform(keys, 1, (length,)) < how.item_dropout, 0, history)
        return {"history": history, "next": following, "exclude": history[:, :1]}  # nothing more than is in it

    def target(self, columns: Tensors) -> Any:
        return columns["next"] if self.every_step else columns["next"][:, -1]

    def weight(self, columns: Tensors) -> Any:
        return tf.cast(self.target(columns) > 0, tf.float32)

    def losses(self) -> dict[str, Any]:
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True,
                                                                   reduction="mean_with_sample_weight")}

    def vectors(self, network: keras.Model) -> np.ndarray:
        """Of all items, `[1 + items, dimension]`."""
        return network.get_layer(ITEMS).get_weights()[0]

    def embeddings(self, network: keras.Model) -> dict[str, tuple[list[str], np.ndarray]]:
        return {"items": (list(self.facts["titles"]), self.vectors(network)[1:])}


def whole_number(keys: tf.Tensor, stream: int, shape: tuple[int, ...], below: Any) -> tf.Tensor:
    """At random from 0 to `below` - 1, int32 `[batch, *shape]`."""
    return tf.cast(uniform(keys, stream, shape) * tf.cast(below, tf.float32), tf.int32)


def reordered(window: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
    """Items in the order of their places plus `moved`, `[n, t]`; padding stays where it is."""
    at = tf.cast(tf.range(window.shape[1]), tf.float32)[None] + tf.where(window > 0, moved, 0.0)
    after = tf.where(tf.cumsum(tf.cast(window > 0, tf.int32), 1, reverse=True) == 0, 1e9, at)  # padding at the end
    return tf.gather(window, tf.argsort(after, 1, stable=True), axis=1, batch_dims=1)
