"""Beam search against every sequence there is, each by the sum over all its alignments."""

import itertools
import math

import numpy as np
import pytest

from apps.speech.beam_search import beam_search
from apps.speech.language_model import END, LanguageModel

WORDS = ["", "one", "two", "three"]
EXACT = {"width": 10_000, "threshold": np.inf}


def random_frames(frames, symbols, seed, sharpness=1.0):
    numbers = np.random.default_rng(seed).normal(size=(frames, symbols)) * sharpness
    return numbers - np.log(np.exp(numbers).sum(1, keepdims=True))


def every_sequence(log_probabilities, symbols, blank):
    """log p of each sequence that has an alignment."""
    found = {}
    for path in itertools.product(range(len(symbols)), repeat=len(log_probabilities)):
        sequence = tuple(symbols[column] for column, _ in itertools.groupby(path) if column != blank)
        step = sum(frame[column] for frame, column in zip(log_probabilities, path, strict=True))
        found[sequence] = np.logaddexp(found.get(sequence, -np.inf), step)
    return found


def greedy(log_probabilities, symbols, blank):
    best = log_probabilities.argmax(1)
    return tuple(symbols[column] for column, _ in itertools.groupby(best) if column != blank)


def assert_same(found, wanted):
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) == len(wanted) and dict(found) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("blank", [0, 3])
def test_all_sequences_have_the_sum_of_their_alignments(seed, blank):
    symbols = ["a", "b", "c"][:blank] + [""] + ["a", "b", "c"][blank:]
    frames = random_frames(1 + seed, 4, seed).astype("float32" if seed % 2 else "float64")
    assert_same(beam_search(frames, symbols, blank, **EXACT), every_sequence(frames.astype(float), symbols, blank))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alpha, beta", [(0.7, 0.0), (1.5, 2.0), (0.0, -0.5)])
def test_language_model_and_bonus_are_added(seed, alpha, beta):
    model = LanguageModel([["one", "two", "three"], ["two", "two"], ["one"]], order=3)
    frames = random_frames(5, 4, seed)
    wanted = {sequence: score + alpha * model.sentence(sequence) + beta * len(sequence)
              for sequence, score in every_sequence(frames, WORDS, 0).items()}
    assert_same(beam_search(frames, WORDS, 0, model.log_probability, alpha, beta, **EXACT), wanted)


def test_a_bonus_needs_no_language_model():
    frames = random_frames(4, 4, 0)
    wanted = {sequence: score + 0.3 * len(sequence) for sequence, score in every_sequence(frames, WORDS, 0).items()}
    assert_same(beam_search(frames, WORDS, 0, beta=0.3, **EXACT), wanted)


def test_the_language_model_mends_what_sounds_alike():
    """The frames cannot tell b from p; the sentences can."""
    symbols = ["", *"abpril "]
    frames = np.full((7, len(symbols)), 1e-4)
    for frame, symbol in zip(frames, ["a", "b", "r", "i", "l", " ", "a"], strict=True):
        frame[symbols.index(symbol)] = 1
    frames[1, [symbols.index("b"), symbols.index("p")]] = 0.55, 0.45
    frames = np.log(frames / frames.sum(1, keepdims=True))
    model = LanguageModel(["april a", "april"], order=4)
    assert "".join(beam_search(frames, symbols, 0)[0].symbols) == "abril a"
    assert "".join(beam_search(frames, symbols, 0, model.log_probability, width=1)[0].symbols) == "april a"


@pytest.mark.parametrize("width, threshold", [(1, np.inf), (8, np.inf), (8, 5.0)])
def test_where_each_frame_is_sure_it_is_greedy(width, threshold):
    frames = random_frames(40, 6, seed=1, sharpness=100)
    symbols = ["", *"abcde"]
    found = beam_search(frames, symbols, 0, width=width, threshold=threshold)
    assert found[0].symbols == greedy(frames, symbols, 0) and len(found) <= width


def test_many_alignments_beat_the_best_one():
    """Blank is the best symbol of both frames, yet the three alignments of a are more likely together."""
    frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert greedy(frames, ["", "a"], 0) == ()
    best, other = beam_search(frames, ["", "a"], 0)
    assert best.symbols == ("a",) and math.exp(best.score) == pytest.approx(0.64)
    assert other.symbols == () and math.exp(other.score) == pytest.approx(0.36)


def test_a_narrow_beam_finds_no_more_than_there_is():
    frames = random_frames(5, 4, seed=3)
    true = every_sequence(frames, WORDS, 0)
    for sequence, score in beam_search(frames, WORDS, 0, width=4):
        assert score <= true[sequence] + 1e-9


def test_symbols_below_the_threshold_are_not_tried():
    frames = np.log([[0.5, 0.49, 0.01]])
    reached = [{one.symbols for one in beam_search(frames, WORDS[:3], 0, threshold=threshold)}
               for threshold in (3.0, 5.0)]
    assert reached == [{(), ("one",)}, {(), ("one",), ("two",)}]


def test_no_frames_are_the_empty_sequence():
    frames = np.zeros((0, 4))
    assert beam_search(frames, WORDS, 0) == [((), 0.0)]
    model = LanguageModel([["one"]], order=2)
    [only] = beam_search(frames, WORDS, 0, model.log_probability, alpha=2.0)
    assert only.symbols == () and only.score == pytest.approx(2 * model.log_probability((), END))


def test_nothing_but_blank():
    frames = np.full((5, 4), -np.inf)
    frames[:, 0] = 0
    assert beam_search(frames, WORDS, 0, **EXACT) == [((), 0.0)]


def test_nothing_but_one_symbol_is_one_symbol():
    frames = np.full((5, 4), -np.inf)
    frames[:, 2] = 0
    assert beam_search(frames, WORDS, 0, **EXACT) == [(("two",), 0.0)]


@pytest.mark.parametrize("bad, said", [
    (np.zeros((3, 5)), "do not fit 4 symbols"), (np.zeros(4), "do not fit"), (np.full((2, 4), np.nan), "NaN"),
    (np.array([[0.0, np.nan, 0.0, 0.0]]), "NaN"), (np.full((2, 4), -np.inf), "none that can be")])
def test_arrays_that_say_nothing_are_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        beam_search(bad, WORDS, 0)
