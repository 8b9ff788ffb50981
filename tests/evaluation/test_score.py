import numpy as np
import pytest

from apps.mnist.app import Mnist
from shared.app import Scorer
from shared.data.dataset import Decoded, Split
from shared.evaluation.answering import answering
from shared.evaluation.classification import ClassificationScorer
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.facts import Facts
from shared.signature import Tensor

COUNT = 23
RANDOM = np.random.default_rng(0)
SPLIT = Split({"image": RANDOM.integers(0, 256, (COUNT, 4, 4, 1)).astype("uint8"),
               "scale": RANDOM.random(COUNT, np.float32), "label": RANDOM.integers(0, 6, COUNT)},
              {"file": [f"{i}.png" for i in range(COUNT)], "speaker": list("ab") * 11 + ["a"]})
WEIGHTS = RANDOM.normal(size=(16, 6))


def predict(raw):
    assert raw.keys() == {"image", "scale"}
    outputs = np.exp(raw["image"].reshape(-1, 16) / 255 @ WEIGHTS * raw["scale"][:, None])
    probabilities = (outputs / outputs.sum(1, keepdims=True)).astype("float32")
    return {"label": probabilities.argmax(1).astype("int32"), "probabilities": probabilities}


def answer(predict=predict):
    inputs = {"image": Tensor((4, 4, 1), "uint8"), "scale": Tensor((), "float32")}
    return answering(Mnist(), predict, inputs, Facts())


class Witness(Scorer):
    def __init__(self):
        self.seen = []

    def update(self, example, answer):
        self.seen.append((example, answer))

    def report(self):
        return Report({"seen": len(self.seen)})


@pytest.mark.parametrize("batch_size", [1, 2, 7, COUNT - 1, COUNT, 1000])
def test_batches_of_any_size_give_the_same_report(batch_size):
    def report(size):
        scorer = ClassificationScorer(list("abcdef"), lambda example: example["image"].squeeze())
        return score(answer(), SPLIT, scorer, size)
    want, got = report(5), report(batch_size)
    assert got.to_json() == want.to_json()
    np.testing.assert_array_equal(got.figures["mistakes"].pictures, want.figures["mistakes"].pictures)


@pytest.mark.parametrize("batch_size", [1, 5, COUNT, 1000])
def test_every_example_reaches_the_scorer_once_with_its_answer_meta_and_index(batch_size):
    witness, advanced = Witness(), []
    report = score(answer(), SPLIT, witness, batch_size, advanced.append)
    assert report.metrics == {"seen": COUNT} and sum(advanced) == COUNT
    answers = predict({"image": SPLIT.columns["image"], "scale": SPLIT.columns["scale"]})
    for i, (example, given) in enumerate(witness.seen):
        assert example["meta"] == {"index": i, "file": f"{i}.png", "speaker": "ab"[i % 2]}
        assert example.keys() == {"image", "scale", "label", "meta"} and given.keys() == answers.keys()
        for name in SPLIT.columns:
            np.testing.assert_array_equal(example[name], SPLIT.columns[name][i])
        assert given["label"] == answers["label"][i]
        np.testing.assert_allclose(given["probabilities"], answers["probabilities"][i], rtol=1e-6)


def test_files_are_read_once_a_batch_and_never_all_at_once():
    read = []

    def decode(item):
        read.append(item)
        return np.full((4, 4, 1), item, "uint8")

    split = Split({"image": Decoded(range(COUNT), decode), "scale": np.ones(COUNT, "float32")})
    largest = []

    def spying(raw):
        largest.append(len(raw["image"]))
        return predict(raw)

    score(answer(spying), split, Witness(), 4)
    assert read[-COUNT:] == list(range(COUNT)) and read[:-COUNT] in ([], [0]) and largest == [4, 4, 4, 4, 4, 3]


def test_an_empty_split_is_a_report_of_nothing():
    assert score(answer(), SPLIT.select(np.arange(0)), Witness()).metrics == {"seen": 0}
