"""Networks from token or character ids to logits. Padding (id 0) never changes an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from shared.layers.ngrams import Ngrams
from shared.networks.blocks import Style
from shared.networks.words import MaxOverTime, MeanOverTime, Used, embedding

L = keras.layers
ops = keras.ops


@dataclass(frozen=True)
class Sizes:
    """How many ids of each kind there are, and into how many classes texts fall."""

    words: int
    pairs: int
    characters: int
    classes: int


@keras.saving.register_keras_serializable("pocketconv")
class Votes(keras.layers.Layer):
    """The sum of each feature's votes, divided by the root of how many there are: int32 `[n, t]` to `[n, classes]`.

    The votes are set from outside, and not trained; that of feature 0, the padding, stays 0.
    """

    def __init__(self, size: int, classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.classes = size, classes

    def build(self, input_shape: Any) -> None:
        self.votes = self.add_weight(shape=(self.size, self.classes), initializer="zeros", trainable=False)
        self.bias = self.add_weight(shape=(self.classes,), initializer="zeros", trainable=False)

    def call(self, ids: Any) -> Any:
        count = ops.sum(ops.cast(ids > 0, self.compute_dtype), 1, keepdims=True)
        return ops.sum(ops.take(self.votes, ids, axis=0), 1) * ops.rsqrt(ops.maximum(count, 1)) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0], self.classes

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "classes": self.classes}


def channels(ids: Any, used: Any, settings: Any, sizes: Sizes, dimension: int) -> list[Any]:
    """The embedded words, `[n, t, dimension]`: once, or twice where one copy of the vectors stays as it was."""
    tables = {"static": [("words", False)], "tuned": [("words", True)],
              "both": [("words", True), ("fixed_words", False)]}[settings.vectors]
    drop = L.SpatialDropout1D(settings.embedding_dropout)
    return [drop(L.Multiply()([embedding(sizes.words, dimension, name, trainable)(ids), used]))
            for name, trainable in tables]


def head(features: Any, settings: Any, sizes: Sizes) -> Any:
    limit = keras.constraints.MaxNorm(settings.max_norm) if settings.max_norm else None
    return L.Dense(sizes.classes, kernel_constraint=limit, name="logits")(L.Dropout(settings.dropout)(features))


def voters(ids: Any, pairs: Any, longest: int, sizes: Sizes) -> Any:
    """What votes in a text, see `apps.text.votes`: its words and its runs of 2 to `longest` of them; int32
    `[n, longest * t]`."""
    runs = Ngrams(longest, sizes.pairs - 1)(pairs)
    return ops.concatenate([ids, ops.where(runs > 0, runs + sizes.words, 0)], 1)


def with_votes(logits: Any, inputs: dict[str, Any], settings: Any, sizes: Sizes) -> Any:
    """Adds the votes of each word and each run of neighbours: few operations, many weights."""
    votes = Votes(sizes.words + sizes.pairs, sizes.classes, name="votes")
    return L.Add()([logits, votes(voters(inputs["ids"], inputs["pairs"], settings.longest_run, sizes))])


def cnn(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int) -> Any:
    """Parallel convolutions and their maxima over time (Kim 2014, https://arxiv.org/abs/1408.5882); where two copies
    of the vectors are read, each filter reads both and the sum counts."""
    used = Used()(inputs["ids"])
    words = channels(inputs["ids"], used, settings, sizes, dimension)
    maxima = []
    for width in settings.each_width():
        convolve = L.Conv1D(settings.filters, width, padding="same", **style.kernel())
        sums = [convolve(copy) for copy in words]
        seen = L.Activation(style.activation)(sums[0] if len(sums) == 1 else L.Add()(sums))
        maxima.append(MaxOverTime()(seen, used))
    return head(L.Concatenate()(maxima) if len(maxima) > 1 else maxima[0], settings, sizes)


def separable(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int) -> Any:
    """Depthwise separable convolutions with shortcuts, halving the text between them (after Johnson and Zhang 2017,
    deep pyramid CNN): sees far in long documents at little cost."""
    used = Used()(inputs["ids"])
    x = L.Conv1D(settings.filters, 1, **style.kernel())(channels(inputs["ids"], used, settings, sizes, dimension)[0])
    for stage in range(settings.depth):
        y = x
        for _ in range(2):
            y = L.Activation(style.activation)(y)
            y = L.SeparableConv1D(settings.filters, 3, padding="same", depthwise_initializer=style.initializer,
                                  pointwise_initializer=style.initializer)(L.Multiply()([y, used]))
        x = L.Add()([x, y])
        if stage + 1 < settings.depth:
            x = L.MaxPooling1D(2, padding="same")(L.Multiply()([x, used]))
            used = L.MaxPooling1D(2, padding="same")(used)
    x = L.Activation("relu")(x)
    return head(L.Concatenate()([MaxOverTime()(x, used), MeanOverTime()(x, used)]), settings, sizes)


def char(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int) -> Any:
    """Characters alone, each with its neighbours, then as `cnn`: for noisy text, and for Chinese."""
    characters = inputs["characters"]
    used = Used()(characters)
    x = L.Multiply()([embedding(sizes.characters, dimension, "character_vectors")(characters), used])
    x = L.SpatialDropout1D(settings.embedding_dropout)(x)
    x = L.Conv1D(settings.filters, 3, padding="same", activation=style.activation, **style.kernel())(x)
    x = L.Multiply()([x, used])
    maxima = [MaxOverTime()(L.Conv1D(settings.filters, width, padding="same", activation=style.activation,
                                     **style.kernel())(x), used) for width in settings.each_width()]
    return head(L.Concatenate()(maxima) if len(maxima) > 1 else maxima[0], settings, sizes)


def attention(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int) -> Any:
    """A Transformer encoder block (Vaswani et al. 2017, as keras-nlp has it) over convolved words."""
    import keras_nlp
    used = Used()(inputs["ids"])
    words = channels(inputs["ids"], used, settings, sizes, dimension)[0]
    x = L.Conv1D(settings.filters, 3, padding="same", activation=style.activation, **style.kernel())(words)
    block = keras_nlp.layers.TransformerEncoder(2 * settings.filters, 4, settings.dropout, name="encoder")
    x = L.Activation("relu")(block(L.Multiply()([x, used]), padding_mask=L.Reshape((-1,))(used)))
    return head(L.Concatenate()([MaxOverTime()(x, used), MeanOverTime()(x, used)]), settings, sizes)


NETWORKS: dict[str, Callable[..., Any]] = {"cnn": cnn, "separable": separable, "char": char, "attention": attention}
