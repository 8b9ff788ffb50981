"""How what comes next is rated, learned beside what it is, so that vectors tell both apart (multi-task learning:
Caruana 1997, https://doi.org/10.1023/A:1007379606734). No file ships this head; `pocketconv rate` is for ratings."""

from typing import Any

import keras
import tensorflow as tf

from apps.recommend.model import Recommender
from apps.recommend.networks import ENCODED, ITEMS
from apps.recommend.windows import stretches
from shared.data.dataset import Ragged, Split
from shared.model import Tensors

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class NextRating(keras.layers.Layer):
    """How far the rating of an item lies from the mean: its own part, and a product of its vector and the history's.

    Args:
        count: items; numbers are from 1 on, and 0 is none of them.
    """

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count = count

    def build(self, encoded_shape: Any, vectors_shape: Any, items_shape: Any) -> None:
        self.parts = self.add_weight(shape=(encoded_shape[-1],), initializer="zeros", name="parts")
        self.bias = self.add_weight(shape=(self.count + 1,), initializer="zeros", name="bias")
        self.built = True

    def call(self, encoded: Any, vectors: Any, items: Any) -> Any:
        """Vectors of histories and of items, `[n, t, dimension]`, and those items, int32 `[n, t]`, to `[n, t, 1]`."""
        return ops.expand_dims(ops.sum(encoded * vectors * self.parts, -1) + ops.take(self.bias, items, 0), -1)

    def compute_output_shape(self, encoded_shape: Any, vectors_shape: Any, items_shape: Any) -> Any:
        return (*encoded_shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"count": self.count}


class Rated(Recommender):
    """Trained to say besides how what comes next is rated. Facts: `rating_mean` too."""

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """One that takes `next` besides, int32 `[n, length]`, and gives `items`, the scores, and `ratings`."""
        encoded = network.get_layer(ENCODED).output
        scores = network.get_layer(ITEMS)(encoded, score=True)
        following = keras.Input([self.facts["length"]], dtype="int32", name="next")
        vectors = network.get_layer(ITEMS)(following)
        ratings = NextRating(self.count, name="next_rating")(encoded, vectors, following)
        return keras.Model({**network.input, "next": following}, {"items": scores, "ratings": ratings})

    def examples(self, train: Split) -> Split:
        split, ratings = super().examples(train), train.columns["ratings"]
        assert isinstance(ratings, Ragged)
        split.columns["ratings"], _ = stretches(ratings, self.facts["length"])
        return split

    def augment_raw(self, columns: Tensors, keys: tf.Tensor) -> Tensors:
        ratings = self.part(columns["ratings"], columns["slack"], keys)[:, 1:]
        return {**super().augment_raw(columns, keys), "ratings": ratings}

    def augment(self, inputs: Any, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        return {**inputs, "next": targets["items"]}, targets, weights

    def target(self, columns: Tensors) -> Any:
        ratings = columns["ratings"] - self.facts["rating_mean"]
        return {"items": super().target(columns), "ratings": ratings[..., None]}

    def weight(self, columns: Tensors) -> Any:
        used = tf.cast(columns["next"] > 0, tf.float32)
        return {"items": used, "ratings": used}

    def losses(self) -> dict[str, Any]:
        ratings = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        return {"loss": {"items": super().losses()["loss"], "ratings": ratings},
                "loss_weights": {"items": 1.0, "ratings": self.settings.rating_weight}}
