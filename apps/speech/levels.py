"""Features of clips brought to one level, so that microphones, rooms and voices sound more alike."""

import math
from typing import Any

import tensorflow as tf

DECIBEL = math.log(10) / 10  # in natural logarithms of power
QUIET = 0.1  # seconds over which noise is measured
NOTHING = -30.0  # the logarithm of no power


def levelled(made: tf.Tensor, within: tf.Tensor, settings: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """What lies too far below a clip's loudest, or too near its noise, is raised to where silence begins: floors of
    noise become alike. Then with `normalize` "clip" each band loses its mean over those windows of the clip that are
    not silent.

    Args:
        made: logarithms of the power in bands, float32 `[n, t, bands]`.
        within: which windows lie wholly inside the clip, bool `[n, t, 1]`.
        settings: the app's, for `normalize` and `hop`; `dynamic_range` (decibels below the clip's loudest) and
            `noise_floor` (decibels above the band's noise), at which silence begins; 0: it begins nowhere.

    Returns:
        The features, and which windows inside the clip are not silent, bool `[n, t, 1]`.
    """
    silence = tf.fill([1, 1, 1], NOTHING)
    if settings.dynamic_range:
        # Nothing below what there is: integers would have to reach down to it.
        loudest = tf.reduce_max(tf.where(within, made, tf.reduce_min(made)), [1, 2], keepdims=True)
        silence = loudest - DECIBEL * settings.dynamic_range
    if settings.noise_floor:
        noise = quietest(made, within, max(1, round(QUIET / settings.hop)))
        silence = tf.maximum(silence, noise + DECIBEL * settings.noise_floor)
    if settings.dynamic_range or settings.noise_floor:
        within &= tf.reduce_any(made > silence, 2, keepdims=True)
        made = tf.maximum(made, silence)
    if settings.normalize == "clip":
        count = tf.reduce_sum(tf.cast(within, tf.float32), 1, keepdims=True)
        made -= tf.reduce_sum(tf.where(within, made, 0.0), 1, keepdims=True) / tf.maximum(count, 1.0)
    return made, within


def quietest(made: tf.Tensor, within: tf.Tensor, steps: int) -> tf.Tensor:
    """The noise of each band: its power where that is least, since words have gaps between them (Martin 2001,
    https://doi.org/10.1109/89.928915, in its simplest form).

    Args:
        made, within: as for `levelled`.
        steps: windows over which the power is averaged.

    Returns:
        Logarithms of the power, float32 `[n, 1, bands]`; of clips shorter than that `NOTHING`.
    """
    behind = [[0, 0], [0, steps - 1], [0, 0]]
    inside = tf.cast(within, tf.float32)
    power = tf.nn.avg_pool1d(tf.pad(tf.exp(made) * inside, behind), steps, 1, "VALID")
    whole = tf.nn.avg_pool1d(tf.pad(inside, behind), steps, 1, "VALID") > 1 - 0.5 / steps
    least = tf.reduce_min(tf.where(whole, power, power.dtype.max), 1, keepdims=True)
    return tf.where(least < power.dtype.max, tf.math.log(least + math.exp(NOTHING)), NOTHING)
