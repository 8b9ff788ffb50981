"""Random numbers as a pure function of (seed, epoch, index), a whole batch at once.

TensorFlow's stateless generators take one seed a call; a batch in which every example has its own would need a call
an example. A counter-based hash gives the same guarantee in a dozen elementwise operations.
"""

from collections.abc import Sequence

import tensorflow as tf

GOLDEN = 0x9E3779B9


def mix(x: tf.Tensor) -> tf.Tensor:
    """A bijection of uint32 that flips half of all bits for any flipped bit (`lowbias32`, C. Wellons 2018)."""
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32))) * tf.constant(
        0x7FEB352D, tf.uint32)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(15, tf.uint32))) * tf.constant(
        0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))


def keys(seed: tf.Tensor | int, epoch: tf.Tensor | int, indices: tf.Tensor) -> tf.Tensor:
    """A key for each example: uint32 `[batch]` from int64 `[batch]` indices."""
    key = mix(tf.cast(seed, tf.uint32) + tf.constant(GOLDEN, tf.uint32))
    key = mix(tf.bitwise.bitwise_xor(key, mix(tf.cast(epoch, tf.uint32) * tf.constant(GOLDEN, tf.uint32))))
    return mix(tf.bitwise.bitwise_xor(key, mix(tf.cast(indices, tf.uint32) + tf.constant(GOLDEN, tf.uint32))))


def uniform(keys: tf.Tensor, draw: int, shape: Sequence[int | tf.Tensor] = (), low: float = 0.0,
            high: float = 1.0) -> tf.Tensor:
    """Uniform numbers in [low, high), float32 `[batch, *shape]`.

    Args:
        keys: uint32 `[batch]`.
        draw: another number for each use within one augmentation, or the uses would be the same numbers.
        shape: of the numbers of one example; sizes may be tensors, where they are constant when compiled.
    """
    count: int | tf.Tensor = 1
    for size in shape:
        count *= size
    counters = tf.range(tf.cast(count, tf.int64)) + draw * 1_000_003
    words = tf.expand_dims(keys, 1) + tf.cast(counters, tf.uint32) * tf.constant(GOLDEN, tf.uint32)
    bits = tf.cast(tf.bitwise.right_shift(mix(mix(words)), tf.constant(8, tf.uint32)), tf.int32)
    numbers = low + (high - low) * tf.cast(bits, tf.float32) * (1.0 / (1 << 24))
    return tf.reshape(numbers, [-1, *shape])
