"""What is seen and heard of clips in reports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.speech.pictures import BANDS, WIDTH, begin_of, spectrogram, spread, written
from apps.speech.report import PICTURED, WORST, SentenceScorer, WordScorer, caption
from shared.data.dataset import Ragged, Split
from shared.data.text_bytes import to_bytes
from shared.evaluation.figures import to_image
from shared.evaluation.score import score
from shared.facts import Facts

RATE = 8000
FACTS = {"characters": Facts({"rate": RATE, "hop": 0.01, "symbols": list(" abc壹"), "of": "characters"}),
         "words": Facts({"rate": RATE, "hop": 0.01, "symbols": ["a", "ab", "c", "壹"], "of": "words"})}


def red_of(picture):
    """Whether each pixel is red."""
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return red > np.maximum(green, blue) + 100


# Pictures

def test_the_picture_of_a_tone_is_dark_at_its_height():
    tone = (np.sin(2 * np.pi * 1000 * np.arange(4000) / RATE) * 10_000).astype(np.int16)
    picture = spectrogram(tone, 60)
    assert picture.dtype == np.uint8 and picture.shape == (128, 60)
    assert abs(127 - picture.mean(1).argmin() - 1000 / (RATE / 256)) <= 1


@pytest.mark.parametrize("columns", [50, 900])
def test_a_click_is_dark_at_its_time(columns):
    for at in (0, 1300, 3999):
        clip = np.zeros(4000, np.int16)
        clip[at] = 30_000
        dark = np.flatnonzero(spectrogram(clip, columns).min(0) < 200)
        assert abs(dark.mean() - at * columns / 4000) <= 128 * columns / 4000 + 1  # half of it lies beyond an end
        assert dark.min() <= at * columns / 4000 <= dark.max() + 1


def test_a_symbol_stands_below_the_time_at_which_it_was_heard():
    clip = np.zeros(2 * RATE, np.int16)
    for second in (0.3, 1.0, 1.7):
        picture = written(clip, RATE, ["i"], [second], [False])
        red = red_of(picture)
        stroke, symbol = (np.flatnonzero(red[rows].any(0)) for rows in (np.s_[:BANDS], np.s_[BANDS + 9:]))
        assert picture.shape[1] == WIDTH and abs(stroke - second / 2 * WIDTH).max() <= 1
        assert abs(symbol - second / 2 * WIDTH).max() <= 4
    assert not red_of(written(clip, RATE, ["i"], [1.0], [True])).any()


def test_a_long_clip_takes_several_lines():
    clip = np.zeros(15 * RATE, np.int16)  # three of 5 seconds
    one = written(clip[:RATE], RATE, [], [], [])
    for second, line, place in ((1.0, 0, 0.2), (7.5, 1, 0.5), (14.0, 2, 0.8)):
        picture = written(clip, RATE, ["i"], [second], [False])
        assert len(picture) == 3 * len(one)
        rows, columns = np.nonzero(red_of(picture))
        assert (rows // len(one) == line).all() and abs(columns - place * WIDTH).max() <= 4


def test_only_what_was_heard_in_the_clip_or_its_margin_is_shown():
    clip = np.zeros(RATE, np.int16)
    assert red_of(written(clip, RATE, ["i"], [1.08], [False])).any()
    assert not red_of(written(clip, RATE, ["i"], [1.2], [False])).any()


@pytest.mark.parametrize("samples", [0, 1, 200, 6 * RATE, 6 * RATE + 1])
@pytest.mark.parametrize("symbols", [[], ["壹", " ", "ä", "\ud800", "\0", "😀"] * 100, ["a long word " * 50]])
def test_no_clip_and_no_script_is_too_much(samples, symbols):
    times = np.linspace(0, samples / RATE, len(symbols))
    picture = written(np.zeros(samples, np.int16), RATE, symbols, times, [True] * len(symbols))
    assert picture.dtype == np.uint8 and picture.shape[1:] == (WIDTH, 3)
    assert len(picture) // (BANDS + 25) == (2 if samples > 6 * RATE else 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 9)), min_size=1, max_size=30))
def test_symbols_stand_side_by_side_and_no_farther_aside_than_they_must(things):
    at, widths = np.sort([place for place, _ in things]), np.array([width for _, width in things])
    middles = spread(at, widths, 100.0)
    share = min(1.0, 100 / max(widths.sum(), 1e-9))
    begins, ends = middles - share * widths / 2, middles + share * widths / 2
    assert (begins[1:] >= ends[:-1] - 1e-6).all()
    assert begins[0] >= -1e-6 and ends[-1] <= 100 + 1e-6
    for place, middle, begin, before in zip(at, middles, begins, [0.0, *ends], strict=False):
        assert middle <= place + 1e-6 or begin <= before + 1e-6  # stands aside to the right of another alone
    for place, middle, end, after in zip(at, middles, ends, [*begins[1:], 100.0], strict=True):
        assert middle >= place - 1e-6 or end >= after - 1e-6


def test_clips_are_cut_to_half_a_minute_and_lose_their_padding():
    samples = np.arange(100, dtype=np.int16)
    assert np.array_equal(begin_of({"samples": samples, "length": np.array(70)}, RATE), samples[:70])
    assert len(begin_of({"samples": np.zeros(400, np.int16), "length": np.array(390)}, 10)) == 300


# Reports

def answer(text, facts):
    symbols = [facts["symbols"].index(symbol) for symbol in (text.split() if facts["of"] == "words" else text)]
    return {"symbols": np.array([*symbols, -1], np.int32), "count": np.array(len(symbols)),
            "frames": np.array([*(6 + 3 * np.arange(len(symbols))), -1], np.int32)}


def sentences(said):
    rng = np.random.default_rng(0)
    clips = [(rng.normal(size=rng.integers(500, 3000)) * 3000).astype(np.int16) for _ in said]
    offsets = np.cumsum([0, *map(len, clips)])
    return Split({"samples": Ragged(np.concatenate(clips), offsets), "length": np.diff(offsets).astype(np.int32),
                  "text": to_bytes(said)}), clips


@pytest.mark.parametrize("kind", FACTS)
def test_sentences_that_were_read_together_are_scored_one_by_one(kind):
    said = ["a", "ab a c 壹", "", "c c"]
    split, _ = sentences(said)
    right = score(lambda rows: (answer(text, FACTS[kind]) for text in said), split, SentenceScorer(FACTS[kind]))
    assert right.metrics["word_error_rate"] == right.metrics["character_error_rate"] == 0
    assert right.metrics["right_sentences"] == 1 and not right.tables["mistakes"] and "mistakes" not in right.figures


@pytest.mark.parametrize("kind", FACTS)
def test_the_same_sentences_are_heard_at_every_scoring(kind):
    said = ["a", "a", "ab", "c", "ab c", "", "c a", "c ab", "a a"]
    split, clips = sentences(said)
    for text in ("a", "", "壹 c"):
        made = score(lambda rows: (answer(text, FACTS[kind]) for _ in rows), split,  # noqa: B023
                     SentenceScorer(FACTS[kind]))
        first = [0, 2, 3, 4, 5, 6]
        assert made.tables["heard"] == [{"truth": said[row], "given": text} for row in first]
        sounds, heard = made.figures["sounds"], made.figures["heard"]
        assert sounds.rate == RATE and sounds.captions == [said[row] for row in first]
        assert all(np.array_equal(clip, clips[row]) for clip, row in zip(sounds.clips, first, strict=True))
        assert len(heard.pictures) == 6 and heard.captions[1] == f"truth: ab\nheard: {text}".strip()


def test_the_worst_sentences_are_shown_and_no_more_are_kept():
    facts, rng = FACTS["characters"], np.random.default_rng(0)
    said = [" ".join(rng.choice(list("abc"), size)) for size in [*rng.integers(1, 12, 59), 1]]
    split, _ = sentences(said)
    scorer = SentenceScorer(facts)
    made = score(lambda rows: (answer("", facts) for _ in rows), split, scorer)
    worst = sorted(range(60), key=lambda row: (-len(said[row].split()), row))[:WORST]
    assert [row["index"] for row in made.tables["mistakes"]] == worst
    assert [row["wrong"] for row in made.tables["mistakes"]] == [len(said[row].split()) for row in worst]
    assert made.figures["mistakes"].captions == [caption(said[row], "") for row in worst[:PICTURED]]
    assert len(scorer.mistakes) == WORST and len(scorer.first.clips) == 6
    assert to_image(made.figures["mistakes"], 40).ndim == 3


def test_what_the_truth_has_not_is_red():
    facts = FACTS["characters"]
    split, _ = sentences(["a b a c"])
    for text, wrong in (("a b a b", 1), ("a b a", 0), ("a b b a c", 2)):  # one more comes with its space
        made = score(lambda rows: iter([answer(text, facts)]), split, SentenceScorer(facts))  # noqa: B023
        strokes = red_of(made.figures["mistakes"].pictures[0])[BANDS - 5]
        assert (np.diff(strokes.astype(int)) == 1).sum() == wrong


def test_words_are_heard_too():
    labels = ["yes", "no", "on"]
    facts, said, given = Facts({"labels": labels, "rate": RATE}), [0, 0, 2, 1, 2], [1, 0, 2, 0, 0]
    split, clips = sentences([""] * 5)
    split.columns["label"] = np.array(said)
    rows = iter({"label": np.array(label), "probabilities": np.eye(3)[label]} for label in given)
    made = score(lambda examples: (next(rows) for _ in examples), split, WordScorer(facts))
    assert made.tables["heard"] == [{"truth": "yes", "given": "no"}, {"truth": "on", "given": "on"},
                                    {"truth": "no", "given": "yes"}]
    assert made.figures["heard"].captions[0] == "truth: yes\nheard: no"
    assert [len(clip) for clip in made.figures["sounds"].clips] == [len(clips[row]) for row in (0, 2, 3)]
    assert {picture.shape for picture in made.figures["mistakes"].pictures} == {
        (128, len(clips[row]) // 80) for row in (0, 3, 4)}


def test_a_long_sentence_is_broken_into_few_lines():
    made = caption("word " * 60, "x" * 2000).split("\n")
    assert made[0].startswith("truth: word word") and max(map(len, made)) <= 125 and len(made) == 3 + 4
    assert made[-1].endswith("…")
