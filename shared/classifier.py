"""What all apps share that give each example one label: the end of the pipeline, and the loss."""

from typing import Any

import keras
import tensorflow as tf

from shared.model import Model, Tensors


class Classifier(Model):
    """The network gives logits. Facts: `labels`, and `class_weights` where rare classes weigh more."""

    def postprocess(self, outputs: tf.Tensor, inputs: Any, network: keras.Model) -> Tensors:
        probabilities = tf.nn.softmax(outputs)
        return {"label": tf.argmax(probabilities, -1, output_type=tf.int32), "probabilities": probabilities}

    def losses(self) -> dict[str, Any]:
        return {"loss": keras.losses.CategoricalCrossentropy(from_logits=True,
                                                             label_smoothing=self.settings.label_smoothing),
                "weighted_metrics": [keras.metrics.CategoricalAccuracy(name="accuracy")]}

    def target(self, columns: Tensors) -> tf.Tensor:
        return tf.one_hot(columns["label"], len(self.facts["labels"]))

    def weight(self, columns: Tensors) -> tf.Tensor | None:
        weights = self.facts.get("class_weights")
        return None if weights is None else tf.gather(tf.constant(weights, tf.float32), columns["label"])
