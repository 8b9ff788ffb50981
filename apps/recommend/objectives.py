"""Training by what came next, against all items, or some of them where they are many or time is short."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class NextItemTrainer(keras.Model):
    """A network that gives vectors, and its loss: what came next against others, all or some drawn for the batch.

    The objectives: `softmax` over all items; `sampled`, over some, corrected for how often each is drawn (Jean et al.
    2015, https://arxiv.org/abs/1412.2007); `bpr`, it above each of them (Rendle et al. 2009,
    https://arxiv.org/abs/1205.2618); `bce`, yes or no for it and for each of them (He et al. 2017,
    https://arxiv.org/abs/1708.05031).

    Args:
        inputs, outputs: of the network; the output is a vector `[n, d]`, or one at each step `[n, t, d]`.
        table: the layer `Items` whose rows the vectors are compared with.
        objective: one of these.
        counts: how often each item stands in training histories, `[items]`; they are drawn by its root.
        negatives: items drawn a step.
    """

    def __init__(self, inputs: Any, outputs: Any, table: Any, objective: str, counts: np.ndarray, negatives: int):
        super().__init__(inputs=inputs, outputs=outputs)
        self.items, self.objective, self.negatives = table, objective, negatives
        drawn = np.sqrt(np.maximum(np.asarray(counts, np.float64), 1))
        self.chances = np.log(np.append(1e-9, drawn / drawn.sum())).astype(np.float32)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Any:
        """A mean over what came next, weighted, and penalties on weights.

        Args:
            y: item numbers, int32 `[n]` or `[n, t]`.
            y_pred: vectors.
            sample_weight: as `y`.
        """
        weight = tf.ones(tf.shape(y)) if sample_weight is None else tf.cast(sample_weight, tf.float32)
        counts = tf.where(tf.reshape(weight, [-1]) > 0)[:, 0]  # scoring is what takes time: not where nothing follows
        following, weight = (tf.gather(tf.reshape(values, [-1]), counts) for values in (y, weight))
        vectors = tf.gather(tf.reshape(tf.cast(y_pred, tf.float32), [-1, y_pred.shape[-1]]), counts)
        table, bias = tf.convert_to_tensor(self.items.table), tf.convert_to_tensor(self.items.bias)
        each = (against_all if self.objective == "softmax" else self.against_some)(vectors, following, table, bias)
        mean = tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1)
        return mean + tf.add_n(self.losses) if self.losses else mean

    def against_some(self, vectors: tf.Tensor, following: tf.Tensor, table: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        # Drawn by the step and what the batch holds: the same again where a run goes on.
        seed = tf.stack([tf.cast(self.optimizer.iterations, tf.int32), tf.reduce_sum(following)])
        others = tf.random.stateless_categorical(tf.constant(self.chances)[None], self.negatives, seed, tf.int32)[0]
        right = tf.reduce_sum(vectors * tf.gather(table, following), 1) + tf.gather(bias, following)
        wrong = tf.matmul(vectors, tf.gather(table, others), transpose_b=True) + tf.gather(bias, others)
        chance = tf.constant(self.chances)
        usable = tf.cast(others[None] != following[:, None], tf.float32)
        if self.objective == "sampled":
            right -= tf.gather(chance, following)
            wrong += (usable - 1) * 1e9 - tf.gather(chance, others)  # it is none of the others
            return tf.reduce_logsumexp(tf.concat([right[:, None], wrong], 1), 1) - right
        count = tf.maximum(tf.reduce_sum(usable, 1), 1)
        if self.objective == "bpr":
            return tf.reduce_sum(tf.nn.softplus(wrong - right[:, None]) * usable, 1) / count
        return tf.nn.softplus(-right) + tf.reduce_sum(tf.nn.softplus(wrong) * usable, 1) / count


def against_all(vectors: tf.Tensor, following: tf.Tensor, table: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    scores = tf.matmul(vectors, table, transpose_b=True) + bias
    return tf.nn.sparse_softmax_cross_entropy_with_logits(following, scores)
