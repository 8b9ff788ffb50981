"""Beam search with a language model beside the graph's answers: where it helps, and what is shipped."""

import numpy as np
import pytest

from apps.speech.app import Speech
from apps.speech.decoding import Decoder
from apps.speech.report import SentenceScorer
from shared.facts import Facts

SENTENCES = ["bin blue", "set red", "bin red"] * 5


def facts(kind, **more):
    symbols = sorted({symbol for text in SENTENCES for symbol in (text.split() if kind == "words" else text)})
    return Facts({"symbols": symbols, "of": kind, "sentences": SENTENCES, "rate": 8000, "hop": 0.01, **more})


def spoken(text, known, rng, unsure=0.0):
    """Log-probabilities of frames that say `text`, each symbol once with a blank behind it, less sure of some."""
    symbols = known["symbols"]
    said = text.split() if known["of"] == "words" else list(text)
    rows = []
    for symbol in said:
        row = np.full(len(symbols) + 1, 0.01)
        row[symbols.index(symbol)] = 1.0
        if rng.random() < unsure:
            row[rng.integers(len(symbols))] = 1.2
        silence = np.full(len(symbols) + 1, 0.01)
        silence[-1] = 1.0
        rows += [row, silence]
    made = np.array(rows)
    return np.log(made / made.sum(1, keepdims=True))


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_what_is_said_clearly_comes_out_and_what_is_not_is_guessed_by_the_language(kind):
    known, rng = facts(kind), np.random.default_rng(0)
    decoder = Decoder(known)
    for text in SENTENCES[:3]:
        assert decoder.text(spoken(text, known, rng), 0.0, 0.0) == text
    clips = [(spoken(text, known, rng, 0.3), text) for text in SENTENCES]
    right = [sum(decoder.text(clip, alpha, beta) == text for clip, text in clips)
             for alpha, beta in ((0.0, 0.0), decoder.tuned(clips).values())]
    assert right[1] > right[0] + 2


def test_a_run_is_scored_by_both_and_a_file_by_its_own_answers():
    known, rng = facts("words", alpha=0.5, beta=0.0), np.random.default_rng(1)
    symbols = known["symbols"]
    example = {"samples": np.zeros(800, np.int16), "length": np.array(800),
               "text": np.frombuffer(b"set red", np.uint8), "meta": {"index": 0}}
    answer = {"symbols": np.array([symbols.index("bin"), symbols.index("red")]), "frames": np.array([1, 2]),
              "count": np.array(2)}
    own, both = SentenceScorer(known), SentenceScorer(known)
    own.update(example, answer)
    both.update(example, {**answer, "log_probabilities": spoken("set red", known, rng)})
    assert own.report().metrics.keys() == {"accuracy", "word_error_rate", "character_error_rate", "right_sentences"}
    metrics = both.report().metrics
    assert metrics["word_error_rate"] == 0.5 == metrics["accuracy"]
    assert metrics["word_error_rate_with_language_model"] == 0


def test_sentences_stay_in_the_run():
    known = facts("words", alpha=0.5, beta=0.0)
    shipped = Speech().shipped(known)
    assert "sentences" not in shipped.values and shipped["symbols"] == known["symbols"] and "sentences" in known.values
    assert SentenceScorer(shipped).decoder is None
