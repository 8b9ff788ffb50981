"""How token ids are varied while training; random numbers are functions of the keys alone."""

import tensorflow as tf

from shared.data.stateless import uniform

UNKNOWN = 1  # the first bucket of unknown words


def drop_words(inputs: dict[str, tf.Tensor], keys: tf.Tensor, share: float) -> dict[str, tf.Tensor]:
    """Makes a share of the words unknown, and takes the pairs away that they are part of."""
    ids = inputs["ids"]
    dropped = _draws(keys, 0, ids) < share
    made = {**inputs, "ids": tf.where(dropped & (ids > 0), UNKNOWN, ids)}
    if "pairs" in inputs:
        beside = dropped | tf.pad(dropped[:, 1:], [[0, 0], [0, 1]])
        made["pairs"] = tf.where(beside, 0, inputs["pairs"])
    return made


def crop(inputs: dict[str, tf.Tensor], keys: tf.Tensor, share: float) -> dict[str, tf.Tensor]:
    """Leaves out up to a share of the text, drawn for each, at its beginning or its end."""
    ids = next(iter(inputs.values()))
    sizes = tf.cast(tf.math.count_nonzero(ids, 1), tf.float32)
    cut = tf.cast(sizes * uniform(keys, 1, high=share), tf.int32)
    front = uniform(keys, 2) < 0.5
    place = tf.range(tf.shape(ids)[1])
    first, last = tf.where(front, cut, 0), tf.cast(sizes, tf.int32) - tf.where(front, 0, cut)
    kept = (place >= first[:, None]) & (place < last[:, None])
    return {name: tf.where(kept, values, 0) for name, values in inputs.items()}


def swap(inputs: dict[str, tf.Tensor], keys: tf.Tensor, share: float) -> dict[str, tf.Tensor]:
    """Swaps a share of the words with the next one; pairs stay as they were."""
    ids = inputs["ids"]
    after = tf.pad(ids[:, 1:], [[0, 0], [0, 1]])
    chosen = (_draws(keys, 3, ids) < share) & (ids > 0) & (after > 0)
    # Of two neighbours that were both chosen the second waits.
    before = tf.pad(chosen[:, :-1], [[0, 0], [1, 0]])
    chosen &= ~before
    swapped = tf.pad(chosen[:, :-1], [[0, 0], [1, 0]])
    earlier = tf.pad(ids[:, :-1], [[0, 0], [1, 0]])
    return {**inputs, "ids": tf.where(chosen, after, tf.where(swapped, earlier, ids))}


def _draws(keys: tf.Tensor, draw: int, like: tf.Tensor) -> tf.Tensor:
    """Uniform numbers of the shape of `like`."""
    return uniform(keys, draw, (tf.shape(like)[1],))
