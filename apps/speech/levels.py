"""Features of clips brought to one level, so that microphones, rooms and voices sound more alike."""

import math

import tensorflow as tf

DECIBEL = math.log(10) / 10  # in natural logarithms of power


def levelled(made: tf.Tensor, within: tf.Tensor, normalize: str, dynamic_range: float) -> tuple[tf.Tensor, tf.Tensor]:
    """What lies too far below a clip's loudest is raised to where silence begins: floors of noise become alike.
    Then with `normalize` "clip" each band loses its mean over those windows of the clip that are not silent.

    Args:
        made: logarithms of the power in bands, float32 `[n, t, bands]`.
        within: which windows lie wholly inside the clip, bool `[n, t, 1]`.
        normalize: "clip" or "data", which leaves bands as they are.
        dynamic_range: decibels below the loudest at which silence begins; 0: nothing is silence.

    Returns:
        The features, and which windows inside the clip are not silent, bool `[n, t, 1]`.
    """
    if dynamic_range:
        # Nothing below what there is: integers would have to reach down to it.
        loudest = tf.reduce_max(tf.where(within, made, tf.reduce_min(made)), 2, keepdims=True)
        silence = tf.reduce_max(loudest, 1, keepdims=True) - DECIBEL * dynamic_range
        made, within = tf.maximum(made, silence), within & (loudest > silence)
    if normalize == "clip":
        count = tf.reduce_sum(tf.cast(within, tf.float32), 1, keepdims=True)
        made -= tf.reduce_sum(tf.where(within, made, 0.0), 1, keepdims=True) / tf.maximum(count, 1.0)
    return made, within
