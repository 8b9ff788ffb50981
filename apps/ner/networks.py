"""Networks from tokens to a score of each tag for each of them. Padding (id 0) never changes an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from shared.layers.crf import CRF
from shared.layers.neighbours import Neighbours
from shared.networks.blocks import Style
from shared.networks.words import MaxOverTime, Used, embedding

L = keras.layers

SHAPES = 8  # see `apps.ner.model.shapes`


@dataclass(frozen=True)
class Sizes:
    """How many ids of each kind there are, and how many tags."""

    words: int
    pairs: int
    characters: int
    tags: int


def tokens(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int, used: Any) -> Any:
    """What is known of each token alone: its word's vector, its shape's, and what a convolution over its characters
    finds (Ma and Hovy 2016, https://arxiv.org/abs/1603.01354): `[n, t, channels]`."""
    seen = [embedding(sizes.words, dimension, "words", settings.vectors == "tuned")(inputs["ids"]),
            embedding(SHAPES, settings.shape_dimension, "shape_vectors")(inputs["shapes"])]
    if settings.pairs:
        seen.append(embedding(sizes.pairs, settings.pair_dimension, "pair_vectors")(inputs["pairs"]))
    if settings.character_filters:
        inside = Used()(inputs["characters"])
        letters = L.Concatenate()([embedding(sizes.characters, settings.character_dimension, "character_vectors")(
            inputs["characters"]), embedding(2, 4, "capital_vectors")(inputs["capitals"])])
        letters = L.Dropout(settings.character_dropout)(L.Multiply()([letters, inside]))
        found = L.Conv2D(settings.character_filters, (1, 3), padding="same", activation=style.activation,
                         name="character_convolution", **style.kernel())(letters)
        seen.append(MaxOverTime()(found, inside))
    return L.Dropout(settings.word_vector_dropout, name="token_vectors")(
        L.Multiply()([L.Concatenate()(seen), used]))


def convolution(x: Any, used: Any, filters: int, rate: int, style: Style) -> tuple[Any, Any]:
    """A convolution of width 3 whose taps stand `rate` tokens apart, and the layer that has its weights."""
    layer = L.Conv1D(filters, 1, activation=style.activation, **style.kernel())
    return layer(Neighbours(rate)(L.Multiply()([x, used]))), layer


def cnn(x: Any, used: Any, settings: Any, style: Style) -> Any:
    """Convolutions one upon another, each round which its input goes by."""
    x, _ = convolution(x, used, settings.filters, 1, style)
    for _ in range(settings.depth):
        y, _ = convolution(L.Dropout(settings.dropout)(x), used, settings.filters, 1, style)
        x = L.Add()([x, y])
    return x


def idcnn(x: Any, used: Any, settings: Any, style: Style) -> Any:
    """Iterated dilated convolutions (Strubell et al. 2017, https://arxiv.org/abs/1702.02098): a block whose taps
    stand 1, 2, 4, … and again 1 tokens apart is applied several times with the same weights."""
    x, _ = convolution(x, used, settings.filters, 1, style)
    rates = [*(2**step for step in range(settings.depth - 1)), 1]
    layers = [L.Conv1D(settings.filters, 1, activation=style.activation, name=f"block_{step}", **style.kernel())
              for step in range(len(rates))]
    for _ in range(settings.iterations):
        y = L.Dropout(settings.dropout)(x)
        for rate, layer in zip(rates, layers, strict=True):
            y = layer(Neighbours(rate)(L.Multiply()([y, used])))
        x = L.Add()([x, y])
    return x


def bilstm(x: Any, used: Any, settings: Any, style: Style) -> Any:
    """An LSTM in each direction (Ma and Hovy 2016); padding is passed over."""
    mask = L.Reshape([-1])(used)
    for _ in range(settings.depth):
        x = L.Bidirectional(L.LSTM(settings.filters, return_sequences=True))(x, mask=keras.ops.not_equal(mask, 0))
        x = L.Dropout(settings.dropout)(x)
    return L.Multiply()([x, used])  # Keras' mask ends here: metrics would take it for weights


ENCODERS: dict[str, Callable[..., Any]] = {"idcnn": idcnn, "cnn": cnn, "bilstm": bilstm}


def build(inputs: dict[str, Any], settings: Any, style: Style, sizes: Sizes, dimension: int, crf: dict[str, Any]
          ) -> Any:
    """Scores of each tag, float32 `[n, t, tags]`, through the layer that knows how tags follow on each other."""
    used = Used()(inputs["ids"])
    x = tokens(inputs, settings, style, sizes, dimension, used)
    x = L.Dropout(settings.dropout)(ENCODERS[settings.model](x, used, settings, style))
    scores = L.Dense(sizes.tags, dtype="float32", name="logits")(x)
    return CRF(sizes.tags, **crf, name="crf")(scores)
