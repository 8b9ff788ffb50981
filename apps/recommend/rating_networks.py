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
        self.weights_of_rows: np.ndarray | None = None

    def build(self, *shapes: Any) -> None:
        self.table = self.add_weight(shape=(self.rows, self.dimension), name="table",
                                     initializer=keras.initializers.RandomNormal(stddev=self.scale))
        self.built = True

    def soften(self, counts: np.ndarray) -> None:
        """Penalises rows of many ratings less from now on, by the root of their number; the mean over ratings stays.

        Args:
            counts: ratings of each row in training.
        """
        weights = 1 / np.sqrt(np.maximum(1, counts))
        self.weights_of_rows = (weights / np.average(weights, weights=counts)).astype(np.float32)

    def call(self, numbers: Any, training: bool = False) -> Any:
        """int32 `[n]` to float32 `[n, dimension]`."""
        vectors = ops.take(self.table, numbers, 0)
        if training and self.l2:
            weights = 1.0 if self.weights_of_rows is None else tf.gather(self.weights_of_rows, numbers)
            self.add_loss(self.l2 * ops.mean(weights * ops.sum(ops.square(vectors), -1)))
        return vectors

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in ("rows", "dimension", "l2", "scale")}


@keras.saving.register_keras_serializable("pocketconv")
class RatedVectors(keras.layers.Layer):
    """Vectors of items made of who rated them how: the hyperbolic tangent of a sum over these people, of a vector each
    times how far the rating lies from what biases say, divided by the root of their number (the hidden layer of an
    autoencoder of an item's ratings: Sedhain et al. 2015, https://doi.org/10.1145/2740908.2742726).

    While training, a pair's own rating is left out of the sum, as ratings that are asked for are not in it either, and
    people are left out at random. What comes of all of them is kept in a table at each step, which alone a served
    network reads.

    Args:
        rows: items, number 0 among them.
        dimension: of a vector.
        l2: penalty on the mean square length of a batch's vectors.
        people: number 0 among them.
        left_out: share of the people that are left out.
    """

    def __init__(self, rows: int, dimension: int, l2: float, people: int, left_out: float, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.rows, self.dimension, self.l2, self.people, self.left_out = rows, dimension, l2, people, left_out
        self.seeds = keras.random.SeedGenerator()
        self.rated: tf.SparseTensor | None = None

    def build(self, *shapes: Any) -> None:
        self.parts = self.add_weight(shape=(self.people, self.dimension), name="parts",
                                     initializer=keras.initializers.RandomNormal(stddev=0.02))
        self.made = self.add_weight(shape=(self.rows, self.dimension), name="made", initializer="zeros",
                                    trainable=False)
        self.built = True

    def remember(self, users: np.ndarray, items: np.ndarray, off: np.ndarray) -> None:
        """The ratings of training, to be given before it: who, what, and how far from what biases say, `[n]`."""
        order = np.lexsort((users, items))
        self.shares = (1 / np.sqrt(np.maximum(1, np.bincount(items, minlength=self.rows)))).astype(np.float32)
        self.rated = tf.SparseTensor(np.stack([items, users], 1)[order].astype(np.int64),
                                     (off * self.shares[items])[order].astype(np.float32), [self.rows, self.people])

    def sums(self, parts: Any) -> Any:
        return tf.concat([tf.sparse.sparse_dense_matmul(self.rated, parts[:, at:at + WIDTH])
                          for at in range(0, self.dimension, WIDTH)], 1)

    def call(self, items: Any, users: Any, off: Any, training: bool = False) -> Any:
        """Items, int32 `[n]`, to float32 `[n, dimension]`; in training alone their pairs' people, int32 `[n]`, and how
        far the ratings lie from what biases say, float32 `[n]`, are read."""
        if not training or self.rated is None:
            return ops.take(self.made, items, 0)
        parts = ops.convert_to_tensor(self.parts)
        self.made.assign(tf.tanh(self.sums(tf.stop_gradient(parts))))
        if self.left_out:
            parts = keras.random.dropout(parts, self.left_out, noise_shape=(self.people, 1), seed=self.seeds)
        own = ops.take(parts, users, 0) * tf.expand_dims(off * tf.gather(self.shares, items), 1)
        vectors = tf.tanh(ops.take(self.sums(parts), items, 0) - own)
        if self.l2:
            self.add_loss(self.l2 * ops.mean(ops.sum(ops.square(vectors), -1)))
        return vectors

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in ("rows", "dimension", "l2", "people",
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
    """Factors, items' made of who rated them how; and convolutions over both vectors and their product, number by
    number, whose answer is added. They read the vectors and leave them as the factors want them, or would learn them
    by heart."""
    p = Vectors(people, how.dimension, how.l2, name=PEOPLE)(inputs["user"])
    q = RatedVectors(items, how.dimension, how.l2, people, how.left_out, name=ITEMS)(
        inputs["item"], users=inputs["user"], off=inputs["off"])
    style = Style(how.activation, how.initializer)  # how.l2 is for vectors
    x = L.Concatenate()([L.Reshape((-1, 1))(ops.stop_gradient(one)) for one in (p, q, L.Multiply()([p, q]))])
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
