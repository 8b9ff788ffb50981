"""Networks from a person and an item to how far the rating lies from what biases say."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.networks.blocks import Style

L = keras.layers
ops = keras.ops
PEOPLE, ITEMS = "people", "items"  # names of the layers of their vectors
WIDTH = 16  # columns of a product with a sparse matrix at once: TensorFlow's kernel is several times slower from 32 on


@keras.saving.register_keras_serializable("pocketconv")
class Vectors(keras.layers.Layer):
    """A table of vectors, of which only the rows in use are penalised (Koren et al. 2009,
    https://doi.org/10.1109/MC.2009.263).

    Args:
        rows: of the table, number 0 among them, which stands for all that are unknown.
        dimension: of a vector.
        l2: penalty on the mean square length of a batch's vectors.
        scale: standard deviation of the first values.
    """

    def __init__(self, rows: int, dimension: int, l2: float, scale: float = 0.1, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.rows, self.dimension, self.l2, self.scale = rows, dimension, l2, scale

    def build(self, *shapes: Any) -> None:
        self.table = self.add_weight(shape=(self.rows, self.dimension), name="table",
                                     initializer=keras.initializers.RandomNormal(stddev=self.scale))
        self.built = True

    def call(self, numbers: Any, training: bool = False) -> Any:
        """int32 `[n]` to float32 `[n, dimension]`."""
        vectors = ops.take(self.table, numbers, 0)
        if training and self.l2:
            self.add_loss(self.l2 * ops.mean(ops.sum(ops.square(vectors), -1)))
        return vectors

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in ("rows", "dimension", "l2", "scale")}


@keras.saving.register_keras_serializable("pocketconv")
class RatedVectors(keras.layers.Layer):
    """Vectors of items made of who rated them how, or of people made of what they rated how: the hyperbolic tangent of
    a sum over these others, of two vectors each, one times how far the rating lies from what biases say, and one for
    that there is a rating at all (Koren 2008, https://doi.org/10.1145/1401890.1401944), divided by the root of their
    number (as the hidden layer of an autoencoder of ratings: Sedhain et al. 2015,
    https://doi.org/10.1145/2740908.2742726; one step of a graph convolution: van den Berg et al. 2017,
    https://arxiv.org/abs/1706.02263).

    While training, a pair's own rating is left out of the sum, as ratings that are asked for are not in it either, and
    others are left out at random. What comes of all of them is kept in a table at each step, which alone a served
    network reads.

    Args:
        rows: items, or people, number 0 among them.
        dimension: of a vector.
        l2: penalty on the mean square length of a batch's vectors.
        others: rows of the other kind, number 0 among them.
        left_out: share of the others that are left out.
    """

    def __init__(self, rows: int, dimension: int, l2: float, others: int, left_out: float, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.rows, self.dimension, self.l2, self.others, self.left_out = rows, dimension, l2, others, left_out
        self.seeds = keras.random.SeedGenerator()
        self.rated: tf.SparseTensor | None = None

    def build(self, *shapes: Any) -> None:
        # Of all others the vector that their rating multiplies, then of all the one for that they rated.
        self.parts = self.add_weight(shape=(2 * self.others, self.dimension), name="parts",
                                     initializer=keras.initializers.RandomNormal(stddev=0.02))
        self.made = self.add_weight(shape=(self.rows, self.dimension), name="made", initializer="zeros",
                                    trainable=False)
        self.built = True

    def remember(self, rows: np.ndarray, others: np.ndarray, off: np.ndarray) -> None:
        """The ratings of training, to be given before it: pairs, and how far from what biases say, `[n]`."""
        self.shares = (1 / np.sqrt(np.maximum(1, np.bincount(rows, minlength=self.rows)))).astype(np.float32)
        rows, others, off = np.r_[rows, rows], np.r_[others, others + self.others], np.r_[off, np.ones(len(off))]
        order = np.lexsort((others, rows))
        self.rated = tf.SparseTensor(np.stack([rows, others], 1)[order].astype(np.int64),
                                     (off * self.shares[rows])[order].astype(np.float32),
                                     [self.rows, 2 * self.others])

    def sums(self, parts: Any) -> Any:
        return tf.concat([tf.sparse.sparse_dense_matmul(self.rated, parts[:, at:at + WIDTH])
                          for at in range(0, self.dimension, WIDTH)], 1)

    def call(self, numbers: Any, others: Any, off: Any, training: bool = False) -> Any:
        """Rows, int32 `[n]`, to float32 `[n, dimension]`. What they are paired with, int32 `[n]`, and how far the
        ratings lie from what biases say, float32 `[n]`, are read in training alone."""
        if not training or self.rated is None:
            return ops.take(self.made, numbers, 0)
        parts = ops.convert_to_tensor(self.parts)
        self.made.assign(tf.tanh(self.sums(tf.stop_gradient(parts))))
        if self.left_out:
            kept = keras.random.dropout(ops.ones((self.others, 1)), self.left_out, seed=self.seeds)
            parts *= ops.concatenate([kept, kept], 0)
        own = ops.take(parts, others, 0) * tf.expand_dims(off, 1) + ops.take(parts, self.others + others, 0)
        own *= tf.expand_dims(tf.gather(self.shares, numbers), 1)
        vectors = tf.tanh(ops.take(self.sums(parts), numbers, 0) - own)
        if self.l2:
            self.add_loss(self.l2 * ops.mean(ops.sum(ops.square(vectors), -1)))
        return vectors

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in ("rows", "dimension", "l2", "others",
                                                                              "left_out")}


def vectors(inputs: dict[str, Any], people: int, items: int, how: Any) -> tuple[Any, Any]:
    """Those of people and of items, one table each."""
    return (Vectors(people, how.dimension, how.l2, name=PEOPLE)(inputs["user"]),
            Vectors(items, how.dimension, how.l2, name=ITEMS)(inputs["item"]))


def product(p: Any, q: Any, inputs: dict[str, Any], people: int, items: int, how: Any) -> Any:
    """Of a person's and an item's vectors, and what is to be added to their biases, `[n, 1]`."""
    return L.Add()([L.Dot(1)([p, q]), Vectors(people, 1, how.l2, 0.0, name="of_person")(inputs["user"]),
                    Vectors(items, 1, how.l2, 0.0, name="of_item")(inputs["item"])])


def factors(inputs: dict[str, Any], people: int, items: int, how: Any) -> Any:
    """Biased matrix factorisation (Koren et al. 2009, https://doi.org/10.1109/MC.2009.263)."""
    return product(*vectors(inputs, people, items, how), inputs, people, items, how)


def rating(inputs: dict[str, Any], people: int, items: int, how: Any) -> Any:
    """Factors made of ratings; and convolutions over both vectors and their product, number by number, whose answer is
    added."""
    user, item, off = inputs["user"], inputs["item"], inputs["off"]
    p = RatedVectors(people, how.dimension, how.l2, items, how.left_out, name=PEOPLE)(user, others=item, off=off)
    q = RatedVectors(items, how.dimension, how.l2, people, how.left_out, name=ITEMS)(item, others=user, off=off)
    style = Style(how.activation, how.initializer)  # how.l2 is for vectors
    x = L.Concatenate()([L.Reshape((-1, 1))(one) for one in (p, q, L.Multiply()([p, q]))])
    x = L.Dropout(how.dropout)(x)
    for _ in range(2):
        x = L.Conv1D(how.filters, how.kernel, 2, padding="same", activation=style.activation, **style.kernel())(x)
    x = L.Dropout(how.dropout)(L.Flatten()(x))
    convolved = L.Dense(1, kernel_initializer="zeros")(x)  # so that factors come first
    return L.Add()([product(p, q, inputs, people, items, how), convolved])


def concatenation(inputs: dict[str, Any], people: int, items: int, how: Any) -> Any:
    """The textbook's: both vectors in a row, convolved, pooled, and dense layers on top."""
    style = Style(how.activation, how.initializer)
    x = L.Concatenate()(list(vectors(inputs, people, items, how)))
    x = L.Reshape((-1, 1))(L.Dropout(how.dropout)(x))
    x = L.Conv1D(how.filters, how.kernel, padding="same", activation=style.activation, **style.kernel())(x)
    x = L.Flatten()(L.MaxPooling1D(2)(x))
    x = L.Dense(how.dimension, activation=style.activation, **style.kernel())(x)
    return L.Dense(1, **style.kernel())(L.Dropout(how.dropout)(x))


NETWORKS: dict[str, Callable[..., Any]] = {"rating": rating, "factors": factors, "concatenation": concatenation}
