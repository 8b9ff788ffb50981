"""The TensorFlow part: a person and an item in; the rating out."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.recommend.rating_networks import ITEMS, NETWORKS, PEOPLE, RatedVectors, Vectors
from shared.data.dataset import Split
from shared.data.stateless import uniform
from shared.model import NETWORK, Model, Tensors
from shared.signature import Tensor

MOST = 3.0  # by which answers are stretched
AT_ONCE = 8192  # pairs that are answered at once to find by how much


class Rater(Model):
    """The network answers how far a rating lies from the biases, which are added outside of it: they span the whole
    range and would lose most by eight bits. Facts: `users` and `labels` (number 1 first), their biases, how many
    ratings training has of each, the `mean` and the `range`; and `slope`, see `calibrate`."""

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"user": Tensor((), "int32"), "item": Tensor((), "int32")}

    def preprocess(self, raw: Tensors) -> Tensors:
        made = {name: self.known(raw[name], self.facts[f"{name}_counts"]) for name in self.inputs}
        return {**made, "off": tf.zeros_like(raw["user"], tf.float32)}  # the rating's, known in training alone

    def known(self, numbers: tf.Tensor, counts: np.ndarray) -> tf.Tensor:
        """The numbers of those that training has ratings of, else 0."""
        inside = tf.where((numbers > 0) & (numbers < len(counts)), numbers, 0)
        return tf.where(tf.gather(tf.constant(counts), inside) > 0, inside, 0)

    def network(self) -> keras.Model:
        inputs = {name: keras.Input((), dtype="int32", name=name) for name in self.inputs}
        inputs["off"] = keras.Input((), name="off")
        people, items = (len(self.facts[f"{name}_counts"]) for name in self.inputs)
        return keras.Model(inputs, NETWORKS[self.settings.model](inputs, people, items, self.settings), name=NETWORK)

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        user, item, rating = (np.asarray(train.columns[name]) for name in ("user", "item", "rating"))
        off = rating - self.biased(user, item).numpy()
        for name, rows, others in ((PEOPLE, user, item), (ITEMS, item, user)):
            if isinstance(layer := network.get_layer(name), RatedVectors):
                layer.remember(rows, others, off)
        return network

    def carried(self, layer: keras.Layer, origin: keras.Layer, source: Model) -> list[np.ndarray] | None:
        """Tables only where their rows mean the same."""
        same = all(self.facts[names] == source.facts[names] for names in ("users", "labels"))
        tables = (Vectors, RatedVectors)
        return super().carried(layer, origin, source) if same or not isinstance(layer, tables) else None

    def biased(self, user: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """What biases alone say, float32 `[batch]`."""
        of_user, of_item = (tf.gather(tf.constant(self.facts[f"{name}_bias"]), numbers)
                            for name, numbers in (("user", user), ("item", item)))
        return self.facts["mean"] + of_user + of_item

    def postprocess(self, outputs: tf.Tensor, inputs: Any, network: keras.Model) -> Tensors:
        further = self.facts.get("slope", 1.0) * self.further(outputs, inputs)
        return {"rating": tf.clip_by_value(self.biased(inputs["user"], inputs["item"]) + further,
                                           *self.facts["range"])}

    def further(self, outputs: tf.Tensor, inputs: Any) -> tf.Tensor:
        """How far from what biases say, float32 `[batch]`: nothing, where one of the two is unknown."""
        known = (inputs["user"] > 0) & (inputs["item"] > 0)
        return tf.where(known, tf.reshape(outputs, [-1]), 0.0)

    def calibrate(self, network: keras.Model, validation: Split,
                  answer: Callable[[list[dict[str, Any]]], Iterator[dict[str, Any]]]) -> dict[str, Any]:
        """By what factor the network's answers fit best: penalties make them too small."""
        user, item, rating = (np.asarray(validation.columns[name]) for name in ("user", "item", "rating"))
        parts = []
        for start in range(0, len(user), AT_ONCE):
            inputs = self.preprocess({name: tf.constant(column[start:start + AT_ONCE])
                                      for name, column in (("user", user), ("item", item))})
            parts.append(self.further(self.run(network, inputs), inputs).numpy())
        further = np.concatenate(parts).astype(np.float64)
        square = float((further ** 2).sum())
        slope = float((further * (rating - self.biased(user, item).numpy())).sum()) / square if square else 1.0
        return {"slope": float(np.clip(slope, 0, MOST))}

    def target(self, columns: Tensors) -> tf.Tensor:
        return tf.expand_dims(columns["rating"] - self.biased(columns["user"], columns["item"]), 1)

    def augment(self, inputs: Any, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        off = tf.squeeze(targets, 1)
        if self.settings.rating_noise:
            radius = tf.sqrt(-2 * tf.math.log(1 - uniform(keys, 0, (1,))))  # Box and Muller: normal from uniform
            normal = radius * tf.cos(2 * math.pi * uniform(keys, 1, (1,)))
            targets += self.settings.rating_noise * normal
        return {**inputs, "off": off}, targets, weights

    def losses(self) -> dict[str, Any]:
        return {"loss": "mean_squared_error"}

    def embeddings(self, network: keras.Model) -> dict[str, tuple[list[str], np.ndarray]]:
        return {"items": (list(self.facts["titles"]), network.get_layer(ITEMS).get_weights()[-1][1:])}
