"""Cross-entropy of dense labels."""

from collections.abc import Sequence
from typing import Any

import keras

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class PixelCrossEntropy(keras.losses.Loss):
    """Weighted mean cross-entropy over the pixels that have a label.

    The mean is `sum(w * ce) / sum(w)`, where `w` is the true class's weight times the sample weight, and 0 where the
    label is void. A batch without labels gives 0 and no gradient.

    Args:
        void: the label of pixels that do not count.
        class_weights: one a class; `None` is 1 each.
        focal: gamma of the focal loss: each pixel's cross-entropy times `(1 - p) ** gamma`, where `p` is the true
            class's probability; 0 is off.
        label_smoothing: share of the truth that is spread over all classes alike.
        name: of the loss.

    Call arguments:
        y_true: `[n, h, w]`, class numbers, any number type.
        y_pred: `[n, h, w, classes]`, logits, float; computed in float32.
        sample_weight: `[n, h, w]` float, or `None`.

    Returns: a float32 scalar.

    Example:

    >>> loss = PixelCrossEntropy()
    >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 4))))  # log(4)
    1.3862943649291992

    Reference:
        [Lin et al. 2017, focal loss](https://arxiv.org/abs/1708.02002)
    """

    def __init__(self, void: int = 255, class_weights: Sequence[float] | None = None, focal: float = 0.0,
                 label_smoothing: float = 0.0, name: str = "pixel_cross_entropy"):
        super().__init__(name=name, dtype="float32")
        self.void, self.focal, self.label_smoothing = void, focal, label_smoothing
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        labels, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        counts = ops.not_equal(labels, self.void)
        labels = ops.where(counts, labels, 0)
        weight = ops.cast(counts, "float32")
        if self.class_weights is not None:
            weight *= ops.take(ops.convert_to_tensor(self.class_weights, "float32"), labels)
        if sample_weight is not None:
            weight *= ops.cast(sample_weight, "float32")
        loss, truth = self._cross_entropy(labels, logits)
        if self.focal:
            # The root of a small gamma has no slope at 0.
            loss *= ops.maximum(-ops.expm1(-truth), keras.config.epsilon()) ** self.focal
        return ops.divide_no_nan(ops.sum(weight * loss), ops.sum(weight))

    def _cross_entropy(self, labels: Any, logits: Any) -> tuple[Any, Any]:
        """With the smoothed labels, and with the labels alone; one softmax."""
        if not self.label_smoothing:
            truth = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            return truth, truth
        logs = ops.log_softmax(logits)
        truth = -ops.sum(ops.one_hot(labels, logits.shape[-1]) * logs, -1)
        return (1 - self.label_smoothing) * truth - self.label_smoothing * ops.mean(logs, -1), truth

    def get_config(self) -> dict[str, Any]:
        return {"void": self.void, "class_weights": self.class_weights, "focal": self.focal,
                "label_smoothing": self.label_smoothing, "name": self.name}
