"""The TensorFlow part: uint8 pixels in, class and confidence of each pixel out."""

import math
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.segment import networks, pieces
from apps.segment.augment import field, haze, inside, light
from apps.segment.gaps import components, gap_weights
from apps.segment.symmetries import WAYS, mean_over
from shared.data.dataset import Decoded, Split
from shared.data.warp import nearest, sample
from shared.evaluation.segmentation import SegmentationScorer
from shared.layers.antialiased_resize import AntialiasedResize
from shared.losses.compiled import Compiled
from shared.losses.pixel_cross_entropy import PixelCrossEntropy
from shared.losses.tversky import Tversky
from shared.losses.weighted_sum import WeightedSum
from shared.model import NETWORK, Model, Tensors
from shared.signature import Tensor

VOID = 255
THRESHOLDS = np.round(np.arange(0.1, 0.91, 0.05), 2)  # tried for two classes
DARKEST = 4.0  # of 255: added to an image's spread, so that noise in a flat one stays small


class Segmenter(Model):
    """Facts: `labels`, `size` of the network and `input_size` of the signature (both [height, width]), `channels`,
    `fit_image`, `overlap`, `normalize`, `mean` and `std` (of each channel, of 255), `symmetries`, `class_weights`,
    `threshold`."""

    @cached_property
    def size(self) -> tuple[int, int]:
        return tuple(self.facts["size"])

    @cached_property
    def input_size(self) -> tuple[int, int]:
        return tuple(self.facts["input_size"])

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"image": Tensor((*self.input_size, self.facts["channels"]), "uint8")}

    def preprocess(self, raw: Tensors) -> tf.Tensor:
        images = tf.cast(raw["image"], tf.float32)
        if self.size != self.input_size:
            images = AntialiasedResize(*self.size)(images)
        if self.facts["normalize"] == "dataset":
            scale = 1 / np.asarray(self.facts["std"], np.float32)
            return images * scale - np.asarray(self.facts["mean"], np.float32) * scale
        least = DARKEST
        if self.facts["normalize"] == "log":
            images, least = tf.math.log(images + 1.0), DARKEST / 100
        centred = images - tf.reduce_mean(images, [1, 2], keepdims=True)
        spread = tf.sqrt(tf.reduce_mean(tf.square(centred), [1, 2, 3], keepdims=True))
        return centred / (spread + least)

    def network(self) -> keras.Model:
        images = keras.Input((*self.size, self.facts["channels"]))
        return keras.Model(images, networks.build(images, self.settings, len(self.facts["labels"])), name=NETWORK)

    def run(self, network: keras.Model, inputs: Any) -> tf.Tensor:
        ways, once = WAYS[self.facts.get("symmetries", "none")], partial(super().run, network)
        return mean_over(ways, once, inputs) if ways else once(inputs)

    def _probabilities(self, outputs: tf.Tensor) -> tf.Tensor:
        threshold = self.facts.get("threshold", 0.5)
        if threshold != 0.5:  # moved to the middle, so that confidence says how far a pixel is from the other class
            outputs -= tf.constant([0.0, math.log(threshold / (1 - threshold))])
        if self.size != self.input_size:
            outputs = AntialiasedResize(*self.input_size)(outputs)
        return tf.nn.softmax(outputs)

    def postprocess(self, outputs: tf.Tensor, inputs: Any, network: keras.Model) -> Tensors:
        probabilities = self._probabilities(outputs)
        return {"mask": tf.argmax(probabilities, -1, output_type=tf.int32),
                "confidence": tf.reduce_max(probabilities, -1)}

    def details(self, outputs: tf.Tensor, inputs: Any) -> Tensors:
        return {"probabilities": self._probabilities(outputs)} if self.facts["fit_image"] == "tile" else {}

    def losses(self) -> dict[str, Any]:
        how = self.settings
        entropy = PixelCrossEntropy(VOID, self.facts.get("class_weights"), how.focal if how.loss == "focal" else 0.0,
                                    how.label_smoothing)
        overlap = Tversky(how.tversky_alpha, 1 - how.tversky_alpha, void=VOID) if how.loss == "tversky" else (
            Tversky(void=VOID))
        loss = {"cross_entropy": entropy, "focal": entropy, "dice": overlap, "tversky": overlap,
                "cross_entropy+dice": WeightedSum([entropy, overlap], [1.0, 1.0])}[how.loss]
        accuracy = keras.metrics.MeanMetricWrapper(pixel_accuracy, name="pixel_accuracy")
        return {"loss": Compiled(loss), "metrics": [accuracy]}  # a share of pixels, whatever their weight

    def examples(self, train: Split) -> Split:
        """Images at the signature's size, or windows half as large again as a tile, to cut tiles at random from."""
        images, masks = train.columns["image"], train.columns["mask"]

        def one(column: Any, index: int) -> np.ndarray:
            return column[np.array([index])][0]

        def weighed(index: int) -> np.ndarray:
            objects = one(train.columns.get("objects", masks), index)
            if "objects" not in train.columns:
                objects = components(objects, VOID)
            return gap_weights(objects.astype(np.int32), self.settings.gap_weight, self.settings.gap_sigma)

        if self.facts["fit_image"] == "resize":
            rows: list[Any] = list(range(len(train)))
            columns: dict[str, Any] = {
                "image": Decoded(rows, lambda i: pieces.resized(one(images, i), self.input_size)),
                "mask": Decoded(rows, lambda i: pieces.resized_labels(one(masks, i), self.input_size))}
            if self.settings.gap_weight:
                columns["weight"] = Decoded(rows, lambda i: pieces.resized_labels(weighed(i), self.input_size))
            return Split(columns)
        sizes = [one(masks, i).shape for i in range(len(train))]
        room = 0 if self.settings.augment == "none" else 0.5
        height, width = (max(tile, min(round(tile * (1 + room)), max(size[axis] for size in sizes)))
                         for axis, tile in enumerate(self.input_size))
        window = height, width
        rows = [(i, top, left) for i, size in enumerate(sizes) for top in pieces.starts(size[0], window[0], 0)
                for left in pieces.starts(size[1], window[1], 0)]

        def cut(pixels: np.ndarray, at: tuple[int, int, int]) -> np.ndarray:
            return pieces.grown(pixels, window)[at[1]:at[1] + window[0], at[2]:at[2] + window[1]]

        columns = {"image": Decoded(rows, lambda at: cut(one(images, at[0]), at)),
                   "mask": Decoded(rows, lambda at: cut(one(masks, at[0]), at))}
        if self.settings.gap_weight:
            columns["weight"] = Decoded(rows, lambda at: cut(weighed(at[0]), at))
        return Split(columns)

    def target(self, columns: Tensors) -> tf.Tensor:
        return self._at_network(columns["mask"])

    def weight(self, columns: Tensors) -> tf.Tensor | None:
        return self._at_network(columns["weight"]) if "weight" in columns else None

    def _at_network(self, values: tf.Tensor) -> tf.Tensor:
        """Values `[n, h, w]` of the signature's size at the network's."""
        if self.size == self.input_size:
            return values
        return tf.image.resize(values[..., None], self.size, "nearest")[..., 0]

    augments_raw = True

    def augment_raw(self, columns: Tensors, keys: tf.Tensor) -> Tensors:
        how, source = self.settings, tuple(columns["mask"].shape[1:3])
        images = tf.cast(columns["image"], tf.float32)
        if how.augment == "none":
            top, left = ((have - want) // 2 for have, want in zip(source, self.input_size, strict=True))
            return {name: column[:, top:top + self.input_size[0], left:left + self.input_size[1]]
                    for name, column in {**columns, "image": images}.items()}
        at = inside(field(keys, how, self.input_size, source), how, source)
        moved = {"image": haze(light(sample(images, at), keys, how.light, how.color), keys, how.haze),
                 "mask": nearest(columns["mask"], at, VOID)}
        if "weight" in columns:
            moved["weight"] = nearest(columns["weight"], at, 0)
        return moved

    def calibrate(self, network: keras.Model, validation: Split, answer: Any) -> dict[str, Any]:
        """The threshold of two classes that is best on validation data by `--threshold-for`."""
        goal = self.settings.threshold_for
        if len(self.facts["labels"]) != 2 or goal == "none":
            return {}
        scorers = [SegmentationScorer(self.facts["labels"], worst=0, shown=0) for _ in THRESHOLDS]
        for index in range(len(validation)):
            example = {name: column[0] for name, column in validation.take(np.array([index])).items()}
            [given] = answer([example])
            positive = np.where(given["mask"] == 1, given["confidence"], 1 - given["confidence"])
            for threshold, scorer in zip(THRESHOLDS, scorers, strict=True):
                chosen = (positive >= threshold).astype(np.int32)
                scorer.update({**example, "meta": {"index": index}}, {"mask": chosen})
        figures = np.array([scorer.report().metrics[goal] for scorer in scorers])
        if np.isnan(figures).all():
            return {}
        best = np.nanargmin(figures) if goal.startswith("rand_error") else np.nanargmax(figures)
        return {"threshold": float(THRESHOLDS[best])}


def pixel_accuracy(truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Share of pixels answered right, void left out; float32 `[n]`."""
    counts = tf.cast(tf.not_equal(tf.cast(truth, tf.int32), VOID), tf.float32)
    right = tf.cast(tf.equal(tf.argmax(outputs, -1, output_type=tf.int32), tf.cast(truth, tf.int32)), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(right * counts, [1, 2]), tf.reduce_sum(counts, [1, 2]))
