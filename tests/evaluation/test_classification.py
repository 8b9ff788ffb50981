"""The scorer of classes against scikit-learn, and against loops over the definitions where that has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from shared.evaluation.classification import ClassificationScorer

CASES = {"two": (2, [], []), "twelve": (12, [], []), "three never true": (12, [0, 5, 11], []),
         "three never there": (12, [0, 5, 11], [0, 5, 11]), "forty": (40, [], [])}


def names(classes):
    return [f"class {number}" for number in range(classes)]


def some(classes, never_true=(), never_answered=(), count=400, seed=0):
    """Random truth and probabilities that know it half of the time, with a zero here and there."""
    random = np.random.default_rng(seed)
    truth = random.choice(np.setdiff1d(np.arange(classes), never_true), count)
    known = random.choice([0, 0.4], (count, 1))
    probabilities = random.dirichlet(np.full(classes, 0.4), count) + known * np.eye(classes)[truth]
    probabilities[:, list(never_answered)] = 0
    probabilities[(random.random(probabilities.shape) < 0.1) & (probabilities < probabilities.max(1)[:, None])] = 0
    probabilities /= probabilities.sum(1, keepdims=True)
    return truth, probabilities.astype("float32")


def scored(truth, probabilities, order=None, answered=None, **options):
    scorer = ClassificationScorer(names(probabilities.shape[1]), **options)
    answered = probabilities.argmax(1) if answered is None else answered
    for i in range(len(truth)) if order is None else order:
        scorer.update({"label": truth[i], "image": np.full((4, 4), i % 256, "uint8"),
                       "meta": {"index": int(i), "file": f"{i}.png"}},
                      {"label": answered[i].astype("int32"), "probabilities": probabilities[i]})
    return scorer.report()


@pytest.fixture(params=CASES)
def case(request):
    return some(*CASES[request.param])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_metrics_are_those_of_scikit_learn(case):
    truth, probabilities = case
    got, answered = scored(truth, probabilities).metrics, probabilities.argmax(1)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, answered, average="macro", zero_division=0)
    want = {"accuracy": sk.accuracy_score(truth, answered), "precision": precision, "recall": recall, "f1": f1,
            "balanced_accuracy": sk.balanced_accuracy_score(truth, answered)}
    assert {key: got[key] for key in want} == pytest.approx(want, abs=1e-12)


def test_log_loss_is_that_of_scikit_learn_with_its_clipping(case):
    truth, probabilities = case
    assert (probabilities[np.arange(len(truth)), truth] == 0).any()
    want = sk.log_loss(truth, probabilities, labels=np.arange(probabilities.shape[1]))
    assert scored(truth, probabilities).metrics["log_loss"] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name", ["twelve", "three never true", "forty"])
def test_top_5_is_that_of_scikit_learn(name):
    truth, probabilities = some(*CASES[name])
    want = sk.top_k_accuracy_score(truth, probabilities, k=5, labels=np.arange(probabilities.shape[1]))
    assert 0 < want < 1
    assert scored(truth, probabilities).metrics["top_5_accuracy"] == pytest.approx(want)


def test_keys_are_the_fields_names():
    always = {"accuracy", "precision", "recall", "f1", "balanced_accuracy", "log_loss", "calibration_error"}
    assert scored(*some(2)).metrics.keys() == always
    assert scored(*some(5)).metrics.keys() == always
    report = scored(*some(12))
    assert report.metrics.keys() == always | {"top_5_accuracy"}
    assert all(type(value) is float for value in report.metrics.values())
    assert report.examples == 400
    assert set(report.tables["classes"][0]) == {"label", "precision", "recall", "f1", "support"}


def test_the_table_has_every_class_with_its_support(case):
    truth, probabilities = case
    classes = probabilities.shape[1]
    rows = scored(truth, probabilities).tables["classes"]
    columns = sk.precision_recall_fscore_support(truth, probabilities.argmax(1), labels=np.arange(classes),
                                                 zero_division=0)
    assert [row["label"] for row in rows] == names(classes)
    for key, want in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose([row[key] for row in rows], want, atol=1e-12)


def test_confusions_are_those_of_scikit_learn():
    truth, probabilities = some(*CASES["three never true"])
    report, answered = scored(truth, probabilities), probabilities.argmax(1)
    want = sk.confusion_matrix(truth, answered, labels=np.arange(12))
    assert report.figures["confusion"].values == want.tolist()
    rows = report.tables["confusions"]
    pairs = sorted(want[~np.eye(12, dtype=bool)], reverse=True)[:20]
    assert [row["count"] for row in rows] == [count for count in pairs if count]
    for row in rows:
        at = names(12).index(row["truth"]), names(12).index(row["predicted"])
        assert at[0] != at[1] and want[at] == row["count"]


def test_of_many_classes_the_most_confused_are_drawn():
    truth, probabilities = some(*CASES["forty"])
    figure, answered = scored(truth, probabilities).figures["confusion"], probabilities.argmax(1)
    wrong = truth != answered
    errors = np.bincount(truth[wrong], minlength=40) + np.bincount(answered[wrong], minlength=40)
    shown = [names(40).index(name) for name in figure.rows]
    assert len(shown) == 30 and shown == sorted(shown) and figure.columns == figure.rows
    assert min(errors[shown]) >= max(np.delete(errors, shown))
    whole = sk.confusion_matrix(truth, answered, labels=np.arange(40))
    assert figure.values == whole[np.ix_(shown, shown)].tolist()


def binned(truth, probabilities):
    """(examples, correct ones, sum of confidence) of 15 bins, each without its lower and with its upper edge."""
    bins = np.zeros((15, 3))
    for label, row in zip(truth, probabilities.astype(float), strict=True):
        confidence = row.max()
        for number in range(15):
            if number / 15 < confidence <= (number + 1) / 15:
                bins[number] += 1, row.argmax() == label, confidence
    return bins


def test_calibration_error_and_its_bins(case):
    truth, probabilities = case
    report, bins = scored(truth, probabilities), binned(truth, probabilities)
    assert bins[:, 0].sum() == len(truth)
    error = sum(n / len(truth) * abs(right / n - confidence / n) for n, right, confidence in bins if n)
    assert report.metrics["calibration_error"] == pytest.approx(error, abs=1e-9)
    curve = report.figures["reliability"]
    assert curve.bars == bins[:, 0].tolist()
    for x, y, (count, right, confidence) in zip(curve.x, curve.lines["accuracy"], bins, strict=True):
        if count:
            assert (x, y) == pytest.approx((confidence / count, right / count))
        else:
            assert np.isnan(y)


def test_full_confidence_lies_in_the_last_bin_and_none_in_the_first():
    bars = scored(np.array([0]), np.array([[1, 0]], "float32")).figures["reliability"].bars
    assert bars == [0] * 14 + [1]
    bars = scored(np.array([0]), np.array([[0, 0]], "float32")).figures["reliability"].bars
    assert bars == [1] + [0] * 14


def test_an_edge_belongs_to_the_bin_below():
    bars = scored(np.array([0]), np.array([[0.8, 0.2]])).figures["reliability"].bars  # 0.8 is 12 of 15
    assert np.flatnonzero(bars).tolist() == [11]


def by_sorting_all(truth, probabilities, most):
    answered = probabilities.argmax(1)
    return sorted((i for i in range(len(truth)) if answered[i] != truth[i]),
                  key=lambda i: (probabilities[i, truth[i]], i))[:most]


@pytest.mark.parametrize("most", [1, 7, 24, 1000])
def test_worst_mistakes_are_those_whose_truth_was_least_likely(most):
    truth, probabilities = some(12)
    probabilities = probabilities.round(1)  # many alike: the earlier example comes first
    report = scored(truth, probabilities, worst=most, picture=lambda example: example["image"])
    want = by_sorting_all(truth, probabilities, most)
    rows = report.tables["mistakes"]
    assert [row["index"] for row in rows] == want
    for row, picture, caption, i in zip(rows, report.figures["mistakes"].pictures,
                                        report.figures["mistakes"].captions, want, strict=True):
        answered = probabilities[i].argmax()
        assert row == {"index": i, "file": f"{i}.png", "truth": f"class {truth[i]}",
                       "predicted": f"class {answered}", "confidence": pytest.approx(probabilities[i].max())}
        assert (picture == i % 256).all()
        assert row["truth"] in caption and row["predicted"] in caption


def test_without_pictures_there_is_no_gallery():
    assert "mistakes" not in scored(*some(12)).figures
    right = scored(np.array([1]), np.array([[0, 1]], "float32"), picture=lambda example: example["image"])
    assert "mistakes" not in right.figures and right.tables["mistakes"] == []


def test_the_order_of_examples_changes_nothing():
    truth, probabilities = some(12)
    order = np.random.default_rng(1).permutation(len(truth))
    a, b = scored(truth, probabilities), scored(truth, probabilities, order)
    assert a.metrics == pytest.approx(b.metrics)
    assert a.tables == b.tables


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("classes", [2, 12])
def test_an_answer_that_is_no_number_is_wrong_whatever_its_label_says(classes, bad):
    truth, probabilities = some(classes, count=60)
    broken = np.arange(0, 60, 4)
    answered = probabilities.argmax(1)
    answered[broken] = truth[broken]
    probabilities[broken, -1] = bad
    got = scored(truth, probabilities, answered=answered).metrics
    sound = np.setdiff1d(np.arange(60), broken)
    right = answered[sound] == truth[sound]
    assert got["nan_answers"] == len(broken)
    assert got["accuracy"] == pytest.approx(right.sum() / 60)
    assert all(np.isfinite(value) for value in got.values())
    clip = np.finfo("float32").eps
    chances = probabilities[sound, truth[sound]].astype(float).clip(clip)
    assert got["log_loss"] == pytest.approx((len(broken) * -np.log(clip) - np.log(chances).sum()) / 60)
    if classes > 5:
        hits = (np.argsort(-probabilities[sound])[:, :5] == truth[sound, None]).any(1).sum()
        assert got["top_5_accuracy"] == pytest.approx(hits / 60)


def test_no_number_at_all_scores_nothing():
    got = scored(np.arange(12), np.full((12, 12), np.nan, "float32")).metrics
    assert {key: got[key] for key in ("accuracy", "recall", "f1", "calibration_error", "top_5_accuracy")} == {
        "accuracy": 0, "recall": 0, "f1": 0, "calibration_error": 1, "top_5_accuracy": 0}


def test_no_examples_are_no_number_and_no_exception():
    report = ClassificationScorer(names(12)).report()
    assert report.examples == 0 and all(np.isnan(value) for value in report.metrics.values())


def test_labels_that_are_numbers_are_shown_as_words():
    scorer = ClassificationScorer([10, 20])
    scorer.update({"label": 1, "meta": {"index": 0}}, {"label": 0, "probabilities": np.array([0.9, 0.1])})
    assert scorer.report().tables["mistakes"][0]["truth"] == "20"


@settings(deadline=None)
@given(st.integers(2, 8).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(
    st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1, max_size=30))))
@pytest.mark.filterwarnings("ignore")
def test_any_truth_and_answers_score_as_scikit_learn_says(drawn):
    classes, pairs = drawn
    truth, answered = np.array(pairs).T
    got = scored(truth, np.eye(classes, dtype="float32")[answered]).metrics
    want = [sk.accuracy_score(truth, answered), sk.balanced_accuracy_score(truth, answered),
            *(f(truth, answered, average="macro", zero_division=0)
              for f in (sk.precision_score, sk.recall_score, sk.f1_score))]
    assert [got[key] for key in ("accuracy", "balanced_accuracy", "precision", "recall", "f1")] == pytest.approx(want)
