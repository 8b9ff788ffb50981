"""How what comes next is rated, learned beside what it is, so that vectors tell both apart (multi-task learning:
Caruana 1997, https://doi.org/10.1023/A:1007379606734). No file ships this head; `pocketconv rate` is for ratings."""

from typing import Any

import keras

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


def with_rating(network: keras.Model, encoded: Any, scores: Any, table: Any, length: int, count: int) -> keras.Model:
    """A model that takes `next` besides, int32 `[n, length]`, and gives `items`, the scores, and `ratings`."""
    following = keras.Input([length], dtype="int32", name="next")
    ratings = NextRating(count, name="next_rating")(encoded, table(following), following)
    return keras.Model({**network.input, "next": following}, {"items": scores, "ratings": ratings})
