"""Ensembles against SciPy's geometric mean, and what is no ensemble."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gmean
from sklearn.metrics import log_loss

from apps.mnist.app import Mnist
from apps.segment.app import Segment
from apps.text.app import Text
from shared.data.dataset import Split
from shared.data.text_bytes import to_bytes
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.classification import averaged, averaging_labels
from shared.evaluation.ensemble import Member, score_ensemble
from shared.facts import Facts
from shared.signature import Tensor

COUNT, LABELS = 23, list("abcde")
RANDOM = np.random.default_rng(0)
TRUTH = np.sort(RANDOM.integers(0, 5, COUNT))
SIDES = (4, 6)
WEIGHTS = [RANDOM.normal(size=(side * side, 5)) / 100 for side in SIDES]
IMAGES = [RANDOM.integers(0, 256, (COUNT, side, side, 1)).astype("uint8") for side in SIDES]
SEEDS = [{"splits": {"seed": seed, "test": 0.2, "validation": 0.1}} for seed in (0, 1)]


def shares(images, weights):
    outputs = np.exp(images.reshape(len(images), -1) / 255 @ weights * 50)
    return (outputs / outputs.sum(1, keepdims=True)).astype("float32")


def member(number=0, heard=None, images=None, truth=TRUTH, **facts):
    """Fake image classifiers; `heard` is told of each call."""
    def predict(raw):
        (heard if heard is not None else []).append((number, len(raw["image"])))
        given = shares(raw["image"], WEIGHTS[number])
        return {"label": given.argmax(1).astype("int32"), "probabilities": given}
    known = Facts({"labels": LABELS, **SEEDS[0], **facts})
    images = IMAGES[number] if images is None else images
    inputs = {"image": Tensor(images.shape[1:], "uint8")}
    return Member(known, answering(Mnist(), predict, inputs, known), Split({"image": images, "label": truth}))


# The average

@pytest.mark.parametrize("members,classes", [(1, 4), (2, 2), (3, 10), (5, 300)])
def test_an_average_is_the_geometric_mean_with_the_sum_made_1(members, classes):
    given = np.random.default_rng(classes).dirichlet(np.full(classes, 0.3), members).astype("float32")
    given = np.maximum(given, 1e-30)
    mean = gmean(given.astype("float64"), axis=0)
    made = averaged([{"label": row.argmax(), "probabilities": row} for row in given])
    np.testing.assert_allclose(made["probabilities"], mean / mean.sum(), rtol=1e-5)
    assert made["label"] == mean.argmax() and made["probabilities"].shape == (classes,)
    assert (made["label"].dtype, made["probabilities"].dtype) == (np.int32, np.float32)


def test_a_probability_of_0_is_the_smallest_normal_number():
    certain, torn = np.float32([1, 0, 0]), np.float32([0, 1, 1]) / 2
    made = averaged([{"probabilities": certain}, {"probabilities": torn}])
    mean = gmean(np.maximum([certain, torn], np.finfo("float32").tiny).astype("float64"), axis=0)
    np.testing.assert_allclose(made["probabilities"], mean / mean.sum(), rtol=1e-5)
    assert np.isfinite(made["probabilities"]).all() and made["label"] == 0
    agreed = averaged([{"probabilities": certain}, {"probabilities": certain}])
    assert agreed["label"] == 0 and agreed["probabilities"] == pytest.approx([1, 0, 0], abs=1e-30)


def test_what_is_no_number_stays_none():
    made = averaged([{"probabilities": np.float32([np.nan, 1])}, {"probabilities": np.float32([0.5, 0.5])}])
    assert np.isnan(made["probabilities"]).any()


@pytest.mark.parametrize("labels", [["b", "a"], ["a", "b", "c"], None])
def test_artifacts_of_other_classes_are_not_averaged(labels):
    with pytest.raises(UserError, match="different classes"):
        averaging_labels([Facts({"labels": ["a", "b"]}), Facts({"labels": labels})])


# A split

@pytest.mark.parametrize("most", [1, 4, 256])
def test_a_split_is_scored_by_the_average_in_step(most, monkeypatch):
    monkeypatch.setattr("shared.app.MOST_PIECES", most)
    heard, advanced = [], []
    report = score_ensemble(Mnist(), [member(number, heard) for number in (0, 1)], advanced.append)
    mean = gmean([shares(images, weights).astype("float64") for images, weights in zip(IMAGES, WEIGHTS, strict=True)])
    mean /= mean.sum(1, keepdims=True)
    alone = [shares(images, weights) for images, weights in zip(IMAGES, WEIGHTS, strict=True)]
    assert all((mean.argmax(1) != own.argmax(1)).any() for own in alone)
    assert report.examples == COUNT == sum(advanced)
    assert report.metrics["accuracy"] == pytest.approx((mean.argmax(1) == TRUTH).mean())
    assert report.metrics["log_loss"] == pytest.approx(log_loss(TRUTH, mean, labels=range(5)), abs=1e-5)
    sizes = [min(most, COUNT - start) for start in range(0, COUNT, most)]
    assert heard == [(number, size) for size in sizes for number in (0, 1)]


def test_pictures_and_the_scorer_are_those_of_the_first():
    class Witness(Mnist):
        def scorer(self, facts):
            asked.append(facts)
            return super().scorer(facts)
    asked, members = [], [member(1), member(0)]
    report = score_ensemble(Witness(), members)
    assert {picture.shape for picture in report.figures["mistakes"].pictures} == {(6, 6)}
    assert len(asked) == 1 and asked[0] is members[0].facts


def test_an_app_that_cannot_average_has_no_ensemble_and_is_not_asked():
    heard = []
    assert score_ensemble(Segment(), [member(number, heard) for number in (0, 1)]) is None and not heard


def shuffled(given):
    return np.random.default_rng(1).permutation(given)


@pytest.mark.parametrize("change", [
    lambda one: replace(one, split=one.split.select(np.arange(COUNT - 1))),
    lambda one: replace(one, split=Split({**one.split.columns, "label": shuffled(TRUTH)})),
    lambda one: replace(one, split=Split(one.split.columns, {"file": list(map(str, range(COUNT)))}))])
def test_examples_that_differ_are_refused(change):
    heard = []
    with pytest.raises(UserError, match="different examples"):
        score_ensemble(Mnist(), [member(0, heard), change(member(1, heard))])
    assert not heard


def test_draws_from_sorted_data_are_alike_in_truth_and_refused_all_the_same():
    other = IMAGES[0].copy()
    assert score_ensemble(Mnist(), [member(), member(images=other, **SEEDS[1])])  # the data brought their split
    other[-1] += 1
    with pytest.raises(UserError, match="different examples"):
        score_ensemble(Mnist(), [member(), member(images=other, **SEEDS[1])])
    with pytest.raises(UserError, match="different examples"):
        score_ensemble(Mnist(), [member(0), member(1, **SEEDS[1])])


def test_examples_of_the_same_files_are_the_same_whatever_the_seed():
    def filed(one, name):
        return replace(one, split=Split(one.split.columns, {"file": [f"{name}{row}.png" for row in range(COUNT)]}))
    assert score_ensemble(Mnist(), [filed(member(0), "a"), filed(member(1, **SEEDS[1]), "a")])
    with pytest.raises(UserError, match="different examples"):
        score_ensemble(Mnist(), [filed(member(0), "a"), filed(member(1), "b")])


def test_the_looks_of_a_scorer_at_mistakes_are_answered_by_all():
    """Of texts: each word is hidden, and the average's answer moves by what each member says of it."""
    texts = ["good film", "bad film"]
    split = Split({"text": to_bytes(texts), "label": np.array([0, 1])}, {"file": ["1", "2"]})
    facts = Facts({"labels": ["bad", "good"], "max_bytes": 32, "tokens": {"max_tokens": 32}, **SEEDS[0]})

    def judge(word):
        def predict(raw):
            good = np.array([0.9 if word in bytes(row.astype("uint8")).decode() else 0.5 for row in raw["text"]])
            return {"label": (good > 0.5).astype("int32"), "probabilities": np.stack([1 - good, good], 1)}
        return Member(facts, answering(Text(), predict, {"text": Tensor((32,), "int32")}, facts), split)
    made = score_ensemble(Text(), [judge("good"), judge("film")])
    worst = made.tables["mistakes"][0]  # 0.9 by both; where one is torn, the average is 0.75
    assert worst["text"] == "good film" and worst["moved_by"] == "good (+15), film (+15)"
