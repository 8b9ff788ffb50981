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
from apps.speech.levels import levelled
from apps.speech.networks import NETWORKS, by_clip, by_frame
from apps.speech.speakers import count, numbered, speaker_loss, with_speaker
from apps.speech.stream import states_of, stream
from shared.classifier import Classifier
from shared.data.dataset import Ragged, Split
from shared.layers.log_mel import LogMel
from shared.model import NETWORK, Model, Signature, Tensors
from shared.networks.blocks import Style
from shared.signature import Tensor

BLOCK = 128  # samples
LEAST = 1e-12  # probability that is told from none
STREAMED = 50  # clips from whose chunks the ranges of int8 streams are taken


class Sound(Model):
    """Facts: `rate`, `max_samples`, `mean` and `std` of each band of training clips."""

    augments_raw = True
    trims = False  # whether silence at a clip's end, where it is told from sound, is left unheard
    recordings: tf.Tensor | None = None  # of noise, read where examples are made to train on

    def __init__(self, settings: Any, facts: Any):
        super().__init__(settings, facts)
        self.features = features(facts["rate"], settings)
        margin = round(MARGIN * facts["rate"])
        # Silence before and behind a clip. A causal network has as much before as its first window looks back.
        self.margins = (self.features.window_size - self.features.hop_size if settings.causal else margin, margin)

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"samples": Tensor((self.facts["max_samples"],), "float32"), "length": Tensor((), "int32")}

    @property
    def loops(self) -> bool:  # type: ignore[override]
        return self.settings.model != "separable"

    def preprocess(self, raw: Tensors) -> Tensors:
        samples, length = raw["samples"], raw["length"]
        made = self.features(tf.pad(silenced(samples, length), [[0, 0], self.margins]))
        frames = self.features.frames(length + sum(self.margins))
        number = tf.range(made.shape[1])[None, :, None]
        first = -(-self.margins[0] // self.features.hop_size)
        count = self.features.frames(length - first * self.features.hop_size + self.margins[0])[:, None, None]
        within = (number >= first) & (number < first + count)
        made, loud = levelled(made, within, self.settings)
        if self.trims and (self.settings.dynamic_range or self.settings.noise_floor):
            last = tf.reduce_max(tf.where(loud, number + 1, 0), (1, 2))
            frames = tf.minimum(frames, last + self.margins[1] // self.features.hop_size)
        return {"features": tf.where(number < frames[:, None, None], self.normalize(made), 0.0), "frames": frames}

    def normalize(self, made: tf.Tensor) -> tf.Tensor:
        return (made - self.facts["mean"]) / self.facts["std"]

    def run(self, network: keras.Model, inputs: Tensors) -> tf.Tensor:
        """Logits; with `test_time_pitch` the logarithms of the mean probabilities of three hearings, which stand for
        logits. The mean of logarithms would lose a word that one hearing hears a frame later."""
        share, features = self.settings.test_time_pitch, inputs["features"]
        if not share:
            return super().run(network, inputs)
        heard = tf.concat([features, *(augment.moved(features, tf.constant([[by]])) for by in (-share, share))], 0)
        logits = network({"features": heard, "frames": tf.tile(inputs["frames"], [3])}, training=False)
        return tf.math.log(tf.add_n(tf.split(tf.nn.softmax(logits), 3)) / 3 + LEAST)

    def encoded(self) -> tuple[dict[str, Any], Any, Any]:
        """Keras inputs, and what the network of `--model` makes of them: values and which of them count."""
        size = self.facts["max_samples"] + sum(self.margins)
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
        columns: dict[str, Any] = {**train.columns, "samples": samples, "length": length}
        if self.settings.speaker_head:
            columns["speaker"] = numbered(train)
        return Split(columns, train.meta)

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
        if how.pitch and not how.coefficients:
            features = augment.warp(features, keys, how.pitch * features.shape[2])
        if how.mask_bands or how.mask_time:
            features = augment.mask_bands(features, inputs["frames"], keys, how.mask_bands, how.mask_time)
        return {**inputs, "features": features}, targets, weights


class WordModel(Sound, Classifier):
    """One label a clip. Facts: `labels` too."""

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        if not self.settings.speaker_head:
            return network
        return keras.Model(network.input, with_speaker(network, count(train)))

    def losses(self) -> dict[str, Any]:
        own = super().losses()
        if not self.settings.speaker_head:
            return own
        return {"loss": {"said": own["loss"], "speaker": speaker_loss},
                "weighted_metrics": {"said": own["weighted_metrics"]}}

    def target(self, columns: Tensors) -> Any:
        said = super().target(columns)
        return {"said": said, "speaker": columns["speaker"]} if self.settings.speaker_head else said

    def signatures(self, network: keras.Model) -> dict[str, Signature]:
        made = super().signatures(network)
        if self.settings.causal:
            chunk = stream(self.features, self.normalize, network)

            def answer(raw: Tensors) -> Tensors:
                given = chunk.function(raw)
                with tf.name_scope("postprocess"):
                    return {**self.postprocess(given["logits"], None, network), "state": given["state"]}
            made["stream"] = Signature(answer, chunk.inputs)
        return made

    def ranges(self, network: keras.Model, examples: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        made = super().ranges(network, examples)
        if self.settings.causal:
            samples = examples["samples"][:STREAMED]
            made["stream"] = states_of(stream(self.features, self.normalize, network), samples)
        return made

    def network(self) -> keras.Model:
        inputs, x, used = self.encoded()
        logits = by_clip(x, used, len(self.facts["labels"]), self.settings.dropout)
        return keras.Model(inputs, logits, name=NETWORK)


class SentenceModel(Sound):
    """A transcript a clip. Facts: `symbols` too, characters or words."""

    trims = True  # else some networks learn to wait for the end, and there guess what they did not hear

    def network(self) -> keras.Model:
        inputs, x, used = self.encoded()
        return keras.Model(inputs, by_frame(x, used, len(self.facts["symbols"]), self.settings.dropout), name=NETWORK)

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        outputs = network.output
        if self.settings.speaker_head:
            outputs = with_speaker(network, count(train))
        return CTCModel(network.input, outputs, halved=HALVED)

    def examples(self, train: Split) -> Split:
        made, kind = super().examples(train), self.facts["of"]
        numbers = {symbol: number for number, symbol in enumerate(self.facts["symbols"])}
        rows = [[numbers[symbol] for symbol in symbols_in(text, kind)] for text in texts(train)]
        symbols = np.full((len(rows), max(map(len, rows))), -1, np.int32)
        for place, row in zip(symbols, rows, strict=True):
            place[:len(row)] = row
        columns = {name: column for name, column in made.columns.items() if name != "text"}
        return Split({**columns, "symbols": symbols}, made.meta)

    def losses(self) -> dict[str, Any]:
        return {}

    def target(self, columns: Tensors) -> Any:
        said = columns["symbols"]
        return {"said": said, "speaker": columns["speaker"]} if self.settings.speaker_head else said

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


def silenced(samples: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """0 behind the length. Counted block by block, or a file would hold the number of each sample.

    Args:
        samples: float32 `[n, size]`.
        length: int32 `[n]`.
    """
    size = samples.shape[1]
    blocks = tf.reshape(tf.pad(samples, [[0, 0], [0, -size % BLOCK]]), [-1, -(-size // BLOCK), BLOCK])
    left = length[:, None, None] - BLOCK * tf.range(blocks.shape[1])[None, :, None]
    return tf.reshape(tf.where(tf.range(BLOCK) < left, blocks, 0.0), [-1, blocks.shape[1] * BLOCK])[:, :size]


def features(rate: int, settings: Any) -> LogMel:
    return LogMel(rate, settings.mels, settings.window, settings.hop, coefficients=settings.coefficients)


def loudness(clips: list[np.ndarray], settings: Any) -> dict[str, list[float]]:
    """`mean` and `std` of each band of float32 clips."""
    rows, layer = [], features(settings.rate, settings)
    for clip in clips:
        made = layer(clip[None])
        within = tf.ones([1, made.shape[1], 1], tf.bool)
        rows.append(levelled(made, within, settings)[0][0])
    values = np.concatenate(rows)
    if not len(values):
        return {"mean": [0.0] * values.shape[1], "std": [1.0] * values.shape[1]}
    return {"mean": values.mean(0).round(4).tolist(), "std": (values.std(0).round(4) + 1e-3).tolist()}


def build(settings: Any, facts: Any) -> Sound:
    """The model of the task that the facts are of."""
    return (WordModel if facts.get("labels") else SentenceModel)(settings, facts)
