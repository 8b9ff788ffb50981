import numpy as np
import pytest

from shared.app import App
from shared.data.dataset import Split, Varied
from shared.evaluation import answering as module
from shared.evaluation.answering import answering, in_batches
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.facts import Facts
from shared.signature import Tensor

INPUTS = {"x": Tensor((3,), "float32")}


class Summing(App):
    """The sum of a line of any length, from a model that sums three numbers."""

    def cut(self, raw, inputs, facts):
        width = inputs["x"].shape[0]
        padded = np.pad(raw["x"], (0, -len(raw["x"]) % width))
        return ({"x": part} for part in padded.reshape(-1, width))

    def join(self, raw, answers, inputs, facts):
        pieces = -(-len(raw["x"]) // inputs["x"].shape[0])
        return {"sum": sum(next(answers)["sum"] for _ in range(pieces))}

    load = learn_facts = scorer = read_input = golden = show = to_json = None


Summing.__abstractmethods__ = frozenset()


@pytest.mark.parametrize("most", [1, 2, 5, 256])
def test_inputs_of_any_length_are_cut_answered_and_joined_in_order(most, monkeypatch):
    monkeypatch.setattr("shared.app.MOST_PIECES", most)
    random, sizes = np.random.default_rng(0), []
    rows = [{"x": random.random(length, np.float32), "y": 1} for length in (1, 3, 4, 9, 31, 2)]

    def predict(raw):
        sizes.append(len(raw["x"]))
        return {"sum": raw["x"].sum(1)}

    got = [answer["sum"] for answer in answering(Summing(), predict, INPUTS, Facts())(rows)]
    np.testing.assert_allclose(got, [row["x"].sum() for row in rows], rtol=1e-5)
    assert max(sizes) <= most and sum(sizes) == 1 + 1 + 2 + 3 + 11 + 1


def test_pieces_are_made_no_earlier_than_a_call_needs_them():
    made = []

    def pieces():
        for number in range(100):
            made.append(number)
            yield {"x": np.zeros(1)}

    answers = in_batches(lambda raw: {"y": raw["x"]}, pieces(), 4)
    next(answers)
    assert len(made) == 4


def test_large_pieces_go_in_small_batches(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    sizes = []
    list(in_batches(lambda raw: sizes.append(len(raw["x"])) or {"y": raw["x"]},
                    ({"x": np.zeros(40, np.uint8)} for _ in range(5))))
    assert sizes == [2, 2, 1]


def test_a_split_of_rows_of_differing_shape_is_scored():
    class Sums:
        def __init__(self):
            self.seen = []

        def update(self, example, answer):
            self.seen.append((example["x"].sum(), answer["sum"]))

        def report(self):
            return Report({"right": sum(abs(a - b) < 1e-5 for a, b in self.seen)})

    lines = [np.arange(length, dtype=np.float32) for length in (2, 7, 5)]
    split = Split({"x": Varied(lines, lambda line: line)})
    answer = answering(Summing(), lambda raw: {"sum": raw["x"].sum(1)}, INPUTS, Facts())
    assert score(answer, split, Sums()).metrics == {"right": 3}
