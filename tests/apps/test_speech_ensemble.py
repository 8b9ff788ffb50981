"""Ensembles of sentences: likelihoods against the sum over all alignments, choices against brute force."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from apps.speech import ctc
from apps.speech.app import Speech
from apps.speech.ensemble import averaged, averaging_sentences, log_likelihood
from shared.errors import UserError
from shared.facts import Facts

FACTS = {"symbols": [" ", "a", "b"], "of": "characters", "rate": 8000, "hop": 0.01}


def log_probabilities(rng, steps, symbols):
    logits = rng.normal(size=(steps, symbols + 1)) * 2
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def brute_force(logs, symbols):
    none = logs.shape[1] - 1
    return sum(np.exp(sum(logs[step, symbol] for step, symbol in enumerate(path)))
               for path in itertools.product(range(none + 1), repeat=len(logs))
               if tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != none) == symbols)


def answer_of(logs):
    """As a run gives it."""
    made = ctc.greedy(tf.constant(logs[None]), tf.constant([len(logs)]))
    return {name: value.numpy()[0] for name, value in made.items()} | {"log_probabilities": logs}


def said(answer):
    return tuple(answer["symbols"][:answer["count"]].tolist())


@pytest.mark.parametrize("symbols,steps", [(1, 1), (1, 5), (2, 6), (3, 4)])
def test_the_likelihood_sums_over_all_alignments(symbols, steps):
    rng = np.random.default_rng(steps)
    logs = log_probabilities(rng, steps, symbols)
    for sentence in [(), (0,), (0, 0), (0, symbols - 1, 0), tuple(rng.integers(symbols, size=2).tolist())]:
        np.testing.assert_allclose(np.exp(log_likelihood(logs, sentence)), brute_force(logs, sentence), rtol=1e-5)


def test_frames_behind_the_last_change_no_likelihood():
    logs = log_probabilities(np.random.default_rng(0), 5, 2)
    behind = np.float32([[-1e9, -1e9, 0]] * 3)
    assert log_likelihood(np.concatenate([logs, behind]), (1, 0)) == log_likelihood(logs, (1, 0))
    assert log_likelihood(logs[:0], ()) == 0 and log_likelihood(logs[:0], (1,)) == -np.inf


def test_of_the_members_sentences_the_likeliest_to_all_wins_as_it_was_heard_best():
    rng, differ = np.random.default_rng(3), 0
    for _ in range(20):
        answers = [answer_of(log_probabilities(rng, 5, 3)) for _ in range(3)]
        sentences = {said(answer) for answer in answers}
        mean = {sentence: np.mean([np.log(brute_force(answer["log_probabilities"], sentence)) for answer in answers])
                for sentence in sentences}
        best = max(mean, key=mean.__getitem__)
        made = averaged(answers)
        heard = [answer for answer in answers if said(answer) == best]
        surest = max(heard, key=lambda answer: brute_force(answer["log_probabilities"], best))
        assert made.keys() == surest.keys() - {"log_probabilities"}
        assert all(np.array_equal(value, surest[name]) for name, value in made.items())
        differ += best != said(answers[0])
    assert differ


def test_members_that_hear_the_same_at_other_frames_agree():
    rare, sure = np.log(0.02), np.log(0.96)
    early, late = (np.where(np.arange(3) == np.array(column)[:, None], sure, rare).astype(np.float32)
                   for column in ([0, 2, 1, 2, 2], [2, 2, 0, 2, 1]))
    made = averaged([answer_of(early), answer_of(late)])
    assert said(made) == (0, 1) and made["frames"][:2].tolist() == [0, 2]  # of two as likely, the first
    assert said(answer_of((early + late) / 2)) != (0, 1)  # the mean of each frame


def test_members_may_take_longer_clips():
    logs = log_probabilities(np.random.default_rng(1), 5, 3)
    longer = np.concatenate([logs, np.float32([[-1e9, -1e9, -1e9, 0]])])
    assert said(averaged([answer_of(logs), answer_of(longer)])) == said(answer_of(logs))


@pytest.mark.parametrize("name,other", [("symbols", ["a", " ", "b"]), ("of", "words"), ("rate", 16_000),
                                        ("hop", 0.02)])
def test_sentences_that_do_not_mean_the_same_are_no_ensemble(name, other):
    with pytest.raises(UserError, match="differ"):
        averaging_sentences([Facts(FACTS), Facts({**FACTS, name: other})])
    with pytest.raises(UserError):
        Speech().averaging([Facts(FACTS), Facts({"labels": ["a"], "rate": 8000})])


def test_answers_without_log_probabilities_are_no_ensemble():
    run = answer_of(np.log(np.full((3, 4), 0.25, np.float32)))
    file = {name: value for name, value in run.items() if name != "log_probabilities"}
    with pytest.raises(UserError, match="only runs"):
        averaged([run, file])


def test_words_are_averaged_whatever_their_rate():
    facts = [Facts({"labels": ["a", "b"], "rate": rate}) for rate in (8000, 16_000)]
    made = Speech().averaging(facts)([{"probabilities": np.float32(row)} for row in ([0.5, 0.5], [0.8, 0.2])])
    np.testing.assert_allclose(made["probabilities"], [2 / 3, 1 / 3], rtol=1e-6)
