"""A linear-chain conditional random field: what scores, finds and trusts sequences of tags."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FORBIDDEN = -1e4  # in place of a score; -inf would make gradients NaN
UNROLLED = 4  # steps in one turn of a loop: a turn costs as much as several steps, in TensorFlow and in TFLite


@keras.saving.register_keras_serializable("pocketconv")
class CRF(keras.layers.Layer):
    """Passes emissions through, and owns the scores of tags that follow each other, begin and end a sequence.

    A sequence of tags scores the sum of its emissions, of the transitions between neighbours, and of its first and
    last tag; its probability is the softmax over all sequences. Train by `log_likelihood` (see
    `shared.networks.sequence_tagger`), then ask `decode`, `marginals` and `n_best`. Sequences are padded on the right;
    what stands in the padding, NaN too, changes nothing. All is float32 under any dtype policy. `decode` and
    `marginals` are made for inference: gradients are those of `log_likelihood`. With a fixed input shape both convert
    to built-in operations of TFLite, and their time grows with the longest length in use, not with the shape.

    Args:
        units: number of tags.
        allowed: 0 or 1 `[units, units]`: which tag (column) may follow which (row). None: any.
        allowed_first, allowed_last: 0 or 1 `[units]`: tags a sequence may begin and end with. None: any. What is
            forbidden scores -10,000 in place of the weight: it is not chosen while anything else can be, but a
            training sequence that breaks the rules has finite loss and gradients.
        **kwargs: base layer keyword arguments (`name`, `trainable`, ...); `dtype` is always float32.

    Weights: `transitions` `[units, units]`, from row to column; `first` and `last` `[units]`.

    Input shape: float `[batch, time, units]`.

    Output shape: the same, float32.

    Raises:
        ValueError: a constraint or the input does not fit `units`.

    Example:

    >>> crf = CRF(2, allowed=[[1, 1], [0, 1]])  # once 1, always 1
    >>> emissions = np.array([[[1, 0], [0, 3], [1, 0]], [[2, 0], [0, 0], [0, 0]]], "float32")
    >>> labels, score = crf.decode(emissions, [3, 1])
    >>> labels.numpy().tolist(), score.numpy().tolist()
    ([[0, 1, 1], [0, -1, -1]], [4.0, 2.0])
    >>> crf.marginals(emissions, [3, 1]).numpy()[0, :, 1].astype("float64").round(2).tolist()
    [0.24, 0.88, 0.91]

    Reference:
        [Lafferty, McCallum and Pereira 2001](https://repository.upenn.edu/handle/20.500.14332/6188)
        [Rabiner 1989](https://doi.org/10.1109/5.18626): forward algorithm, Viterbi, smoothing
    """

    def __init__(self, units: int, allowed: Any = None, allowed_first: Any = None, allowed_last: Any = None,
                 **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.units, self.supports_masking = units, True
        self.allowed = _constraint("allowed", allowed, (units, units))
        self.allowed_first = _constraint("allowed_first", allowed_first, (units,))
        self.allowed_last = _constraint("allowed_last", allowed_last, (units,))

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] != self.units:
            raise ValueError(f"A CRF of {self.units} units needs as many emissions a step, not {input_shape[-1]}.")
        self.transitions = self.add_weight(name="transitions", shape=(self.units, self.units), initializer="zeros")
        self.first = self.add_weight(name="first", shape=(self.units,), initializer="zeros")
        self.last = self.add_weight(name="last", shape=(self.units,), initializer="zeros")

    def call(self, emissions: Any) -> Any:
        return keras.ops.cast(emissions, "float32")

    def log_likelihood(self, labels: Any, emissions: Any) -> Any:
        """Log-probabilities of given sequences, by the forward algorithm.

        Args:
            labels: int `[batch, time]`, 0 to units - 1, then -1 in the padding.
            emissions: float `[batch, time, units]`.

        Returns:
            float32 `[batch]`; 0 for a sequence of length 0.
        """
        labels = tf.cast(labels, tf.int32)
        lengths = tf.reduce_sum(tf.cast(labels >= 0, tf.int32), 1)
        emissions, _ = _prepare(emissions, lengths)
        transitions, first, last = self._scores()
        labels = tf.pad(labels, [[0, 0], [0, tf.shape(emissions)[1] - tf.shape(labels)[1]]], constant_values=-1)
        end = tf.maximum(lengths - 1, 0)

        given = tf.one_hot(labels, self.units)  # all 0 in the padding
        path = (tf.reduce_sum(given * emissions, [1, 2]) + tf.linalg.matvec(given[:, 0], first)
                + tf.reduce_sum(tf.matmul(given[:, :-1], transitions) * given[:, 1:], [1, 2])
                + tf.linalg.matvec(tf.one_hot(tf.gather(labels, end, batch_dims=1), self.units), last))

        # The batch comes last: TensorFlow sums over the first axis twice as fast as over the last.
        inputs = tf.transpose(emissions, [1, 2, 0])
        steps = tf.expand_dims(transitions, 2)
        prefixes = _every_state(lambda state, scores: _log_sum_exp(steps + tf.expand_dims(state, 1), 0) + scores,
                                inputs[0] + tf.expand_dims(first, 1), inputs[1:])
        whole = tf.gather_nd(tf.transpose(prefixes, [2, 0, 1]), tf.expand_dims(end, 1), batch_dims=1) + last
        return tf.where(lengths > 0, path - _log_sum_exp(whole, 1), 0.0)

    def decode(self, emissions: Any, lengths: Any) -> tuple[Any, Any]:
        """The best sequences, by Viterbi's algorithm.

        Of sequences with equal scores (as float32 sums from the end of the sequence) the one that is first in
        lexicographic order is taken: the lowest first tag, then the lowest second tag, and so on.

        Args:
            emissions: float `[batch, time, units]`.
            lengths: int `[batch]`, 0 to time.

        Returns:
            labels: int32 `[batch, time]`, -1 in the padding.
            score: float32 `[batch]`, not normalised: minus log Z it is the log-likelihood; 0 for length 0.
        """
        scores, lengths = _prepare(emissions, lengths)
        transitions, first, last = self._scores()
        suffixes = _suffixes(lambda state, step: tf.reduce_max(transitions + tf.expand_dims(state, 1), 2) + step,
                             last, scores, lengths)
        whole = first + suffixes[0]
        labels = _loop(lambda label, suffix: tf.argmax(tf.gather(transitions, label) + suffix, 1, tf.int32),
                       tf.argmax(whole, 1, tf.int32), suffixes[1:], lengths)
        labels = tf.transpose(labels)[:, :_size(emissions, 1)]
        return (tf.where(_used(labels, lengths), labels, -1),
                tf.where(lengths > 0, tf.reduce_max(whole, 1), 0.0))

    def marginals(self, emissions: Any, lengths: Any) -> Any:
        """Probabilities of each tag at each place, by smoothing.

        Args:
            emissions: float `[batch, time, units]`.
            lengths: int `[batch]`, 0 to time.

        Returns:
            float32 `[batch, time, units]`, summing to 1 at each place, 0 in the padding.
        """
        scores, lengths = _prepare(emissions, lengths)
        transitions, first, last = self._scores()

        def lengthen(state: Any, step: Any) -> Any:
            longer = _log_sum_exp(transitions + tf.expand_dims(state, 1), 2) + step
            return longer - tf.reduce_max(longer, 1, keepdims=True)  # so that long sequences lose no digits

        def follow(chances: Any, suffix: Any) -> Any:
            # Chances of the next tag for each tag before it: a softmax, exact where products of exponentials are not.
            following = _softmax(transitions + tf.expand_dims(suffix, 1))
            return tf.matmul(tf.expand_dims(chances, 1), following)

        suffixes = _suffixes(lengthen, last, scores, lengths)
        chances = _loop(follow, _softmax(first + suffixes[0]), suffixes[1:], lengths)
        chances = tf.transpose(chances, [1, 0, 2])[:, :_size(emissions, 1)]
        return tf.where(tf.expand_dims(_used(chances, lengths), 2), chances, 0.0)

    def n_best(self, emissions: Any, lengths: Any, n: int) -> tuple[Any, Any]:
        """The n best sequences, best first; those with equal scores in lexicographic order.

        Args:
            emissions: float `[batch, time, units]`.
            lengths: int `[batch]`, 0 to time.
            n: how many, at least 1.

        Returns:
            labels: int32 `[batch, n, time]`, -1 in the padding and in all of a sequence that does not exist (a
                sequence of length 0 is one, and empty; forbidden sequences exist).
            scores: float32 `[batch, n]`, as by `decode`; -inf where there is no sequence.
        """
        scores, lengths = _prepare(emissions, lengths)
        transitions, first, last = self._scores()
        candidates = self.units * n  # a tag, and the rank of one of its suffixes: tag * n + rank
        none = tf.fill([n - 1], float("-inf"))

        def best(begin: Any, state: Any) -> Any:
            """Values and numbers of the n best ways on, from scores `[batch, m, units]`."""
            ways = tf.expand_dims(begin, 3) + tf.expand_dims(state, 1)
            return tf.math.top_k(tf.reshape(ways, [_size(ways, 0), -1, candidates]), n)

        def follow(choice: Any, suffix: Any) -> Any:
            ways = best(tf.gather(transitions, choice // n), suffix).indices
            return tf.gather(ways, choice % n, batch_dims=2)

        suffixes = _suffixes(
            lambda state, step: best(tf.expand_dims(transitions, 0), state).values + tf.expand_dims(step, 2),
            tf.concat([tf.expand_dims(last, 1), tf.tile(tf.expand_dims(none, 0), [self.units, 1])], 1),
            scores, lengths)
        totals, choice = (tf.squeeze(part, 1) for part in best(tf.reshape(first, [1, 1, -1]), suffixes[0]))
        labels = tf.transpose(_loop(follow, choice, suffixes[1:], lengths) // n, [1, 2, 0])
        labels = labels[:, :, :_size(emissions, 1)]
        totals = tf.where(tf.expand_dims(lengths > 0, 1), totals, tf.concat([[0.0], none], 0))
        used = tf.expand_dims(_used(tf.transpose(labels, [0, 2, 1]), lengths), 1)
        return tf.where(used & tf.expand_dims(totals > float("-inf"), 2), labels, -1), totals

    def get_config(self) -> dict[str, Any]:
        own = ("units", "allowed", "allowed_first", "allowed_last")
        return super().get_config() | {name: getattr(self, name) for name in own}

    def _scores(self) -> tuple[Any, Any, Any]:
        """Transitions, first and last, with what is forbidden."""
        if not self.built:
            self.build((None, None, self.units))
        pairs = (self.transitions, self.allowed), (self.first, self.allowed_first), (self.last, self.allowed_last)
        values = ((tf.convert_to_tensor(weight), rule) for weight, rule in pairs)
        return tuple(value if rule is None else tf.where(np.array(rule, bool), value, FORBIDDEN)
                     for value, rule in values)


def _constraint(name: str, rule: Any, shape: tuple[int, ...]) -> Any:
    """The rule as lists, which can be saved."""
    if rule is not None and np.shape(rule) != shape:
        raise ValueError(f"{name} has the shape {np.shape(rule)}, and needs {shape}.")
    return None if rule is None else np.asarray(rule).astype(bool).astype(int).tolist()


def _size(tensor: Any, axis: int) -> Any:
    """A constant where it is known: LiteRT's CompiledModel needs constant shapes in loops."""
    return tf.shape(tensor)[axis] if tensor.shape[axis] is None else tensor.shape[axis]


def _sizes(tensor: Any) -> list[Any]:
    return [_size(tensor, axis) for axis in range(len(tensor.shape))]


def _used(tensor: Any, lengths: Any) -> Any:
    """Whether each place `[batch, time]` is in use."""
    return tf.range(_size(tensor, 1)) < tf.expand_dims(lengths, 1)


def _prepare(emissions: Any, lengths: Any) -> tuple[Any, Any]:
    """Emissions, 0 in the padding, with time for a first step and whole turns of a loop, at least one; lengths."""
    emissions = tf.cast(emissions, tf.float32)
    time = _size(emissions, 1)
    lengths = tf.minimum(tf.cast(lengths, tf.int32), time)
    emissions = tf.where(tf.expand_dims(_used(emissions, lengths), 2), emissions, 0.0)
    more = 1 + UNROLLED * (1 + abs(time - 1) // UNROLLED) - time  # abs: a time of 0 too needs one turn
    return tf.pad(emissions, [[0, 0], [0, more], [0, 0]]), lengths


def _log_sum_exp(values: Any, axis: int) -> Any:
    """Leaner than TensorFlow's, which looks for infinities too."""
    top = tf.stop_gradient(tf.reduce_max(values, axis, keepdims=True))
    return tf.math.log(tf.reduce_sum(tf.exp(values - top), axis)) + tf.squeeze(top, axis)


def _softmax(values: Any) -> Any:
    """Over the last axis. TFLite's own, which it also makes of a division by the sum, would have 256 steps in int8
    files, and so would all that follows it."""
    powers = tf.exp(values - tf.reduce_max(values, -1, keepdims=True))
    return powers * tf.math.reciprocal(tf.reduce_sum(powers, -1, keepdims=True))


Step = Callable[[Any, Any], Any]


def _turn(step: Step, state: Any, inputs: Any) -> Any:
    """The states after each of `UNROLLED` inputs, of constant shape where the state's is known."""
    states = [state]
    for given in tf.unstack(inputs, UNROLLED):
        states.append(tf.reshape(step(states[-1], given), _sizes(state)))
    return tf.stack(states[1:])


def _turns(inputs: Any) -> Any:
    return tf.reshape(inputs, [-1, UNROLLED, *_sizes(inputs)[1:]])


def _every_state(step: Step, state: Any, inputs: Any) -> Any:
    """The state and those after each input; gradients are fast."""
    states = tf.scan(lambda before, given: _turn(step, before[-1], given), _turns(inputs),
                     tf.stack([state] * UNROLLED))
    return tf.concat([tf.expand_dims(state, 0), tf.reshape(states, [-1, *_sizes(state)])], 0)


def _loop(step: Step, state: Any, inputs: Any, lengths: Any) -> Any:
    """The same for inference: as many turns as the longest sequence needs; what comes after them is arbitrary."""
    turns = (tf.reduce_max(lengths) + UNROLLED - 2) // UNROLLED
    blocks = _turns(inputs)
    shape = [_size(inputs, 0), *_sizes(state)]

    def turn(number: Any, states: Any) -> tuple[Any, Any]:
        made = _turn(step, states[-1], tf.gather(blocks, number))
        # New states push out old ones at the other end: in TFLite much cheaper than writing at a place.
        return number + 1, tf.concat([states[UNROLLED:], made], 0)

    _, states = tf.while_loop(lambda number, _: number < turns, turn, (0, tf.broadcast_to(state, shape)))
    order = tf.math.floormod(tf.range(shape[0]) - turns * UNROLLED, shape[0])
    return tf.concat([tf.expand_dims(state, 0), tf.gather(states, order)], 0)


def _suffixes(step: Step, last: Any, emissions: Any, lengths: Any) -> Any:
    """Scores `[time, batch, units, ...]` of what begins at each place with each tag, read from the end.

    Each sequence is turned round by its own length, so that no step needs to know where it ends.
    """
    inputs = tf.reverse_sequence(tf.transpose(emissions, [1, 0, 2]), lengths, seq_axis=0, batch_axis=1)
    begin = tf.reshape(inputs[0], [*_sizes(inputs)[1:], *[1] * (len(last.shape) - 1)]) + last
    states = _loop(step, begin, inputs[1:], lengths)
    return tf.reverse_sequence(states, lengths, seq_axis=0, batch_axis=1)
