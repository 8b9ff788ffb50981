"""Who speaks, learned beside what is said, so that features tell both apart (multi-task learning: Caruana 1997,
https://doi.org/10.1023/A:1007379606734). No file ships this head."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.data.dataset import Split
from shared.errors import UserError
from shared.networks.words import MeanOverTime

WEIGHT = 0.3  # of the speaker's loss beside that of what is said


def with_speaker(network: keras.Model, speakers: int) -> dict[str, Any]:
    """Logits by name: `said`, the network's own, and `speaker` `[n, speakers]`, from what its last layer sees."""
    seen = network.get_layer("logits").input
    if len(seen.shape) == 3:
        used = network.get_layer("used").output
        seen = MeanOverTime()(seen, keras.layers.Reshape(used.shape[1:3])(used))
    return {"said": network.output,
            "speaker": keras.layers.Dense(speakers, dtype="float32", name="speaker")(seen)}


def numbered(train: Split) -> np.ndarray:
    """Each example's speaker by number, int32 `[n]`; -1 where nobody knows.

    Raises:
        UserError: fewer than two are known.
    """
    speakers = list(train.meta.get("speaker", []))
    known = sorted(set(speakers) - {""})
    if len(known) < 2:
        raise UserError(f"--speaker-head needs two speakers or more, and these data name {len(known)}: leave it out, "
                        f"or name them in a column 'speaker'.")
    numbers = {speaker: number for number, speaker in enumerate(known)} | {"": -1}
    return np.array([numbers[speaker] for speaker in speakers], np.int32)


def count(examples: Split) -> int:
    """How many speakers there are, by the column `speaker`."""
    return int(np.asarray(examples.columns["speaker"]).max()) + 1


def speaker_loss(speakers: Any, logits: Any) -> Any:
    """Cross-entropy, float32 `[n]`; 0 where nobody knows the speaker, -1."""
    speakers = tf.reshape(tf.cast(speakers, tf.int32), [-1])  # Keras makes floats of them
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(speakers, 0), logits)
    return WEIGHT * tf.where(speakers >= 0, losses, 0.0)
