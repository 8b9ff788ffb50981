"""How sounds and their features are varied while training; random numbers are functions of the keys alone."""

import math

import tensorflow as tf

from shared.data.stateless import uniform


def stretch(samples: tf.Tensor, length: tf.Tensor, keys: tf.Tensor, share: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Each clip faster or slower by up to `share`, its pitch with it: another speaker, almost.

    Args:
        samples: float32 `[n, size]`, 0 behind `length`.
        length: int32 `[n]`.
        keys: uint32 `[n]`.
        share: largest change of speed.

    Returns:
        Samples of the same shape, by linear interpolation, and their lengths; clips end where there is no room.
    """
    size = samples.shape[1]
    speed = tf.exp(uniform(keys, 0, (), -math.log1p(share), math.log1p(share)))
    place = tf.range(size, dtype=tf.float32)[None] * speed[:, None]
    left = tf.cast(place, tf.int32)
    rest = place - tf.cast(left, tf.float32)
    padded = tf.pad(samples, [[0, 0], [0, 1]])
    low, high = (tf.gather(padded, tf.minimum(left + step, size), axis=1, batch_dims=1) for step in range(2))
    longer = tf.cast(tf.cast(length, tf.float32) / speed, tf.int32)
    return low + rest * (high - low), tf.minimum(longer, size)


def shift(samples: tf.Tensor, length: tf.Tensor, keys: tf.Tensor, most: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Each clip up to `most` samples later, silence before it, or earlier, its begin cut off."""
    size = samples.shape[1]
    by = tf.cast(uniform(keys, 1, (), -most, most), tf.int32)
    place = tf.range(size)[None] - by[:, None]
    moved = tf.where(place >= 0, tf.gather(samples, tf.clip_by_value(place, 0, size - 1), axis=1, batch_dims=1), 0.0)
    longer = tf.clip_by_value(length + by, 0, size)
    return tf.where(tf.range(size)[None] < longer[:, None], moved, 0.0), longer


def noise(samples: tf.Tensor, length: tf.Tensor, keys: tf.Tensor, ratio: float) -> tf.Tensor:
    """White noise under every second clip, `ratio` to `ratio + 30` decibels below its mean power."""
    size = samples.shape[1]
    power = tf.reduce_sum(samples ** 2, 1) / tf.cast(tf.maximum(length, 1), tf.float32)
    below = ratio + uniform(keys, 2, (), 0, 30)
    loud = tf.sqrt(power * 10 ** (-below / 10) * 3) * tf.cast(uniform(keys, 3) < 0.5, tf.float32)
    inside = tf.range(size)[None] < length[:, None]
    return samples + tf.where(inside, loud[:, None] * uniform(keys, 4, (size,), -1, 1), 0.0)


def mask_bands(features: tf.Tensor, frames: tf.Tensor, keys: tf.Tensor, bands: float, time: float) -> tf.Tensor:
    """Two stretches of bands and two of time set to 0, the mean (SpecAugment: Park et al. 2019,
    https://arxiv.org/abs/1904.08779).

    Args:
        features: float32 `[n, t, bands]`, normalised.
        frames: how many are used, int32 `[n]`.
        keys: uint32 `[n]`.
        bands, time: the longest stretch, as a share of all bands and of the clip.
    """
    steps, height = features.shape[1:]
    for number in range(2):
        for axis, size, most, draw in ((1, tf.cast(frames, tf.float32), time, 10), (2, float(height), bands, 20)):
            count = steps if axis == 1 else height
            long = uniform(keys, draw + 2 * number, (), 0, most) * size
            first = uniform(keys, draw + 2 * number + 1) * (size - long)
            at = tf.range(count, dtype=tf.float32)[None]
            hidden = (at >= first[:, None]) & (at < (first + long)[:, None])
            features = tf.where(tf.expand_dims(hidden, 3 - axis), 0.0, features)
    return features
