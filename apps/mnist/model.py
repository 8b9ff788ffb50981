"""The TensorFlow part: uint8 pixels in, label and probabilities out."""

from typing import Any

import keras
import tensorflow as tf

from apps.mnist.augment import distort, erase
from apps.mnist.networks import NETWORKS
from shared.classifier import Classifier
from shared.model import NETWORK, Tensors
from shared.networks.blocks import Style
from shared.signature import Tensor


class ImageClassifier(Classifier):
    """Facts: `labels`, `image_size` [height, width], `channels`, `mean` and `std` of training pixels (of 1)."""

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"image": Tensor((*self.facts["image_size"], self.facts["channels"]), "uint8")}

    def preprocess(self, raw: Tensors) -> tf.Tensor:
        scaled = tf.cast(raw["image"], tf.float32) * (1 / 255 / self.facts["std"])
        return scaled - self.facts["mean"] / self.facts["std"]

    def network(self) -> keras.Model:
        images = keras.Input(self.inputs["image"].shape)
        build = NETWORKS[self.settings.model]
        logits = build(images, Style.of(self.settings), len(self.facts["labels"]), self.settings.width,
                       self.settings.dropout)
        return keras.Model(images, logits, name=NETWORK)

    def augment(self, inputs: tf.Tensor, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        how = self.settings
        if how.augment == "none":
            return inputs, targets, weights
        background = -self.facts["mean"] / self.facts["std"] if not self.facts["light_background"] else (
            (1 - self.facts["mean"]) / self.facts["std"])
        images = distort(inputs - background, keys, how.rotate, how.scale, how.shear, how.shift, how.bend,
                         how.mirror)
        if how.erase:
            images = erase(images, keys, how.erase)
        return images + background, targets, weights
