"""The contract of an app's TensorFlow part: preprocess, network, postprocess, and how the network is trained."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.data.dataset import Split
from shared.facts import Facts
from shared.signature import Tensor

Tensors = dict[str, tf.Tensor]
NETWORK = "network"  # name of the served network; exported int8 files are integer inside this scope only
FLOAT = "float_"  # layers whose names begin so stay float in int8 files of models without loops


@dataclass(frozen=True)
class Signature:
    """One named way to call an artifact: `function` maps batched raw tensors by name to answers by name."""

    function: Callable[[Tensors], Tensors]
    inputs: dict[str, Tensor]


class Model(ABC):
    """Built from settings and facts; holds no weights itself.

    Args:
        settings: the app's `Settings`.
        facts: what `App.learn_facts` found.
    """

    def __init__(self, settings: Any, facts: Facts):
        self.settings, self.facts = settings, facts

    @property
    @abstractmethod
    def inputs(self) -> dict[str, Tensor]:
        """The raw inputs of `serving_default`."""

    @abstractmethod
    def preprocess(self, raw: Tensors) -> Any:
        """A batch of raw inputs by name to network inputs. TensorFlow operations with TFLite equivalents only."""

    @abstractmethod
    def network(self) -> keras.Model:
        """A new network, named `NETWORK`, its initial weights drawn from Keras' global seed."""

    def run(self, network: keras.Model, inputs: Any) -> Any:
        """What the network gives for what `preprocess` gave; the place to ask it more than once for an answer."""
        return network(inputs, training=False)

    @abstractmethod
    def postprocess(self, outputs: Any, inputs: Any, network: keras.Model) -> Tensors:
        """A batch of network outputs to answers by name.

        Args:
            outputs: of the network.
            inputs: what `preprocess` gave; it may hold more by name than the network reads (where each word began).
            network: whose weights decoding may need (a CRF's transitions).
        """

    def details(self, outputs: Any, inputs: Any) -> Tensors:
        """More answers that a run gives and a shipped file does not, for joining (probabilities of each class)."""
        return {}

    def pipeline(self, network: keras.Model, details: bool = False) -> Callable[[Tensors], Tensors]:
        """Preprocess, network and postprocess as one function of raw tensors: what is scored and what is shipped."""
        def answer(raw: Tensors) -> Tensors:
            with tf.name_scope("preprocess"):
                inputs = self.preprocess(raw)
            outputs = self.run(network, inputs)
            with tf.name_scope("postprocess"):
                answers = self.postprocess(outputs, inputs, network)
                return {**answers, **self.details(outputs, inputs)} if details else answers
        return answer

    def signatures(self, network: keras.Model) -> dict[str, Signature]:
        """All named ways to call the shipped file; the first is `serving_default`."""
        return {"serving_default": Signature(self.pipeline(network), self.inputs)}

    def ranges(self, network: keras.Model, examples: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """Raw inputs of each signature, in a batch, from which the ranges of int8 files are taken.

        Args:
            network: the one that is shipped.
            examples: of `serving_default`.
        """
        return {"serving_default": examples}

    def for_int8(self, network: keras.Model) -> keras.Model:
        """The network that the int8 file is made of (without loops), where another form rounds less: the same weights
        and answers, computed in another way."""
        return network

    def trainer(self, network: keras.Model, train: Split) -> keras.Model:
        """What `fit` trains, not yet compiled: the network itself, or a model built round its variables.

        The place for initial weights that come from `train` (what `examples` gave) or from a file.
        """
        return network

    def carried(self, layer: keras.Layer, origin: keras.Layer, source: "Model") -> list[np.ndarray] | None:
        """What a layer begins with where a run starts from another (`--from`); None leaves it as it is.

        Args:
            layer: of this model's network.
            origin: the layer of the same place and type in the other network, trained.
            source: the other model, whose facts say what the rows of a table mean.
        """
        weights = origin.get_weights()
        return weights if [w.shape for w in weights] == [tuple(w.shape) for w in layer.weights] else None

    @abstractmethod
    def losses(self) -> dict[str, Any]:
        """Keyword arguments of `compile`: `loss`, and `metrics` or `weighted_metrics` that the progress bar shows."""

    def examples(self, train: Split) -> Split:
        """What `fit` is fed: rows of one shape, made from training examples of any (windows, resized images)."""
        return train

    @abstractmethod
    def target(self, columns: Tensors) -> Any:
        """A batch of truth columns to what the loss takes."""

    def weight(self, columns: Tensors) -> Any:
        """A batch of truth columns to weights, float32 `[batch]` or as the loss takes them, by name where targets are;
        None weighs all alike."""
        return None

    def lengths(self, inputs: Any) -> Any:
        """How much of axis 1 of a batch of network inputs is used, `[batch]`, where the rest is padding.

        Batches are then made of examples of like length and cut, inputs as well as targets and weights of the same
        axis; what comes out must not depend on padding. None, the default: every example is used whole. Means
        nothing where preprocessing runs afresh every epoch (`augments_raw`, `--cache none`).
        """
        return None

    loops = False
    """Whether the graph holds a loop (a recurrent layer, a decoder): its int8 file is then made by ranges of our own,
    see `shared.export.fake_quant`, since the converter's data-driven way fails on it."""

    augments_raw = False
    """Whether `augment_raw` does anything; if so, preprocess runs afresh every epoch."""

    def augment_raw(self, columns: Tensors, keys: tf.Tensor) -> Tensors:
        """Changes a batch of columns, raw inputs and truth alike, by random numbers drawn from `keys`, uint32
        `[batch]`. Compiled by XLA."""
        return columns

    def augment(self, inputs: Any, targets: Any, weights: Any, keys: tf.Tensor) -> tuple[Any, Any, Any]:
        """Changes a batch of network inputs, targets and weights by random numbers drawn from `keys`."""
        return inputs, targets, weights

    def embeddings(self, network: keras.Model) -> dict[str, tuple[list[str], np.ndarray]]:
        """Learned vectors for TensorBoard's projector: labels and float vectors `[n, dimension]` by name."""
        return {}

    def calibrate(self, network: keras.Model, validation: Split,
                  answer: Callable[[list[dict[str, Any]]], Iterator[dict[str, Any]]]) -> dict[str, Any]:
        """More facts found on validation data after training (thresholds, weights of a language model).

        Args:
            network: the best one.
            validation: what to choose by.
            answer: what the run answers without these facts, see `shared.evaluation.answering`.
        """
        return {}
