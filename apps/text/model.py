"""The TensorFlow part: UTF-8 bytes in, label and probabilities out."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from apps.text import augment
from apps.text.networks import NETWORKS, Sizes, voters, with_votes
from apps.text.votes import fit_votes
from shared.classifier import Classifier
from shared.data.dataset import Ragged, Split
from shared.data.word_vectors import read_vectors
from shared.model import NETWORK, Model, Tensors
from shared.networks.blocks import Style
from shared.networks.words import begin_with
from shared.text_model import TextModel


class TextClassifier(TextModel, Classifier):
    """Facts: `labels`, `max_bytes`, `tokens` (the tokenizer's configuration), `characters`, `dimension`."""

    def preprocess(self, raw: Tensors) -> Tensors:
        made = self.tokens(raw["text"])
        if self.settings.model == "char":
            return {"characters": self.characters(made["text"][:, :self.facts["max_characters"]])}
        return {name: made[name] for name in (("ids", "pairs") if self.settings.pairs else ("ids",))}

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.tokens.size, self.tokens.pair_buckets + 1, self.characters.size, len(self.facts["labels"]))

    def network(self) -> keras.Model:
        settings, sizes = self.settings, self.sizes
        names = ["characters"] if settings.model == "char" else ["ids", "pairs"] if settings.pairs else ["ids"]
        inputs = {name: keras.Input([None], dtype="int32", name=name) for name in names}
        logits = NETWORKS[settings.model](inputs, settings, Style.of(settings), sizes, self.facts["dimension"])
        if "pairs" in inputs:
            logits = with_votes(logits, inputs, settings, sizes)
        return keras.Model(inputs, logits, name=NETWORK)

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """The network, its words begun with the vectors of `--embeddings`; without its votes, which are fitted now."""
        if self.settings.embeddings:
            vectors = read_vectors(Path(self.settings.embeddings), self.tokens.words)
            for name in {"words", "fixed_words"} & {layer.name for layer in network.layers}:
                begin_with(network.get_layer(name), self.tokens.words, 1 + self.tokens.buckets, vectors)
        if not self.settings.pairs:
            return network
        labels = np.asarray(train.columns["label"][np.arange(len(train))])
        network.get_layer("votes").set_weights(fit_votes(self.counts(train), labels, len(self.facts["labels"])))
        return keras.Model(network.inputs[:1], network.get_layer("logits").output)

    def counts(self, train: Split) -> sparse.csr_array:
        """How often each text has each word and run of words, numbered as the votes are."""
        preprocess, rows = tf.function(self.preprocess, reduce_retracing=True), []
        for _, columns in train.batches(train.gathered(256)):
            made = preprocess({"text": tf.constant(columns["text"])})
            ids = voters(made["ids"], made["pairs"], self.settings.longest_run, self.sizes).numpy()
            used = ids > 0
            place = np.concatenate([[0], np.cumsum(used.sum(1))])
            shape = (len(ids), self.sizes.words + self.sizes.pairs)
            rows.append(sparse.csr_array((np.ones(place[-1], np.float32), ids[used], place), shape=shape))
            rows[-1].sum_duplicates()
        return sparse.vstack(rows, "csr")

    def carried(self, layer: keras.Layer, origin: keras.Layer, source: Model) -> list[np.ndarray] | None:
        """Votes are fitted to the new texts."""
        return None if layer.name == "votes" else super().carried(layer, origin, source)

    def examples(self, train: Split) -> Split:
        """Texts cut to what the graph takes."""
        text = train.columns["text"]
        assert isinstance(text, Ragged)
        cut = text.select(np.arange(len(text)), self.facts["max_bytes"])
        return Split({**train.columns, "text": cut}, train.meta)

    def lengths(self, inputs: Any) -> Any:
        return (next(iter(inputs.values())) != 0).sum(1)

    def augment(self, inputs: Tensors, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        how = self.settings
        if how.crop:
            inputs = augment.crop(inputs, keys, how.crop)
        if how.word_dropout and "ids" in inputs:
            inputs = augment.drop_words(inputs, keys, how.word_dropout)
        if how.word_swap and "ids" in inputs:
            inputs = augment.swap(inputs, keys, how.word_swap)
        return inputs, targets, weights
