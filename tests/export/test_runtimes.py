from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from shared.app import Scorer
from shared.data.dataset import Split
from shared.evaluation.report import Headline, Report
from shared.export import proof
from shared.export.proof import differing, prove
from shared.export.runtimes import in_both
from shared.facts import Facts
from shared.metadata import describe, pack
from shared.signature import Tensor

TIMES, CLASSES = 50, 9
SCORES = np.random.default_rng(0).normal(size=(3, TIMES, CLASSES)).astype("float32")


def test_both_answer_each_row_and_alike(untrained, float32, tmp_path):
    classic, newer = in_both(float32, untrained.golden, tmp_path)
    assert classic.keys() == newer.keys() == {"label", "probabilities"}
    run = Interpreter(str(float32)).get_signature_runner("serving_default")
    for row, image in enumerate(untrained.golden["image"]):
        want = run(image=image[None])
        for answers in (classic, newer):
            assert answers["label"][row] == want["label"]
            np.testing.assert_allclose(answers["probabilities"][row], want["probabilities"][0], atol=1e-5)


def test_integers_and_several_inputs_reach_both_by_name(as_tflite, tmp_path):
    def function(a, b, c):
        return {"first": b + 1, "second": c * c, "third": a[:, ::-1]}

    path = as_tflite(function, a=([1, 4], "uint8"), b=([1], "int32"), c=([1, 2, 3], "float32"))
    random = np.random.default_rng(0)
    given = {"c": random.random((5, 2, 3), np.float32), "a": random.integers(0, 256, (5, 4)).astype("uint8"),
             "b": random.integers(-9, 9, 5).astype("int32")}
    for answers in in_both(path, given, tmp_path):
        assert answers["first"].dtype == np.int32 and answers["third"].dtype == np.uint8
        np.testing.assert_array_equal(answers["first"], given["b"] + 1)
        np.testing.assert_allclose(answers["second"], given["c"] ** 2, rtol=1e-6)
        np.testing.assert_array_equal(answers["third"], given["a"][:, ::-1])


@pytest.mark.parametrize("part", [0.5, 0.9])
def test_half_a_file_is_a_reason(part, float32, untrained, tmp_path):
    content = float32.read_bytes()
    (tmp_path / "half.tflite").write_bytes(content[:int(len(content) * part)])
    reason = in_both(tmp_path / "half.tflite", untrained.golden, tmp_path)
    assert isinstance(reason, str) and "LiteRT failed" in reason and "\n" not in reason


def test_inputs_that_do_not_fit_are_a_reason(float32, tmp_path):
    reason = in_both(float32, {"image": np.zeros((1, 28, 28, 1), "float32")}, tmp_path)
    assert isinstance(reason, str) and "LiteRT failed" in reason


@pytest.fixture(scope="module")
def loop(as_tflite):
    """The best class at each time, in a loop whose tensor has a shape that the converter cannot infer."""
    import tensorflow as tf

    def best(scores):
        count = tf.shape(scores)[1]

        def step(time, tags):
            tag = tf.argmax(scores[0, time], output_type=tf.int32)
            return time + 1, tf.tensor_scatter_nd_update(tags, [[0, time]], tag[None])
        return {"tags": tf.while_loop(lambda time, _: time < count, step, (0, tf.fill([1, count], -1)))[1]}

    return as_tflite(best, scores=([1, TIMES, CLASSES], "float32"))


def test_a_file_can_be_right_in_the_interpreter_and_garbage_in_compiled_model(loop, tmp_path):
    classic, newer = in_both(loop, {"scores": SCORES[:1]}, tmp_path)
    np.testing.assert_array_equal(classic["tags"], SCORES[:1].argmax(-1))
    assert differing(classic, newer, 1e-3) == ["tags"]


class AllRight(Scorer):
    def update(self, example, answer):
        np.testing.assert_array_equal(answer["tags"], example["scores"].argmax(-1))

    def report(self):
        return Report({"accuracy": 1.0})


def proven(loop, tmp_path, golden):
    file, facts = tmp_path / "loop.tflite", Facts({"labels": list("abcdefghi")})
    inputs = {"serving_default": {"scores": Tensor((TIMES, CLASSES), "float32")}}
    file.write_bytes(pack(loop.read_bytes(), describe("app", "float32", inputs), facts))
    app = SimpleNamespace(headline=Headline("accuracy"), scorer=lambda facts: AllRight(),
                          cut=lambda raw, *_: [raw], join=lambda raw, answers, *_: next(answers),
                          at_once=lambda facts: 256)
    return prove(app, file, "float32", 1.0, {"scores": golden}, Split({"scores": SCORES}), facts, 100.0, True)


def test_such_a_file_is_refused_by_the_names_of_both_runtimes(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "ROUNDS", 1)
    row = proven(loop, tmp_path, SCORES[:1]).row
    assert not row["passed"] and row["score"] == 1.0 and row["drop"] == 0
    assert all(name in row["reason"] for name in ("Interpreter", "CompiledModel", "tags"))


def test_such_a_file_is_refused_by_more_than_one_golden_answer_too(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "ROUNDS", 1)
    row = proven(loop, tmp_path, SCORES).row
    assert not row["passed"] and "CompiledModel" in row["reason"]
