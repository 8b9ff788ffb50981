"""Transcripts without alignment: the loss that sums over all of them, and the likeliest symbols of each frame."""

from typing import Any

import keras
import tensorflow as tf

from apps.speech.speakers import speaker_loss


@keras.saving.register_keras_serializable("pocketconv")
class CTCModel(keras.Model):
    """A functional model trained by connectionist temporal classification (Graves et al. 2006,
    https://doi.org/10.1145/1143844.1143891).

    Its inputs are a dictionary with `frames`, int32 `[n]`: how many steps of each example are used. Its outputs are
    logits `[n, t, symbols + 1]`, the last of them for "no symbol". Labels: int32 `[n, most]`, padded with -1. The loss
    is the mean over examples of the negative log-likelihood; those whose labels do not fit their frames count 0. With
    a speaker's head outputs and labels are dictionaries of `said` and `speaker`, see `apps.speech.speakers`.

    Args:
        inputs, outputs: of the functional model.
        name: of the model.
        halved: how often the steps were halved since `frames` was counted, odd ones rounded up.
        **kwargs: of `keras.Model`.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, *, halved: int = 0, **kwargs: Any):
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.halved = halved

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Any:
        frames = -(-x["frames"] // (1 << self.halved))
        if isinstance(y_pred, dict):
            losses = ctc_loss(y["said"], y_pred["said"], frames) + speaker_loss(y["speaker"], y_pred["speaker"])
        else:
            losses = ctc_loss(y, y_pred, frames)
        if sample_weight is not None:
            losses *= tf.reshape(tf.cast(sample_weight, losses.dtype), tf.shape(losses))
        return tf.reduce_mean(losses) + sum(self.losses)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"halved": self.halved}


def ctc_loss(labels: Any, logits: Any, frames: Any) -> Any:
    """-log of how likely each example's labels are, over all their alignments; float32 `[n]`, 0 where none fits.

    Args:
        labels: int32 `[n, most]`, -1 in the padding.
        logits: float32 `[n, t, symbols + 1]`, the last of "no symbol".
        frames: how many steps are used, int32 `[n]`.
    """
    labels, frames = tf.pad(tf.cast(labels, tf.int32), [[0, 0], [0, 1]], constant_values=-1), tf.cast(frames, tf.int32)
    logits = tf.cast(logits, tf.float32)
    used = labels >= 0
    repeats = used[:, 1:] & tf.equal(labels[:, 1:], labels[:, :-1])
    size = tf.reduce_sum(tf.cast(used, tf.int32), 1)
    fits = size + tf.reduce_sum(tf.cast(repeats, tf.int32), 1) <= frames
    # The sparse labels choose TensorFlow's kernel for processors, five times as fast as its general one. It takes no
    # empty ones: these, and those that do not fit, are lent one.
    lent = (~fits | tf.equal(size, 0))[:, None] & tf.equal(tf.range(tf.shape(labels)[1]), 0)
    kept = (used & fits[:, None]) | lent
    sparse = tf.SparseTensor(tf.where(kept), tf.boolean_mask(tf.maximum(labels, 0), kept),
                             tf.shape(labels, tf.int64))
    losses = tf.nn.ctc_loss(sparse, logits, None, tf.maximum(frames, 1), logits_time_major=False, blank_index=-1)
    within = tf.range(tf.shape(logits)[1])[None] < frames[:, None]
    silent = -tf.reduce_sum(tf.where(within, tf.nn.log_softmax(logits)[:, :, -1], 0.0), 1)
    return tf.where(fits, tf.where(size > 0, losses, silent), 0.0)


def greedy(logits: tf.Tensor, frames: tf.Tensor) -> dict[str, tf.Tensor]:
    """The likeliest symbol of each frame, what repeats said once, the silences between left out, packed to the left.

    Args:
        logits: float32 `[n, t, symbols + 1]`, the last of "no symbol".
        frames: how many steps are used, int32 `[n]`.

    Returns:
        `symbols` and `frames` (where each begins), int32 `[n, t]`, -1 behind the last; `confidences`, float32
        `[n, t]`, the mean probability over its frames, -1 behind the last; `count`, int32 `[n]`.
    """
    rows, steps, none = logits.shape[0] or tf.shape(logits)[0], logits.shape[1], logits.shape[2] - 1
    probabilities = tf.nn.softmax(logits)
    best = tf.argmax(logits, -1, output_type=tf.int32)
    said = tf.not_equal(best, none) & (tf.range(steps)[None] < frames[:, None])
    fresh = said & tf.not_equal(best, tf.pad(best[:, :-1], [[0, 0], [1, 0]], constant_values=-1))
    order = tf.cumsum(tf.cast(fresh, tf.int32), 1) - 1
    line = tf.expand_dims(tf.range(rows), 1) * (steps + 1)

    def packed(chosen: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Sums of the values of each symbol's chosen frames."""
        slot = tf.where(chosen, order, steps) + line
        sums = tf.scatter_nd(tf.reshape(slot, [-1, 1]), tf.reshape(tf.where(chosen, values, 0), [-1]),
                             [rows * (steps + 1)])
        return tf.reshape(sums, [rows, steps + 1])[:, :steps]

    count = tf.reduce_sum(tf.cast(fresh, tf.int32), 1)
    there = tf.range(steps)[None] < count[:, None]
    places = tf.broadcast_to(tf.range(steps)[None], tf.shape(best))
    sure = packed(said, tf.reduce_max(probabilities, -1)) / tf.maximum(packed(said, tf.ones_like(logits[:, :, 0])), 1)
    return {"symbols": tf.where(there, packed(fresh, best), -1), "frames": tf.where(there, packed(fresh, places), -1),
            "confidences": tf.where(there, sure, -1.0), "count": count}
