"""Training against some items in place of the whole catalogue, where that is large or time is short."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

OBJECTIVES = ("sampled", "bpr", "bce")


class SampledTrainer(keras.Model):
    """A network that gives vectors, and its loss: what came next against items that are drawn for the whole batch.

    The objectives: `sampled`, softmax over it and them, corrected for how often each is drawn (Jean et al. 2015,
    https://arxiv.org/abs/1412.2007); `bpr`, it above each of them (Rendle et al. 2009,
    https://arxiv.org/abs/1205.2618); `bce`, yes or no for it and for each of them (He et al. 2017,
    https://arxiv.org/abs/1708.05031).

    Args:
        inputs, outputs: of the network; the output is a vector `[n, d]`, or one at each step `[n, t, d]`.
        table: the layer `Items` whose rows the vectors are compared with.
        objective: of `OBJECTIVES`.
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
        following = tf.reshape(y, [-1])
        vectors = tf.reshape(tf.cast(y_pred, tf.float32), [-1, y_pred.shape[-1]])
        # Drawn by the step and what the batch holds: the same again where a run goes on.
        seed = tf.stack([tf.cast(self.optimizer.iterations, tf.int32), tf.reduce_sum(following)])
        others = tf.random.stateless_categorical(tf.constant(self.chances)[None], self.negatives, seed, tf.int32)[0]
        table, bias = tf.convert_to_tensor(self.items.table), tf.convert_to_tensor(self.items.bias)
        right = tf.reduce_sum(vectors * tf.gather(table, following), 1) + tf.gather(bias, following)
        wrong = tf.matmul(vectors, tf.gather(table, others), transpose_b=True) + tf.gather(bias, others)
        chance = tf.constant(self.chances)
        usable = tf.cast(others[None] != following[:, None], tf.float32)
        if self.objective == "sampled":
            right -= tf.gather(chance, following)
            wrong += (usable - 1) * 1e9 - tf.gather(chance, others)  # it is none of the others
            each = tf.reduce_logsumexp(tf.concat([right[:, None], wrong], 1), 1) - right
        else:
            count = tf.maximum(tf.reduce_sum(usable, 1), 1)
            if self.objective == "bpr":
                each = tf.reduce_sum(tf.nn.softplus(wrong - right[:, None]) * usable, 1) / count
            else:
                each = tf.nn.softplus(-right) + tf.reduce_sum(tf.nn.softplus(wrong) * usable, 1) / count
        weight = tf.ones_like(each) if sample_weight is None else tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        mean = tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1)
        return mean + tf.add_n(self.losses) if self.losses else mean
