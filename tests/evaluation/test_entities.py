"""The scorer of entities against seqeval, against conlleval's own counting, and against small cases by hand."""

import json

import numpy as np
import pytest

from shared.data.plain_tokens import token_bounds
from shared.evaluation import entities as scored_entities
from shared.evaluation.entities import EntityScorer, paired, surface, true_entities
from shared.evaluation.show import markdown_table

LABELS = ["PER", "LOC", "ORG-X"]
WORDS = ["Angela", "Zoë", "besuchte", "北京", "in", "U.S.", "é", "👍🏽", "und", "3,5"]
NOTHING = "tag", []


def bioes(length, entities):
    tags = ["O"] * length
    for start, end, kind in entities:
        places = "S" if end - start == 1 else "B" + "I" * (end - start - 2) + "E"
        tags[start:end] = [f"{place}-{kind}" for place in places]
    return tags


def bio(tags):
    return [tag.replace("S-", "B-", 1).replace("E-", "I-", 1) if tag[1:2] == "-" else tag for tag in tags]


def numbers(tags):
    names = ["O"] + [f"{place}-{label}" for label in LABELS for place in "BIES"]
    return np.array([names.index(tag) for tag in tags], "int32")


def sentence(words, gold, given, confidences=None, index=0, room=3):
    """An example and an answer, entities in tokens; both with room behind what is used."""
    text, bounds = b"", []
    for word in words:
        bounds.append((len(text), len(word.encode())))
        text += word.encode() + b"\x1f"
    tags = gold if gold and isinstance(gold[0], str) else bioes(len(words), gold)
    example = {"text": np.frombuffer(text + b"\0" * room, "uint8"),
               "tags": np.append(numbers(tags), [-1] * room), "meta": {"index": index, "file": f"{index}.txt"}}
    return example, answer_of(bounds, given, confidences, room)


def answer_of(bounds, given, confidences=None, room=3):
    def row(values, kind="int32"):
        return np.array([*values, *[-1] * (len(bounds) + room - len(values))], kind)

    spans = [(LABELS.index(kind), bounds[start][0], sum(bounds[end - 1]) - bounds[start][0])
             for start, end, kind in given]
    kinds, starts, lengths = zip(*spans, strict=True) if spans else ((), (), ())
    return {"tags": row(numbers(bioes(len(bounds), given))), "offsets": row([start for start, _ in bounds]),
            "lengths": row([length for _, length in bounds]), "count": np.array([len(bounds)], "int32"),
            "confidences": row([0.9] * len(bounds) if confidences is None else confidences, "float32"),
            "span_type": row(kinds), "span_start": row(starts), "span_length": row(lengths),
            "span_count": np.array(len(given), "int32")}


def report_of(*sentences, **options):
    scorer = EntityScorer(LABELS, **options)
    for number, parts in enumerate(sentences):
        scorer.update(*sentence(*parts, index=number))
    return scorer.report()


def some_entities(random, length):
    made, at = [], 0
    while at < length:
        size = min(int(random.integers(1, 5)), length - at)
        if random.random() < 0.4:  # the next may touch it
            made.append((at, at + size, str(random.choice(LABELS))))
        at += size
    return made


def moved(random, entities, length):
    """Answers that are right, shifted, of another type, missed, or made up."""
    made = []
    for start, end, kind in entities:
        change = random.integers(6)
        if change == 1:
            start = max(start - 1, made[-1][1] if made else 0)
        elif change == 2:
            end = max(end - 1, start + 1)
        elif change == 3:
            kind = str(random.choice(LABELS))
        if change != 4 and (not made or made[-1][1] <= start):
            made.append((start, end, kind))
    return made or ([(0, 1, LABELS[0])] if length else [])


def corpus(seed, count=150):
    random = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        length = int(random.integers(0, 20))
        gold = some_entities(random, length)
        given = some_entities(random, length) if random.random() < 0.2 else moved(random, gold, length)
        sentences.append((list(random.choice(WORDS, length)), gold, given))
    return sentences


REAL = [
    (["Angela", "Merkel", "besuchte", "Peking", "."], [(0, 2, "PER"), (3, 4, "LOC")], [(0, 2, "PER"), (3, 4, "LOC")]),
    (["The", "U.N.", "sent", "Kofi", "Annan", "to", "New", "York", "City", "."],
     [(1, 2, "ORG-X"), (3, 5, "PER"), (6, 9, "LOC")], [(1, 2, "LOC"), (3, 5, "PER"), (6, 8, "LOC")]),
    (["Paris", "Hilton", "Paris"], [(0, 2, "PER"), (2, 3, "LOC")], [(0, 3, "PER")]),
    (["SOCCER", "-", "JAPAN", "GET", "LUCKY", "WIN", ",", "CHINA", "IN", "SURPRISE", "DEFEAT", "."],
     [(2, 3, "LOC"), (7, 8, "PER")], [(2, 3, "LOC"), (7, 8, "LOC"), (9, 10, "ORG-X")]),
    (["It", "rained", "."], [], []),
]
CORPORA = {"random": corpus(0), "more": corpus(1), "real": REAL, "no answers": [(w, g, []) for w, g, _ in corpus(2)],
           "no truth": [(w, [], a) for w, _, a in corpus(3)], "nothing at all": [(["a", "b"], [], [])]}


# The tables of conlleval.pl (Tjong Kim Sang), for tags of B, I and O.
def ends(before, kind_before, now, kind):
    return before in "BI" and (now in "BO" or kind_before != kind)


def starts(before, kind_before, now, kind):
    return now == "B" or (now == "I" and (before == "O" or kind_before != kind))


def conlleval(pairs):
    """Right, true and answered chunks by type, counted in one pass over both columns as the script does."""
    right, true, answered = ({label: 0 for label in LABELS} for _ in range(3))
    for truth, guess in pairs:
        inside, last = False, (("O", ""), ("O", ""))
        for columns in [*zip(truth, guess, strict=True), ("O", "O")]:
            now = tuple((tag[0], tag[2:]) for tag in columns)
            ended = [ends(*last[i], *now[i]) for i in range(2)]
            started = [starts(*last[i], *now[i]) for i in range(2)]
            if inside and (ended[0] or ended[1]):
                if ended[0] and ended[1]:
                    right[last[0][1]] += 1
                inside = False
            if started[0] and started[1] and now[0][1] == now[1][1]:
                inside = True
            for column, total in enumerate((true, answered)):
                if started[column]:
                    total[now[column][1]] += 1
            last = now
    return right, true, answered


def share(part, whole):
    return part / whole if whole else 0.0


@pytest.mark.parametrize("name", CORPORA)
def test_equal_to_conlleval(name):
    sentences = CORPORA[name]
    right, true, answered = conlleval([(bio(bioes(len(words), gold)), bio(bioes(len(words), given)))
                                       for words, gold, given in sentences])
    report = report_of(*sentences)
    rows = {row["label"]: row for row in report.tables["types"]}
    assert list(rows) == LABELS
    for label in LABELS:
        assert rows[label] == pytest.approx({
            "label": label, "precision": share(right[label], answered[label]),
            "recall": share(right[label], true[label]),
            "f1": share(2 * right[label], true[label] + answered[label]),
            "support": true[label], "predicted": answered[label]}, abs=1e-12)
    hits, all_true, all_answered = (sum(counts.values()) for counts in (right, true, answered))
    want = {"precision": share(hits, all_answered), "recall": share(hits, all_true),
            "f1": share(2 * hits, all_true + all_answered), "entities": all_true, "predicted_entities": all_answered}
    assert {key: report.metrics[key] for key in want} == pytest.approx(want, abs=1e-12)
    if name in ("random", "more"):
        assert 0.2 < report.metrics["f1"] < 0.9


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["random", "more", "real", "no answers", "no truth"])
def test_equal_to_seqeval(name):
    seqeval = pytest.importorskip("seqeval.metrics")
    sentences = CORPORA[name]
    truth, guess = ([bioes(len(words), entities[side]) for words, *entities in sentences] for side in range(2))
    report = report_of(*sentences)
    want = {key: getattr(seqeval, f"{key}_score")(truth, guess) for key in ("precision", "recall", "f1")}
    want["macro_f1"] = seqeval.f1_score(truth, guess, average="macro")
    want["token_accuracy"] = seqeval.accuracy_score(truth, guess)
    assert {key: report.metrics[key] for key in want} == pytest.approx(want, abs=1e-12)
    each = seqeval.classification_report(truth, guess, output_dict=True)
    for row in report.tables["types"]:
        if row["support"] + row["predicted"]:
            got = [row[key] for key in ("precision", "recall", "f1", "support")]
            assert got == pytest.approx([each[row["label"]][key] for key in (
                "precision", "recall", "f1-score", "support")])


def test_broken_sequences_of_truth_are_read_as_conlleval_reads_them():
    random = np.random.default_rng(4)
    every = ["O", "O", *(f"{place}-{label}" for label in LABELS for place in "BI")]
    sentences = [[str(tag) for tag in random.choice(every, random.integers(1, 12))] for _ in range(200)]
    _, true, _ = conlleval([(tags, ["O"] * len(tags)) for tags in sentences])
    report = report_of(*((["a"] * len(tags), tags, []) for tags in sentences))
    assert {row["label"]: row["support"] for row in report.tables["types"]} == true
    assert report.metrics["entities"] > 400


P, L, X = LABELS
CASES = {  # truth, answer: kinds in the order of the table
    "nothing": ([], [], [0, 0, 0, 0, 0, 0]),
    "right": ([(0, 2, P)], [(0, 2, P)], [1, 0, 0, 0, 0, 0]),
    "wrong type": ([(0, 2, P)], [(0, 2, L)], [0, 1, 0, 0, 0, 0]),
    "wrong boundary": ([(0, 2, P)], [(1, 3, P)], [0, 0, 1, 0, 0, 0]),
    "both wrong": ([(0, 2, P)], [(0, 3, L)], [0, 0, 0, 1, 0, 0]),
    "missed": ([(0, 2, P), (4, 5, L)], [], [0, 0, 0, 0, 2, 0]),
    "spurious": ([], [(0, 2, P)], [0, 0, 0, 0, 0, 1]),
    "beside, not over": ([(0, 2, P)], [(2, 4, P)], [0, 0, 0, 0, 1, 1]),
    "touching ones joined": ([(0, 2, P), (2, 3, P)], [(0, 3, P)], [0, 0, 1, 0, 1, 0]),
    "one of type split": ([(0, 3, P)], [(0, 1, P), (1, 3, P)], [0, 0, 1, 0, 0, 1]),
    "touching, both right": ([(0, 2, P), (2, 3, P)], [(0, 2, P), (2, 3, P)], [2, 0, 0, 0, 0, 0]),
    "type before overlap": ([(0, 4, P)], [(0, 3, L), (3, 4, P)], [0, 0, 1, 0, 0, 1]),
    "the larger share": ([(0, 1, P), (1, 4, P)], [(0, 4, P)], [0, 0, 1, 0, 1, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_kinds_of_errors(name):
    gold, given, want = CASES[name]
    report = report_of((WORDS[:6], gold, given))
    assert [row["count"] for row in report.tables["errors"]] == want
    assert [row["kind"] for row in report.tables["errors"]] == [
        "right", "wrong type, right boundary", "wrong boundary, right type", "wrong boundary and type, overlapping",
        "missed", "spurious"]


def test_of_those_that_overlap_the_one_that_shares_most_is_paired():
    [pair, missed] = paired(*([scored_entities.Entity(start, end, P, 0.5) for start, end in spans]
                              for spans in ([(0, 1), (1, 4)], [(0, 4)])))
    assert pair[1][:2] == (1, 4)
    assert missed[0] == "missed"
    assert missed[1][:2] == (0, 1)


def test_entities_that_touch_are_no_pair():
    one, other = (scored_entities.Entity(start, start + 3, P, 0.5) for start in (0, 3))
    assert [kind for kind, *_ in paired([one], [other])] == ["missed", "spurious"]


def test_types_that_occur_nowhere_are_left_out_of_the_mean():
    assert report_of((WORDS, [(0, 1, P)], [(0, 1, P), (2, 3, L)])).metrics["macro_f1"] == 0.5


def test_each_entity_is_of_one_kind():
    report = report_of(*CORPORA["random"])
    for share_of in ("of_gold", "of_predicted"):
        assert sum(row[share_of] for row in report.tables["errors"]) == pytest.approx(1)
    counts = {row["kind"]: row["count"] for row in report.tables["errors"]}
    assert sum(counts.values()) - counts["spurious"] == report.metrics["entities"]
    assert sum(counts.values()) - counts["missed"] == report.metrics["predicted_entities"]
    assert counts["right"] / report.metrics["entities"] == pytest.approx(report.metrics["recall"])
    assert all(row["count"] > 0 for row in report.tables["errors"])


def test_confusions_of_types():
    gold, given = [(0, 1, P), (2, 3, L), (4, 6, X)], [(0, 1, L), (2, 4, L), (7, 8, X)]
    report = report_of((WORDS, gold, given), (WORDS, [(0, 1, P)], [(0, 2, L)]))
    assert report.tables["confusions"] == [{"gold": P, "predicted": L, "count": 2},
                                           {"gold": X, "predicted": "(none)", "count": 1},
                                           {"gold": "(none)", "predicted": X, "count": 1}]
    matrix = report.figures["confusion"]
    assert matrix.rows == matrix.columns == [*LABELS, "(none)"]
    assert matrix.values == [[0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_plain_text_of_any_script_has_the_tokens_of_the_graph_in_bytes():
    text = "Zoë besuchte 北京 👍🏽."
    tags = ["S-PER", "O", "B-LOC", "E-LOC", "O", "O"]
    want = [(text.encode().index(word.encode()), kind) for word, kind in (("Zoë", P), ("北京", L))]
    found = true_entities(text.encode(), numbers(tags), LABELS)
    assert [(one.start, one.type) for one in found] == want
    assert [text.encode()[one.start:one.end].decode() for one in found] == ["Zoë", "北京"]
    bounds = [(start, end - start) for start, end in token_bounds(text.encode())]
    scorer = EntityScorer(LABELS)
    scorer.update({"text": np.frombuffer(text.encode(), "uint8"), "tags": numbers(tags), "meta": {"index": 0}},
                  answer_of(bounds, [(0, 1, P), (2, 4, L)]))
    assert scorer.report().metrics["f1"] == 1


@pytest.mark.parametrize("text", [b"ab \xe4\xbd cd", b"\xff\xfeab\x80", "\ufffdä x".encode() + b"\xf0\x9f\x91"])
def test_bytes_that_are_no_utf_8_move_no_token(text):
    bounds = token_bounds(text)
    assert [text[start:end].decode("utf-8", "replace") for start, end in bounds] == [
        token for token in text.decode("utf-8", "replace").replace("\ufffd", " \ufffd ").split()]


def test_tokens_that_the_corpus_brought():
    text = "New York\x1f北\x1f,\x1f".encode()
    assert token_bounds(text) == [(0, 8), (9, 12), (13, 14)]
    [one] = true_entities(text, numbers(["B-LOC", "E-LOC", "O"]), LABELS)
    assert one[:3] == (0, 12, L)
    assert surface(text, one) == "new york 北"


def test_tags_that_are_not_as_many_as_the_tokens_are_no_truth():
    with pytest.raises(ValueError, match=r"2 tags for the 3 tokens"):
        true_entities(b"a b c", numbers(["O", "O"]), LABELS)


def test_empty_texts():
    metrics = report_of(([], [], []), ([], [], [])).metrics
    assert (metrics["f1"], metrics["precision"], metrics["recall"], metrics["entities"]) == (0, 0, 0, 0)
    assert all(np.isnan(metrics[key]) for key in ("macro_f1", "token_accuracy", "calibration_error"))
    json.dumps(report_of().to_json(), allow_nan=False)


def test_recall_of_entities_that_training_had_and_of_new_ones():
    words = ["New", "York", "und", "Zoë", "PARIS"]
    gold = [(0, 2, L), (3, 4, P), (4, 5, P)]
    known = {("new york", L), ("zoë", P), ("paris", L)}  # Paris as a person is new
    metrics = report_of((words, gold, [(0, 2, L), (4, 5, P)]), known=known).metrics
    assert (metrics["recall_seen"], metrics["seen_entities"]) == (0.5, 2)
    assert (metrics["recall_unseen"], metrics["unseen_entities"]) == (1, 1)
    assert "recall_seen" not in report_of((words, gold, [])).metrics
    assert np.isnan(report_of((words, gold, []), known=set()).metrics["recall_seen"])


def test_entities_whose_confidence_is_no_number_are_wrong():
    words, gold = WORDS[:4], [(0, 2, P), (3, 4, L)]
    report = report_of((words, gold, gold, [0.9, np.nan, 0.9, 0.8]))
    assert report.metrics["precision"] == report.metrics["recall"] == 0.5
    assert report.metrics["nan_answers"] == 1
    assert report.metrics["token_accuracy"] == 0.75
    assert report.metrics["calibration_error"] == pytest.approx((1.0 + 0.2) / 2)  # wrong with full confidence
    assert {row["kind"]: row["count"] for row in report.tables["errors"]} == {
        "right": 1, "wrong type, right boundary": 0, "wrong boundary, right type": 0,
        "wrong boundary and type, overlapping": 0, "missed": 1, "spurious": 1}
    assert "nan_answers" not in report_of((words, gold, gold)).metrics
    assert report_of((words, gold, gold, [np.inf] * 4)).metrics["f1"] == 0


@pytest.mark.parametrize("change", [
    {"span_start": -3}, {"span_start": -1}, {"span_start": 3, "span_length": 0},
    {"span_start": 10_000}, {"span_start": 2**31 - 1}, {"span_length": 10_000},
    {"span_length": 0}, {"span_length": -1}, {"span_type": 3}, {"span_type": -1}])
def test_malformed_spans_are_wrong(change):
    example, answer = sentence(WORDS[:4], [(0, 2, P), (3, 4, L)], [(0, 2, P), (3, 4, L)])
    for name, value in change.items():
        answer[name][1] = value
    scorer = EntityScorer(LABELS, known=set())
    scorer.update(example, answer)
    report = scorer.report()
    assert report.metrics["predicted_entities"] == report.metrics["entities"] == 2
    assert report.metrics["f1"] == 0.5
    assert report.metrics["calibration_error"] == pytest.approx((0.1 + 1) / 2)
    assert report.tables["errors"][5]["count"] == report.tables["errors"][4]["count"] == 1
    json.dumps(report.to_json(), allow_nan=False)


def test_counts_beyond_the_places_and_spans_that_come_twice():
    example, answer = sentence(WORDS[:2], [(0, 1, P)], [(0, 1, P), (1, 2, P)], room=0)
    for name in ("span_start", "span_length"):
        answer[name][1] = answer[name][0]
    answer["span_count"], answer["count"] = np.array(99), np.array([99])
    scorer = EntityScorer(LABELS)
    scorer.update(example, answer)
    assert (scorer.report().metrics["precision"], scorer.report().metrics["recall"]) == (0.5, 1)
    answer["span_count"] = answer["count"] = np.array([-5])
    scorer.update(example, answer)
    assert scorer.report().metrics["recall"] == 0.5


@pytest.mark.parametrize(("given", "want"), [(-5, 0), ([2], 2), (9, 3)])
def test_a_count_is_as_large_as_there_are_places(given, want):
    assert scored_entities.number_of(np.array(given, "int32"), np.zeros(3)) == want


def test_confidence_is_of_the_tokens_inside_not_of_those_that_touch():
    answer = answer_of([(0, 3), (3, 3), (6, 3)], [], [0.1, 0.9, 0.2])
    assert scored_entities.lowest_confidence(answer, 3, 6) == pytest.approx(0.9)
    assert np.isnan(scored_entities.lowest_confidence(answer, 9, 12))


def test_sentences_of_other_tokens_do_not_count_in_token_accuracy():
    scorer = EntityScorer(LABELS)
    scorer.update(*sentence(WORDS[:2], [(0, 1, P)], [(1, 2, P)]))
    example, answer = sentence(WORDS[:4], [(0, 1, P)], [(0, 1, P)])
    answer["count"] = np.array([3])
    scorer.update(example, answer)
    assert scorer.report().metrics["token_accuracy"] == 0
    assert scorer.report().metrics["recall"] == 0.5


def test_calibration_is_of_the_lowest_confidence_in_each_answered_entity():
    random = np.random.default_rng(5)
    sentences, sure, right = [], [], []
    for words, gold, given in corpus(6):
        confidences = random.random(len(words)).astype("float32")
        sentences.append((words, gold, given, confidences))
        for start, end, kind in given:
            sure.append(float(confidences[start:end].min()))
            right.append((start, end, kind) in gold)
    sure, right, want = np.array(sure), np.array(right), 0.0
    for low in np.arange(15) / 15:
        inside = (sure > low) & (sure <= low + 1 / 15)
        want += abs(right[inside].sum() - sure[inside].sum()) / len(sure)
    report = report_of(*sentences)
    assert 0.1 < want == pytest.approx(report.metrics["calibration_error"])
    assert sum(report.figures["reliability"].bars) == len(sure)
    top = sure > 14 / 15
    assert report.figures["reliability"].lines["precision"][-1] == pytest.approx(
        right[top].mean() if top.any() else np.nan, nan_ok=True)


def test_scores_by_length():
    report = report_of((["a"] * 8, [(0, 1, P)], [(0, 1, P)]), (["a"] * 9, [(0, 1, P)], [(1, 2, P)]),
                       (["a"] * 2000, [(0, 1, P)], [(0, 1, P), (1, 2, P)]), ([], [], []))
    assert report.tables["lengths"] == [
        {"tokens": "up to 8", "f1": 1.0, "sentences": 2, "support": 1},
        {"tokens": "up to 16", "f1": 0.0, "sentences": 1, "support": 1},
        {"tokens": "over 1024", "f1": pytest.approx(2 / 3), "sentences": 1, "support": 1}]


def test_worst_sentences_by_the_confidence_of_what_is_wrong():
    words = ["Angela", "Merkel", "besuchte", "Peking", "."]
    gold = [(0, 2, P), (3, 4, L)]
    report = report_of((words, gold, gold), (words, gold, [(0, 2, P), (3, 4, P)], [1, 1, 1, 0.4, 1]),
                       (words, gold, [(0, 2, P)], [1, 1, 1, 0.7, 1]), (words, gold, [], [0.6, 0.3, 1, 0.2, 1]))
    rows = report.tables["mistakes"]
    assert [(row["index"], row["wrong"], row["weight"]) for row in rows] == [(2, 1, 0.7), (3, 2, 0.5), (1, 1, 0.4)]
    assert rows[2] == {"index": 1, "file": "1.txt", "wrong": 1, "weight": 0.4,
                       "gold": "[Angela Merkel PER] besuchte [Peking LOC] . ",
                       "predicted": "[Angela Merkel PER] besuchte [Peking PER] . "}
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["tables"]["mistakes"] == rows
    assert "[Peking PER]" in markdown_table(rows)


def test_what_weighs_is_the_answered_entity_and_what_is_no_number_weighs_most():
    rows = report_of((WORDS, [(0, 3, P)], [(0, 1, P)], [0.8, *[0.1] * 9]),
                     (WORDS, [(0, 1, P)], [], [np.nan] * 10)).tables["mistakes"]
    assert [(row["index"], row["weight"]) for row in rows] == [(1, 1), (0, 0.8)]


def test_only_the_worst_are_kept_whatever_their_order():
    sentences = [(WORDS, [(0, 1, P)], [], [confidence] + [1] * 9) for confidence in np.linspace(0.05, 0.95, 19)]
    for order in (range(19), range(18, -1, -1)):
        scorer = EntityScorer(LABELS, worst=3)
        for number in order:
            scorer.update(*sentence(*sentences[number], index=number))
        assert [row["index"] for row in scorer.report().tables["mistakes"]] == [18, 17, 16]
    assert report_of(*sentences, worst=0).tables["mistakes"] == []


def test_of_a_long_text_the_part_that_is_wrong_is_shown():
    words = [f"北{number}" for number in range(3000)]
    [row] = report_of((words, [(2000, 2001, P), (10, 11, L)], [(2000, 2001, L), (10, 11, L)])).tables["mistakes"]
    assert "[北2000 PER]" in row["gold"]
    assert "[北2000 LOC]" in row["predicted"]
    assert len(row["gold"].encode()) < 500
    assert row["gold"][0] == row["gold"][-1] == "…"
