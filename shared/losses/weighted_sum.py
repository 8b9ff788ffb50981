"""Several losses as one."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("pocketconv")
class WeightedSum(keras.losses.Loss):
    """Sum of losses of the same truth and prediction, each times its weight.

    Args:
        losses: `keras.losses.Loss` objects.
        weights: one a loss.
        name: of the loss.

    Call arguments:
        y_true, y_pred, sample_weight: handed on to each loss.

    Returns: a float32 scalar.

    Raises:
        ValueError: there are not as many weights as losses.

    Example:

    >>> loss = WeightedSum([PixelCrossEntropy(), Tversky()], [1.0, 0.5])
    """

    def __init__(self, losses: Sequence[Any], weights: Sequence[float], name: str = "weighted_sum"):
        super().__init__(name=name, dtype="float32")
        if len(losses) != len(weights):
            raise ValueError(f"{len(losses)} losses need as many weights, not {len(weights)}.")
        self.losses = [keras.losses.get(loss) for loss in losses]
        self.weights = [float(weight) for weight in weights]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        values = [loss(y_true, y_pred, sample_weight=sample_weight) for loss in self.losses]
        return sum(weight * keras.ops.cast(value, "float32")
                   for weight, value in zip(self.weights, values, strict=True))

    def get_config(self) -> dict[str, Any]:
        return {"losses": [keras.losses.serialize(loss) for loss in self.losses], "weights": self.weights,
                "name": self.name}
