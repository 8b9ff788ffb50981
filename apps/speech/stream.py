"""A causal keyword network, answered chunk by chunk: what its layers must remember goes out with each answer, and in
again with the next chunk."""

from collections.abc import Callable
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.speech.frames import chunk_size
from shared.layers.causal_padding import CausalPadding
from shared.model import NETWORK, Signature, Tensors
from shared.networks.words import MeanOverTime
from shared.signature import Tensor

FOREVER = 1 << 30  # windows
MERGING = keras.layers.Add | keras.layers.Multiply  # layers that take a list


class State:
    """Numbers that are remembered, taken from one vector and gathered for the next in the same order.

    Args:
        given: float32 `[n, size]`, or None to find out the size.
    """

    def __init__(self, given: tf.Tensor | None = None):
        self.given, self.size, self.made = given, 0, list[tf.Tensor]()

    def take(self, shape: tuple[int, ...]) -> tf.Tensor:
        """The next ones, `[n, *shape]`."""
        start, self.size = self.size, self.size + prod(shape)
        if self.given is None:
            return tf.zeros([1, *shape])
        return tf.reshape(self.given[:, start:self.size], [-1, *shape])

    def give(self, values: tf.Tensor) -> None:
        """What takes the place of those taken last."""
        self.made.append(tf.reshape(values, [-1, prod(values.shape[1:])]))


def stream(features: Any, normalize: Callable[[tf.Tensor], tf.Tensor], network: keras.Model) -> Signature:
    """The signature `stream`: a chunk of samples and a state give logits and the next state; the first state is 0.

    The logits are those of all that was heard as one clip, of which the last 0.1 seconds count as the silence behind
    it, as long as that is no longer than the longest clip; then those of as much as came last.

    Args:
        features: the layer from samples to features.
        normalize: features as the network has learned them.
        network: causal, of inputs `features` and `frames`.
    """
    def answer(raw: Tensors, state: State) -> Tensors:
        before = features.window_size - features.hop_size
        samples = tf.concat([state.take((before,)), raw["samples"]], 1)
        state.give(last(samples, before))
        inputs = {"features": normalize(features(samples)), "frames": tf.fill([tf.shape(samples)[0]], FOREVER)}
        with tf.name_scope(NETWORK):
            logits = walk(network, inputs, lambda layer, *given: _remembering(layer, state, *given))
        return {"logits": logits, "state": tf.concat(state.made, 1)}

    samples = Tensor((chunk_size(features.hop_size),), "float32")
    size = State()
    answer({"samples": tf.zeros([1, *samples.shape])}, size)
    return Signature(lambda raw: answer(raw, State(raw["state"])),
                     {"samples": samples, "state": Tensor((size.size,), "float32")})


def states_of(signature: Signature, clips: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs of `stream` while it hears clips, float32 `[n, samples]`, chunk after chunk."""
    chunk, size = (signature.inputs[name].shape[0] or 0 for name in ("samples", "state"))
    state, given, run = np.zeros((len(clips), size), np.float32), list[Any](), tf.function(signature.function)
    for start in range(0, clips.shape[1] - chunk + 1, chunk):
        given.append({"samples": clips[:, start:start + chunk], "state": state})
        state = run({name: tf.constant(values) for name, values in given[-1].items()})["state"].numpy()
    return {name: np.concatenate([row[name] for row in given]) for name in signature.inputs}


def _remembering(layer: keras.layers.Layer, state: State, *given: tf.Tensor) -> tf.Tensor:
    """What a layer gives in a stream."""
    if isinstance(layer, CausalPadding):
        values, = given
        whole = tf.concat([state.take((layer.before, *values.shape[2:])), values], 1)
        state.give(last(whole, layer.before))
        return whole
    if isinstance(layer, MeanOverTime):
        values, used = given
        most = layer.input[0].shape[1]
        with tf.name_scope("mean/"):  # not the network's: eight bits would lose the first of many, and miscount
            kept = last(tf.concat([state.take((most, values.shape[2])), values], 1), most)
            state.give(kept)
            count = tf.minimum(state.take((1,)) + tf.reduce_sum(used, 1), float(most))
            state.give(count)
            return tf.reduce_sum(kept, 1) / count
    return layer(list(given)) if isinstance(layer, MERGING) else layer(*given)


def last(values: tf.Tensor, steps: int) -> tf.Tensor:
    """The last steps of axis 1, which may be none."""
    return values[:, values.shape[1] - steps:]


def walk(network: keras.Model, inputs: dict[str, tf.Tensor],
         call: Callable[..., tf.Tensor]) -> tf.Tensor:
    """The output of a functional model, each of its layers called as `call(layer, *inputs)`."""
    values = {id(symbolic): inputs[name] for name, symbolic in network.input.items()}
    for layer in network.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            values[id(layer.output)] = call(layer, *(values[id(given)] for given in tf.nest.flatten(layer.input)))
    return values[id(network.output)]
