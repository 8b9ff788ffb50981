"""Overlap of dense labels, differentiable."""

from typing import Any

import keras

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class Tversky(keras.losses.Loss):
    """One minus the Tversky index of probabilities and labels, mean over the classes that occur in the labels.

    A class's index is `(TP + smooth) / (TP + alpha * FP + beta * FN + smooth)`, its counts being sums of
    probabilities over all pixels of the batch that have a label. `alpha = beta = 0.5` is the Dice loss,
    `alpha = beta = 1` the soft Jaccard loss. (`keras.losses.Tversky` weighs false *negatives* by `alpha`.)

    Args:
        alpha: weight of false positives.
        beta: weight of false negatives.
        smooth: in pixels, added above and below.
        void: the label of pixels that do not count.
        name: of the loss.

    Call arguments:
        y_true: `[n, h, w]`, class numbers, any number type.
        y_pred: `[n, h, w, classes]`, logits, float; computed in float32.
        sample_weight: `[n, h, w]` float, or `None`; multiplies a pixel's share of each count.

    Returns: a float32 scalar; 0 and no gradient for a batch without labels.

    Example:

    >>> loss = Tversky(smooth=0.0)
    >>> float(loss(np.array([[[0, 1]]]), np.zeros((1, 1, 2, 2))))
    0.5

    References:
        - [Salehi et al. 2017](https://arxiv.org/abs/1706.05721)
        - [Milletari et al. 2016, Dice loss](https://arxiv.org/abs/1606.04797)
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0, void: int = 255,
                 name: str = "tversky"):
        super().__init__(name=name, dtype="float32")
        self.alpha, self.beta, self.smooth, self.void = alpha, beta, smooth, void

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        classes = y_pred.shape[-1]
        labels = ops.reshape(ops.cast(y_true, "int32"), [-1])
        chances = ops.softmax(ops.reshape(ops.cast(y_pred, "float32"), [-1, classes]))
        counts = ops.not_equal(labels, self.void)
        weight = ops.cast(counts, "float32")
        if sample_weight is not None:
            weight *= ops.reshape(ops.cast(sample_weight, "float32"), [-1])
        truth = ops.one_hot(ops.where(counts, labels, 0), classes) * weight[:, None]
        hits, occurring = ops.sum(truth * chances, 0), ops.sum(truth, 0)
        # A product with a row is several times quicker than weighing each probability and summing.
        predicted = ops.matmul(weight[None], chances)[0]
        wrong = self.alpha * (predicted - hits) + self.beta * (occurring - hits)
        index = ops.divide_no_nan(hits + self.smooth, hits + wrong + self.smooth)
        occurs = ops.cast(occurring > 0, "float32")
        return ops.divide_no_nan(ops.sum((1 - index) * occurs), ops.sum(occurs))

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "beta": self.beta, "smooth": self.smooth, "void": self.void, "name": self.name}
