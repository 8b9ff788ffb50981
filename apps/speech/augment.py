"""How sounds and their features are varied; random numbers are functions of the keys alone."""

import math
from typing import Any

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
    """Each clip up to `most` samples later, silence before it, or earlier, its begin cut off; and up to `most` samples
    of silence behind it, as a stream has them."""
    size = samples.shape[1]
    by, more = (tf.cast(uniform(keys, draw, (), low, most), tf.int32) for draw, low in ((1, -most), (5, 0)))
    place = tf.range(size)[None] - by[:, None]
    moved = tf.where(place >= 0, tf.gather(samples, tf.clip_by_value(place, 0, size - 1), axis=1, batch_dims=1), 0.0)
    end = tf.clip_by_value(length + by, 0, size)
    return tf.where(tf.range(size)[None] < end[:, None], moved, 0.0), tf.minimum(end + more, size)


def noise(samples: tf.Tensor, length: tf.Tensor, keys: tf.Tensor, ratio: float,
          recordings: tf.Tensor | None = None) -> tf.Tensor:
    """Noise under every second clip, `ratio` to `ratio + 30` decibels below its mean power.

    Args:
        samples: float32 `[n, size]`, 0 behind `length`.
        length: int32 `[n]`.
        keys: uint32 `[n]`.
        ratio: decibels.
        recordings: samples to cut the noise from, float32 `[m]`; their end is followed by their begin. None: white
            noise.
    """
    size = samples.shape[1]
    inside = tf.range(size)[None] < length[:, None]
    if recordings is None:
        made = uniform(keys, 4, (size,), -math.sqrt(3), math.sqrt(3))
    else:
        most = tf.size(recordings)
        start = tf.cast(uniform(keys, 4) * tf.cast(most, tf.float32), tf.int32)
        made = tf.gather(recordings, (start[:, None] + tf.range(size)[None]) % most)
    loud = tf.sqrt(power(samples, length) * 10 ** (-(ratio + uniform(keys, 2, (), 0, 30)) / 10))
    if recordings is not None:
        loud /= tf.sqrt(power(tf.where(inside, made, 0.0), length) + 1e-12)
    chosen = tf.cast(uniform(keys, 3) < 0.5, tf.float32)
    return samples + tf.where(inside, (loud * chosen)[:, None] * made, 0.0)


def power(samples: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The mean square of what is used of each clip, float32 `[n]`."""
    return tf.reduce_sum(samples ** 2, 1) / tf.cast(tf.maximum(length, 1), tf.float32)


def reverberate(samples: tf.Tensor, length: tf.Tensor, keys: tf.Tensor, rate: int, share: float) -> tf.Tensor:
    """Rooms for a share of the clips: each sample is followed by noise that dies away, as late reverberation does
    (Polack 1988); by 60 decibels within 0.1 to 0.6 seconds, 0 to 20 decibels below the sound itself.

    Args:
        samples: float32 `[n, size]`, 0 behind `length`.
        length: int32 `[n]`, which stays as it is.
        keys: uint32 `[n]`.
        rate: samples a second.
        share: of the clips, 0 to 1.
    """
    size, tail = samples.shape[1], rate // 3
    time = tf.range(tail, dtype=tf.float32)[None] / rate
    response = uniform(keys, 31, (tail,), -1, 1) * tf.exp(-math.log(1e3) * time / uniform(keys, 32, (1,), 0.1, 0.6))
    response *= tf.sqrt(10 ** (-uniform(keys, 33, (1,), 0, 20) / 10) / tf.reduce_sum(response ** 2, 1, keepdims=True))
    response *= tf.cast(uniform(keys, 34, (1,)) < share, tf.float32)
    fft = 1 << (size + tail - 1).bit_length()
    made = tf.signal.irfft(tf.signal.rfft(samples, [fft]) * tf.signal.rfft(response, [fft]), [fft])[:, :size]
    return samples + tf.where(tf.range(size)[None] < length[:, None], made, 0.0)


def warp(features: tf.Tensor, keys: tf.Tensor, most: float) -> tf.Tensor:
    """All bands moved up or down by up to `most` bands, at the lower end by less: another vocal tract (VTLP: Jaitly
    and Hinton 2013), its tempo unchanged.

    Args:
        features: float32 `[n, t, bands]`.
        keys: uint32 `[n]`.
        most: bands by which the highest one is moved.
    """
    share = most / features.shape[2]
    return moved(features, uniform(keys, 41, (1,), -share, share))


def moved(features: tf.Tensor, share: Any) -> tf.Tensor:
    """All bands moved up or down, those at the lower end by less, by linear interpolation.

    Args:
        features: float32 `[n, t, bands]`.
        share: by how much of its own place each band is moved, of each example or of all, `[n, 1]` or `[1, 1]`.
    """
    bands = features.shape[2]
    place = tf.clip_by_value(tf.range(bands, dtype=tf.float32)[None] * (1 + share), 0, bands - 1)
    near = 1 - tf.abs(place[:, None, :] - tf.range(bands, dtype=tf.float32)[None, :, None])
    return features @ tf.maximum(near, 0)


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
