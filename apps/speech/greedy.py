"""Sentences of several networks as one: their log-probabilities averaged, and the likeliest symbol of each frame of
that; the graph's own decoding is `apps.speech.ctc.greedy`. No TensorFlow."""

import numpy as np

from shared.app import Answer, Averaging
from shared.errors import UserError
from shared.facts import Facts

SAME = ("symbols", "of", "rate", "hop")  # facts without which a frame or a column would not mean the same


def averaging_frames(facts: list[Facts]) -> Averaging:
    """`averaged`, for `App.averaging`. Raises UserError where the artifacts' frames do not mean the same."""
    if any(own.get(name) != facts[0].get(name) for own in facts for name in SAME):
        raise UserError("the artifacts differ in the symbols of their sentences, in --rate or in --hop.")
    return averaged


def averaged(answers: list[Answer]) -> Answer:
    """The answer of an ensemble: the mean of its members' log-probabilities, frame by frame, made probabilities again.

    Args:
        answers: of each member, `log_probabilities` `[frames, symbols + 1]`, the last of "no symbol". Members that
            take longer clips have more frames: an answer is of one window, so a clip that all members take whole
            ends within the shortest.

    Returns:
        What `greedy` gives, and `log_probabilities`, float32, for beam search.

    Raises:
        UserError: an answer has no log-probabilities, as those of exported files and those that are joined.
    """
    if not all("log_probabilities" in answer for answer in answers):
        raise UserError("only runs give log-probabilities of each frame, and only of clips that they take in one "
                        "window; name runs, and data without longer clips.")
    given = [answer["log_probabilities"] for answer in answers]
    steps = min(map(len, given))
    logs = np.mean([own[:steps] for own in given], axis=0, dtype=np.float64)
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return {**greedy(logs), "log_probabilities": logs.astype(np.float32)}


def greedy(log_probabilities: np.ndarray) -> Answer:
    """The likeliest symbol of each frame, what repeats said once, the silences between left out.

    Args:
        log_probabilities: of one clip, `[t, symbols + 1]`, the last of "no symbol".

    Returns:
        `symbols` and `frames` (where each begins), int32 `[t]`; `confidences`, float32 `[t]`, the mean probability
        over its frames; all -1 behind the last; `count`, int32.

    Example:
        >>> made = greedy(np.log([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]]))
        >>> made["symbols"].tolist(), made["frames"].tolist(), int(made["count"])
        ([0, 0, -1, -1], [0, 3, -1, -1], 2)
    """
    steps, none = len(log_probabilities), log_probabilities.shape[1] - 1
    best = log_probabilities.argmax(1)
    begins = np.flatnonzero(np.diff(best, prepend=-1))
    sure = np.add.reduceat(np.exp(log_probabilities.max(1)), begins) / np.diff(begins, append=steps)
    said = best[begins] != none

    def packed(values: np.ndarray, dtype: type) -> np.ndarray:
        line: np.ndarray = np.full(steps, -1, dtype)
        line[:said.sum()] = values[said]
        return line

    return {"symbols": packed(best[begins], np.int32), "frames": packed(begins, np.int32),
            "confidences": packed(sure, np.float32), "count": np.array(said.sum(), np.int32)}
