"""Error rates against jiwer's, and alignments against the textbook's dynamic programme."""

import json
import random
from itertools import pairwise

import jiwer
import pytest

from apps.speech.transcripts import ErrorRates, aligned
from shared.evaluation.report import Report

WORDS = ["bin", "blue", "at", "f", "two", "now", "soon", "again", "please", "北京", "wetter", "straße", "é"]
CHINESE = "今天天气很好我们去北京看长城吃烤鸭"


def changed(words, generator):
    """Words with some left out, replaced and put in."""
    given = []
    for word in words:
        given += generator.choices([[word], [], [generator.choice(WORDS)], [word, generator.choice(WORDS)],
                                    [word[:-1] or "x"]], [6, 1, 1, 1, 1])[0]
    return given


def random_pairs(count, seed=0):
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        truth = generator.choices(WORDS, k=generator.randint(0, 12))
        given = [] if generator.random() < 0.1 else changed(truth, generator)
        pairs.append((" ".join(truth), " ".join(given)))
    return pairs


def counted(pairs):
    rates = ErrorRates()
    for truth, given in pairs:
        rates.add(truth, given)
    return rates


def distance(truth, given):
    """The number of edits, by Wagner and Fischer."""
    row = list(range(len(given) + 1))
    for one in truth:
        corner, row[0] = row[0], row[0] + 1
        for place, other in enumerate(given, 1):
            corner, row[place] = row[place], min(corner + (one != other), row[place] + 1, row[place - 1] + 1)
    return row[-1]


def assert_as_jiwer(pairs):
    rates = counted(pairs)
    truth, given = map(list, zip(*pairs, strict=True))
    words, characters = jiwer.process_words(truth, given), jiwer.process_characters(truth, given)
    metrics = rates.metrics()
    assert metrics["word_error_rate"] == pytest.approx(words.wer)
    assert metrics["character_error_rate"] == pytest.approx(characters.cer)
    for ours, theirs in ((rates.all.words, words), (rates.all.characters, characters)):
        assert (ours.equal, ours.substituted, ours.deleted, ours.inserted) == (
            theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)


@pytest.mark.parametrize("seed", range(3))
def test_rates_and_counts_are_jiwers(seed):
    pairs = random_pairs(300, seed)
    assert any(not truth for truth, _ in pairs) and any(not given and truth for truth, given in pairs)
    assert_as_jiwer(pairs)


def test_chinese_is_counted_by_characters():
    generator = random.Random(0)
    pairs = []
    for _ in range(200):
        truth = generator.choices(CHINESE, k=generator.randint(0, 9))
        given = [letter if generator.random() < 0.8 else generator.choice(CHINESE)
                 for letter in truth[generator.randint(0, 1):]]
        pairs.append(("".join(truth), "".join(given)))
    assert_as_jiwer(pairs)
    rates = counted([("今天天气", "今天天汽")])
    assert rates.metrics()["character_error_rate"] == 0.25 and rates.metrics()["word_error_rate"] == 1


@pytest.mark.parametrize("pairs", [
    [("", "")], [("", "a b")], [("a b", "")], [("", "a b"), ("c", "c")], [(" a  b ", "a b")], [("a b", "a  b")]])
def test_empty_and_untidy_sentences_are_jiwers(pairs):
    assert_as_jiwer(pairs)


def test_alignments_are_shortest_and_keep_both_sides():
    for truth, given in random_pairs(200, seed=5):
        for one, other in ((truth.split(), given.split()), (truth, given)):
            pairs = aligned(one, other)
            assert sum(kind != "equal" for kind, _, _ in pairs) == distance(one, other)
            assert [left for kind, left, _ in pairs if kind != "inserted"] == list(one)
            assert [right for kind, _, right in pairs if kind != "deleted"] == list(other)
            assert all((left == right) == (kind == "equal") for kind, left, right in pairs)


def test_what_is_confused_left_out_and_put_in():
    rates = counted([("set red by p", "set red by b"), ("place red by p now", "red by b now"),
                     ("bin blue", "bin blue so"), ("bin blue", "bin blue so"), ("lay", "say")])
    tables = rates.tables()
    assert tables["confused_words"] == [{"truth": "p", "given": "b", "count": 2},
                                        {"truth": "lay", "given": "say", "count": 1}]
    assert tables["deleted_words"] == [{"word": "place", "count": 1}]
    assert tables["inserted_words"] == [{"word": "so", "count": 2}]
    words = tables["errors"][0]
    assert words == {"of": "words", "rate": 6 / 14, "substituted": 3, "deleted": 1, "inserted": 2, "reference": 14}


def test_sentences_are_right_as_a_whole_whatever_the_spaces():
    rates = counted([("a b", "a  b "), ("a b", "a b c"), ("", ""), ("", "a")])
    assert rates.metrics()["right_sentences"] == 0.5


def test_groups_and_lengths_are_counted_alone():
    rates = ErrorRates()
    rates.add("one two", "one two", speaker="theo", room=1)
    rates.add("one two", "one", speaker="lucas", room=1)
    rates.add("four", "five", speaker="lucas", room=None)
    rates.add("x" * 600, "x" * 600)
    tables = rates.tables()
    assert [(row["speaker"], row["word_error_rate"], row["right"], row["sentences"], row["words"])
            for row in tables["by_speaker"]] == [("lucas", 2 / 3, 0, 2, 3), ("theo", 0, 1, 1, 2)]
    assert [(row["room"], row["sentences"]) for row in tables["by_room"]] == [(1, 2)]
    assert [(row["characters"], row["sentences"], row["word_error_rate"]) for row in tables["lengths"]] == [
        ("up to 4", 1, 1), ("up to 8", 2, 0.25), ("over 512", 1, 0)]


def test_the_parts_add_up_to_the_whole():
    rates = ErrorRates()
    for index, (truth, given) in enumerate(random_pairs(100)):
        rates.add(truth, given, speaker=index % 3)
    for parts in (rates.lengths, rates.about["speaker"].values()):
        for kind in ("equal", "substituted", "deleted", "inserted"):
            for of in ("words", "characters"):
                assert sum(getattr(getattr(part, of), kind) for part in parts) == getattr(getattr(rates.all, of), kind)
    assert rates.confused.total() == rates.all.words.substituted
    assert rates.deleted.total() == rates.all.words.deleted and rates.inserted.total() == rates.all.words.inserted


def test_tables_are_short_and_the_largest_come_first():
    generator = random.Random(0)
    tables = counted([(f"w{generator.randint(0, 60)}", f"v{generator.randint(0, 3)}") for _ in range(500)]).tables()
    counts = [row["count"] for row in tables["confused_words"]]
    assert len(counts) == 20 and all(a >= b for a, b in pairwise(counts))


def test_it_makes_a_report():
    rates = counted(random_pairs(20))
    record = Report(rates.metrics(), rates.tables(), examples=rates.all.sentences).to_json()
    assert json.loads(json.dumps(record))["tables"]["errors"][0]["of"] == "words"


def test_nothing_seen_is_no_error():
    rates = ErrorRates()
    assert rates.metrics() == {"word_error_rate": 0, "character_error_rate": 0, "right_sentences": 0}
    assert rates.tables()["lengths"] == []
