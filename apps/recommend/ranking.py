"""From scores of all items to probabilities of those that come first, or are asked for."""

from collections.abc import Callable

import tensorflow as tf


def scattered(items: tf.Tensor, values: tf.Tensor, count: int) -> tf.Tensor:
    """Sums of values `[n, t]` by item, int32 `[n, t]` from 0 to `count`: `[n, 1 + count]`."""
    rows = tf.range(tf.shape(items)[0])[:, None] + tf.zeros_like(items)
    return tf.scatter_nd(tf.stack([rows, items], -1), values, tf.stack([tf.shape(items)[0], count + 1]))


class Ranking:
    """Scores of an int8 file have 256 steps, and tie: those of the first items, and of such that are asked for, are
    counted again.

    Args:
        scores: float32 `[n, 1 + count]`, of item 0 meaningless.
        excluded: items, int32 `[n, e]`, 0 for none.
        again: gives the scores of items `[n, k]` as exactly as can be.
        first: how many items of the best scores are counted again.

    Attributes:
        items: those, int32 `[n, first]`, not in order.
        chances: their probabilities, of excluded ones 0.
    """

    def __init__(self, scores: tf.Tensor, excluded: tf.Tensor, again: Callable[[tf.Tensor], tf.Tensor], first: int):
        count = scores.shape[1] - 1
        had = scattered(excluded, tf.ones_like(excluded), count) > 0
        self.again, self.allowed = again, ~(had | (tf.range(count + 1)[None] == 0))
        # Just below all others, not far: the scores of an int8 file would have to reach down to it.
        scores = tf.where(self.allowed, scores, tf.reduce_min(scores, 1, keepdims=True) - 1)
        self.most = tf.reduce_max(scores, 1, keepdims=True)
        _, self.items = tf.math.top_k(scores, first)
        rounded, own = tf.exp(scores - self.most) * tf.cast(self.allowed, tf.float32), self.parts(self.items)
        others = tf.reduce_sum(rounded, 1, keepdims=True) - tf.reduce_sum(
            tf.gather(rounded, self.items, batch_dims=1), 1, keepdims=True)
        self.total = tf.reduce_sum(own, 1, keepdims=True) + tf.maximum(others, 0.0) + 1e-30
        self.chances = own / self.total

    def parts(self, items: tf.Tensor) -> tf.Tensor:
        """What items add to the sum of which probabilities are shares."""
        return tf.exp(self.again(items) - self.most) * tf.cast(tf.gather(self.allowed, items, batch_dims=1),
                                                               tf.float32)

    def chances_of(self, items: tf.Tensor) -> tf.Tensor:
        """Probabilities of items, `[n, k]`."""
        return tf.minimum(self.parts(items) / self.total, 1.0)
