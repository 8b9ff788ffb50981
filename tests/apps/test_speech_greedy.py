"""Ensembles of sentences: NumPy's decoding against the graph's, the average against SciPy's."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import gmean

from apps.speech import ctc
from apps.speech.app import Speech
from apps.speech.greedy import averaged, averaging_frames, greedy
from shared.errors import UserError
from shared.facts import Facts

FACTS = {"symbols": [" ", "a", "b"], "of": "characters", "rate": 8000, "hop": 0.01}


def log_probabilities(logits, frames):
    """As a run gives them: behind the last frame nothing is said."""
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nothing = np.where(np.arange(logits.shape[-1]) == logits.shape[-1] - 1, 0, -1e9)
    return np.where(np.arange(logits.shape[1])[None, :, None] < frames[:, None, None], logs, nothing).astype("float32")


@pytest.mark.parametrize("steps,symbols", [(1, 2), (9, 3), (40, 1), (40, 12)])
def test_decoding_is_that_of_the_graph(steps, symbols):
    rng = np.random.default_rng(steps)
    logits = rng.normal(size=(60, steps, symbols + 1)).astype("float32") * 3
    logits = logits[:, np.sort(rng.integers(0, steps, steps))]  # repeats
    frames = rng.integers(0, steps + 1, 60).astype("int32")
    frames[0] = 0
    want = {name: value.numpy() for name, value in ctc.greedy(tf.constant(logits), tf.constant(frames)).items()}
    assert want["count"].min() == 0 and want["count"].max() > 0
    for row, given in enumerate(log_probabilities(logits, frames)):
        made = greedy(given)
        assert made.keys() == want.keys()
        for name, value in made.items():
            assert (value.dtype, value.shape) == (want[name].dtype, want[name][row].shape), name
            np.testing.assert_allclose(value, want[name][row], atol=1e-5, err_msg=name)


def test_no_frames_are_no_symbols():
    made = greedy(np.zeros((0, 4)))
    assert made["count"] == 0 and made["symbols"].shape == made["frames"].shape == made["confidences"].shape == (0,)


def test_frames_are_averaged_as_geometric_means():
    rng = np.random.default_rng(0)
    given = [log_probabilities(rng.normal(size=(1, 12, 4)) * 2, np.array([9]))[0] for _ in range(3)]
    made = Speech().averaging([Facts(FACTS)] * 3)([{"log_probabilities": own} for own in given])
    mean = gmean([np.exp(own[:9].astype("float64")) for own in given])
    mean /= mean.sum(1, keepdims=True)
    assert made["log_probabilities"].dtype == np.float32
    np.testing.assert_allclose(np.exp(made["log_probabilities"][:9]), mean, rtol=1e-5)
    assert (made["log_probabilities"][9:, 3] == 0).all() and (made["log_probabilities"][9:, :3] < -1e8).all()
    best = mean.argmax(1)
    said = [symbol for symbol, before in zip(best, [3, *best[:-1]], strict=True) if symbol not in (3, before)]
    assert made["symbols"][:made["count"]].tolist() == said
    assert any((own[:9].argmax(1) != best).any() for own in given)


def test_of_members_that_take_longer_clips_only_silence_is_cut_off():
    logits, frames = np.random.default_rng(1).normal(size=(1, 8, 4)) * 2, np.array([5])
    long = log_probabilities(logits, frames)[0]
    made = averaged([{"log_probabilities": long}, {"log_probabilities": long[:6]}])
    assert made["log_probabilities"].shape == (6, 4) and made["symbols"].shape == (6,)
    np.testing.assert_allclose(made["log_probabilities"], long[:6], atol=1e-6)


@pytest.mark.parametrize("name,other", [("symbols", ["a", " ", "b"]), ("of", "words"), ("rate", 16_000),
                                        ("hop", 0.02)])
def test_frames_that_do_not_mean_the_same_are_not_averaged(name, other):
    with pytest.raises(UserError, match="differ"):
        averaging_frames([Facts(FACTS), Facts({**FACTS, name: other})])
    with pytest.raises(UserError):
        Speech().averaging([Facts(FACTS), Facts({"labels": ["a"], "rate": 8000})])


def test_answers_without_log_probabilities_are_not_averaged():
    run = {"log_probabilities": np.log(np.full((3, 4), 0.25))}
    file = greedy(run["log_probabilities"])
    with pytest.raises(UserError, match="only runs"):
        averaged([run, file])


def test_words_are_averaged_whatever_their_rate():
    facts = [Facts({"labels": ["a", "b"], "rate": rate}) for rate in (8000, 16_000)]
    made = Speech().averaging(facts)([{"probabilities": np.float32(row)} for row in ([0.5, 0.5], [0.8, 0.2])])
    np.testing.assert_allclose(made["probabilities"], [2 / 3, 1 / 3], rtol=1e-6)
