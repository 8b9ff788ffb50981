"""The TensorFlow part: samples in; a word, or a sentence symbol by symbol, out."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.speech import augment
from apps.speech.ctc import CTCModel, greedy
from apps.speech.data import recordings, symbols_in, texts
from apps.speech.decoding import TUNED_ON, Decoder
from apps.speech.frames import HALVED, MARGIN
from apps.speech.networks import NETWORKS, by_clip, by_frame
from shared.classifier import Classifier
from shared.data.dataset import Ragged, Split
from shared.layers.log_mel import LogMel
from shared.model import NETWORK, Model, Tensors
from shared.networks.blocks import Style
from shared.signature import Tensor


class Sound(Model):
    """Facts: `rate`, `max_samples`, `mean` and `std` of each band of training clips."""

    augments_raw = True
    recordings: tf.Tensor | None = None  # of noise, read where examples are made to train on

    def __init__(self, settings: Any, facts: Any):
        super().__init__(settings, facts)
        self.features = features(facts["rate"], settings)
        self.margin = round(MARGIN * facts["rate"])

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"samples": Tensor((self.facts["max_samples"],), "float32"), "length": Tensor((), "int32")}

    @property
    def loops(self) -> bool:  # type: ignore[override]
        return self.settings.model != "separable"

    def preprocess(self, raw: Tensors) -> Tensors:
        samples, length = raw["samples"], raw["length"]
        samples = tf.where(tf.range(samples.shape[1])[None] < length[:, None], samples, 0.0)
        made = self.features(tf.pad(samples, [[0, 0], [self.margin, self.margin]]))
        frames = self.features.frames(length + 2 * self.margin)
        used = tf.range(made.shape[1])[None, :, None] < frames[:, None, None]
        made = (made - self.facts["mean"]) / self.facts["std"]
        return {"features": tf.where(used, made, 0.0), "frames": frames}

    def encoded(self) -> tuple[dict[str, Any], Any, Any]:
        """Keras inputs, and what the network of `--model` makes of them: values and which of them count."""
        size = self.facts["max_samples"] + 2 * self.margin
        inputs = {"features": keras.Input(self.features.compute_output_shape((None, size))[1:], name="features"),
                  "frames": keras.Input([], dtype="int32", name="frames")}
        settings = self.settings
        return inputs, *NETWORKS[settings.model](inputs["features"], inputs["frames"], settings, Style.of(settings))

    def examples(self, train: Split) -> Split:
        """Clips of one length, filled up with 0."""
        clips, size = train.columns["samples"], self.facts["max_samples"]
        assert isinstance(clips, Ragged)
        if self.settings.noise_dir:
            self.recordings = tf.constant(recordings(Path(self.settings.noise_dir), self.facts["rate"]))
        samples = np.zeros((len(train), size), np.int16)
        for row, place in enumerate(samples):
            own = clips.row(row)[:size]
            place[:len(own)] = own
        length = np.minimum(np.diff(clips.offsets), size).astype(np.int32)
        return Split({**train.columns, "samples": samples, "length": length}, train.meta)

    def augment_raw(self, columns: Tensors, keys: tf.Tensor) -> Tensors:
        how, samples, length = self.settings, tf.cast(columns["samples"], tf.float32) / 32768, columns["length"]
        if how.speed:
            samples, length = augment.stretch(samples, length, keys, how.speed)
        if how.shift:
            samples, length = augment.shift(samples, length, keys, round(how.shift * self.facts["rate"]))
        if how.reverberation:
            samples = augment.reverberate(samples, length, keys, self.facts["rate"], how.reverberation)
        if how.noise:
            samples = augment.noise(samples, length, keys, how.noise, self.recordings)
        return {**columns, "samples": samples, "length": length}

    def augment(self, inputs: Tensors, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        how, features = self.settings, inputs["features"]
        if how.pitch:
            features = augment.warp(features, keys, how.pitch * features.shape[2])
        if how.mask_bands or how.mask_time:
            features = augment.mask_bands(features, inputs["frames"], keys, how.mask_bands, how.mask_time)
        return {**inputs, "features": features}, targets, weights


class WordModel(Sound, Classifier):
    """One label a clip. Facts: `labels` too."""

    def network(self) -> keras.Model:
        inputs, x, used = self.encoded()
        logits = by_clip(x, used, len(self.facts["labels"]), self.settings.dropout)
        return keras.Model(inputs, logits, name=NETWORK)


class SentenceModel(Sound):
    """A transcript a clip. Facts: `symbols` too, characters or words."""

    def network(self) -> keras.Model:
        inputs, x, used = self.encoded()
        return keras.Model(inputs, by_frame(x, used, len(self.facts["symbols"]), self.settings.dropout), name=NETWORK)

    def trainer(self, network: keras.Model, train: Any) -> keras.Model:
        return CTCModel(network.input, network.output, halved=HALVED)

    def examples(self, train: Split) -> Split:
        made, kind = super().examples(train), self.facts["of"]
        numbers = {symbol: number for number, symbol in enumerate(self.facts["symbols"])}
        rows = [[numbers[symbol] for symbol in symbols_in(text, kind)] for text in texts(train)]
        symbols = np.full((len(rows), max(map(len, rows))), -1, np.int32)
        for place, row in zip(symbols, rows, strict=True):
            place[:len(row)] = row
        return Split({"samples": made.columns["samples"], "length": made.columns["length"], "symbols": symbols},
                     made.meta)

    def losses(self) -> dict[str, Any]:
        return {}

    def target(self, columns: Tensors) -> tf.Tensor:
        return columns["symbols"]

    def postprocess(self, outputs: tf.Tensor, inputs: Any, network: keras.Model) -> Tensors:
        return greedy(outputs, -(-inputs["frames"] // (1 << HALVED)))

    def details(self, outputs: tf.Tensor, inputs: Any) -> Tensors:
        """For beam search; behind the last frame nothing is said for sure."""
        used = tf.range(tf.shape(outputs)[1])[None] < -(-inputs["frames"] // (1 << HALVED))[:, None]
        none = tf.one_hot(outputs.shape[2] - 1, outputs.shape[2], 0.0, -1e9)
        return {"log_probabilities": tf.where(used[:, :, None], tf.nn.log_softmax(outputs), none)}

    def calibrate(self, network: keras.Model, validation: Split, answer: Any) -> dict[str, Any]:
        """Weights of the language model that are best on validation data."""
        chosen = np.arange(min(len(validation), TUNED_ON))
        truth = texts(validation.select(chosen))
        rows = [{name: column[0] for name, column in validation.take(chosen[row:row + 1]).items()} for row in chosen]
        clips = [(given["log_probabilities"], said) for given, said in zip(answer(rows), truth, strict=True)
                 if "log_probabilities" in given]  # not of recordings in several windows
        return Decoder(self.facts).tuned(clips) if clips else {}


def features(rate: int, settings: Any) -> LogMel:
    return LogMel(rate, settings.mels, settings.window, settings.hop, coefficients=settings.coefficients)


def build(settings: Any, facts: Any) -> Sound:
    """The model of the task that the facts are of."""
    return (WordModel if facts.get("labels") else SentenceModel)(settings, facts)
