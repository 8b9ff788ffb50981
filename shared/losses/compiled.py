"""A loss compiled by XLA."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pocketconv")
class Compiled(keras.losses.Loss):
    """The same loss, its elementwise operations fused: about half the time for dense labels on a processor.

    Args:
        loss: a Keras loss of TensorFlow operations; shapes must be static where it is called.
    """

    def __init__(self, loss: keras.losses.Loss, name: str = "compiled"):
        super().__init__(name=name)
        self.loss = loss
        self.run = tf.function(loss, jit_compile=True)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.run(y_true, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Compiled":
        return cls(keras.saving.deserialize_keras_object(config["loss"]), config["name"])
