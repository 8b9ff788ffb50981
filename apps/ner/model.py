"""The TensorFlow part: UTF-8 bytes in, tags, their places and the spans they mean out."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.ner.networks import Sizes, build
from apps.ner.pieces import pieces
from shared.data.dataset import Ragged, Split
from shared.data.stateless import uniform
from shared.data.tag_schemes import allowed_steps, tag_names
from shared.data.word_vectors import read_vectors
from shared.model import NETWORK, Tensors
from shared.networks.blocks import Style
from shared.networks.sequence_tagger import SequenceTagger
from shared.networks.words import begin_with
from shared.text_model import TextModel

UNKNOWN = 1  # the first bucket of unknown words
LOWER, CAPITALISED, CAPITALS, MIXED, NUMBER, WITH_NUMBER, ONE_CAPITAL = range(1, 8)  # shapes; 0 is padding


class Tagger(TextModel):
    """Facts: `labels` (types of entities), `max_bytes`, `tokens` (the tokenizer's configuration), `characters`,
    `dimension`. Answers: tags as `shared.data.tag_schemes.tag_names` has them; unused places hold -1."""

    loops = True

    def __init__(self, settings: Any, facts: Any):
        super().__init__(settings, facts)
        self.tags = tag_names(facts["labels"])

    def preprocess(self, raw: Tensors) -> Tensors:
        made = self.tokens(raw["text"])
        return {"ids": made["ids"], "shapes": shapes(made["characters"], made["capitals"]),
                "characters": self.characters(made["characters"]), "capitals": made["capitals"],
                "pairs": made["pairs"], "offsets": made["offsets"], "lengths": made["lengths"]}

    def network(self) -> keras.Model:
        settings, most = self.settings, self.tokens.max_characters
        inputs = {name: keras.Input([None], dtype="int32", name=name)
                  for name in ("ids", "shapes", "pairs", "offsets", "lengths")}  # it does not read the last two
        inputs |= {name: keras.Input([None, most], dtype="int32", name=name) for name in ("characters", "capitals")}
        steps = dict(zip(("allowed", "allowed_first", "allowed_last"), allowed_steps(self.tags), strict=True))
        sizes = Sizes(self.tokens.size, self.tokens.pair_buckets + 1, self.characters.size, len(self.tags))
        scores = build(inputs, settings, Style.of(settings), sizes, self.facts["dimension"],
                       steps if settings.constrain else {})
        return keras.Model(inputs, scores, name=NETWORK)

    def postprocess(self, outputs: tf.Tensor, inputs: Tensors, network: keras.Model) -> Tensors:
        crf = network.get_layer("crf")
        used = inputs["ids"] > 0
        count = tf.reduce_sum(tf.cast(used, tf.int32), 1)
        tags, _ = crf.decode(outputs, count)
        sure = tf.gather(crf.marginals(outputs, count), tf.maximum(tags, 0), batch_dims=2)
        answers = {"tags": tags, "offsets": inputs["offsets"], "lengths": inputs["lengths"], "confidences": sure}
        return {**{name: tf.where(used, values, tf.cast(-1, values.dtype)) for name, values in answers.items()},
                "count": count, **spans(tags, inputs["offsets"], inputs["lengths"])}

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """The network with its CRF's loss, its words begun with the vectors of `--embeddings`."""
        if self.settings.embeddings:
            vectors = read_vectors(Path(self.settings.embeddings), self.tokens.words)
            begin_with(network.get_layer("words"), self.tokens.words, 1 + self.tokens.buckets, vectors,
                       self.settings.vector_size)
        return SequenceTagger(network.input, network.output, token_loss=self.settings.token_loss)

    def losses(self) -> dict[str, Any]:
        return {"metrics": [keras.metrics.MeanMetricWrapper(tag_accuracy, name="tag_accuracy")]}

    def examples(self, train: Split) -> Split:
        """Sentences, long ones in pieces."""
        text, tags = train.columns["text"], train.columns["tags"]
        assert isinstance(text, Ragged) and isinstance(tags, Ragged)
        parts = [(piece.text, tags.row(row)[piece.first:piece.last if piece.last >= 0 else None])
                 for row in range(len(train))
                 for piece in pieces(text.row(row), self.facts["max_bytes"], self.tokens.max_tokens)]

        def column(values: list[np.ndarray], fill: int) -> Ragged:
            return Ragged(np.concatenate(values), np.cumsum([0, *map(len, values)]), fill)
        texts, truth = zip(*parts, strict=True)
        return Split({"text": column(list(texts), 0), "tags": column(list(truth), -1)})

    def target(self, columns: Tensors) -> tf.Tensor:
        tags, most = columns["tags"], self.tokens.max_tokens
        return tf.pad(tags, [[0, 0], [0, most]], constant_values=-1)[:, :most]

    def lengths(self, inputs: Any) -> Any:
        return (inputs["ids"] != 0).sum(1)

    def augment(self, inputs: Tensors, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        if share := self.settings.word_dropout:
            ids = inputs["ids"]
            dropped = (uniform(keys, 0, (tf.shape(ids)[1],)) < share) & (ids > 0)
            inputs = {**inputs, "ids": tf.where(dropped, UNKNOWN, ids)}
        return inputs, targets, weights


def shapes(characters: tf.Tensor, capitals: tf.Tensor) -> tf.Tensor:
    """How each token is written, by number (`LOWER`, …); int32 `[n, t]`.

    Args:
        characters: lower-cased code points, int32 `[n, t, most]`, padded with 0.
        capitals: 1 where lower-casing changed one.
    """
    def some(here: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.cast(here, tf.int32), -1) > 0
    digit = (characters >= ord("0")) & (characters <= ord("9"))
    large = tf.equal(capitals, 1)
    small = (((characters >= ord("a")) & (characters <= ord("z"))) | (characters > 127)) & ~large
    many = tf.reduce_sum(capitals, -1)
    shape = tf.where(some(small), tf.where(large[:, :, 0] & tf.equal(many, 1), CAPITALISED, MIXED),
                     tf.where(tf.equal(many, 1), ONE_CAPITAL, CAPITALS))
    shape = tf.where(tf.equal(many, 0), LOWER, shape)
    shape = tf.where(some(digit), tf.where(some(small | large), WITH_NUMBER, NUMBER), shape)
    return tf.where(some(characters > 0), shape, 0)


def spans(tags: tf.Tensor, offsets: tf.Tensor, lengths: tf.Tensor) -> Tensors:
    """The spans that legal sequences of BIOES tags mean, packed to the left.

    Args:
        tags: int32 `[n, t]`, numbers of `tag_names`; -1 in the padding.
        offsets, lengths: of the tokens, in bytes, of the same shape.

    Returns:
        `span_type`, `span_start`, `span_length`: int32 `[n, t]`, -1 behind the last; `span_count`: int32 `[n]`.
    """
    rows, most = tags.shape[0] or tf.shape(tags)[0], tags.shape[1]
    place = tf.math.floormod(tags - 1, 4)  # in its entity: begin, inside, end, single
    marked = tags > 0
    begins = tf.cast(marked & (tf.equal(place, 0) | tf.equal(place, 3)), tf.int32)
    ends = tf.cast(marked & (place >= 2), tf.int32)

    def packed(chosen: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Values + 1 at the chosen places, one after another; 0 behind them."""
        slot = tf.where(chosen > 0, tf.cumsum(chosen, 1) - 1, most) + tf.expand_dims(tf.range(rows), 1) * (most + 1)
        flat = tf.scatter_nd(tf.reshape(slot, [-1, 1]), tf.reshape((values + 1) * chosen, [-1]),
                             tf.reshape(rows * (most + 1), [1]))
        return tf.reshape(flat, [rows, most + 1])[:, :-1]
    start, end = packed(begins, offsets), packed(ends, offsets + lengths)
    used = start > 0
    found = {"span_type": packed(begins, tf.math.floordiv(tags - 1, 4)) - 1, "span_start": start - 1,
             "span_length": end - start}
    return {**{name: tf.where(used, values, -1) for name, values in found.items()},
            "span_count": tf.reduce_sum(begins, 1)}


def tag_accuracy(truth: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Share of tags that score highest alone, padding left out; float32 `[n]`."""
    truth = tf.cast(truth, tf.int32)
    used = tf.cast(truth >= 0, tf.float32)
    right = tf.cast(tf.equal(tf.argmax(scores, -1, output_type=tf.int32), truth), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(right * used, 1), tf.reduce_sum(used, 1))
