"""Baselines as models, so that they are exported, proven and compared as all others: a table of all pairs of items."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.recommend import baselines
from apps.recommend.histories import joined
from apps.recommend.model import Recommender
from apps.recommend.ranking import scattered
from apps.recommend.windows import windows
from shared.data.dataset import Ragged, Split
from shared.model import NETWORK, Tensors


@keras.saving.register_keras_serializable("pocketconv")
class Scale(keras.layers.Layer):
    """Scores times a number that is learned, so that they become probabilities."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.built = True

    def call(self, x: Any) -> Any:
        return x * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class Untrained(Recommender):
    """Facts: `trained_items` and `trained_offsets` too, the histories of training, while it is fitted."""

    def preprocess(self, raw: Tensors) -> Tensors:
        made = super().preprocess(raw)
        return {**made, "recent": self.spread(made["items"], baselines.DECAYS[self.settings.model])}

    def spread(self, items: tf.Tensor, decay: float) -> tf.Tensor:
        """How much each item of the catalogue counts that is in a history, the last one 1."""
        weights = tf.constant(baselines.weights(items.shape[1], decay))
        return scattered(items, tf.where(items > 0, weights[None], 0.0), self.count)

    def network(self) -> keras.Model:
        inputs = {**self.network_inputs(), "recent": keras.Input([self.count + 1], name="recent")}
        votes = keras.layers.Dense(self.count + 1, name="table", trainable=False)(inputs["recent"])
        return keras.Model(inputs, {"scores": Scale(name="scale")(votes)}, name=NETWORK)

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        histories = Ragged(self.facts["trained_items"], self.facts["trained_offsets"])
        network.get_layer("table").set_weights(baselines.table(self.settings.model, histories, self.count))
        return keras.Model(network.input, network.output["scores"])

    def scored(self, outputs: Tensors, items: tf.Tensor, network: keras.Model) -> tf.Tensor:
        return tf.gather(outputs["scores"], items, batch_dims=1)

    def for_int8(self, network: keras.Model) -> keras.Model:
        return network

    def examples(self, train: Split) -> Split:
        """What led to each person's last item."""
        return Split({"window": windows(joined(train), self.facts["length"], self.settings.ahead, last=True)})

    def embeddings(self, network: keras.Model) -> dict[str, tuple[list[str], np.ndarray]]:
        return {}
