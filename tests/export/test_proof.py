import base64
import json
import struct
import zlib

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from apps.mnist.app import Mnist
from apps.mnist.data import sample
from shared.app import Scorer
from shared.evaluation.report import Headline, Report
from shared.export import proof
from shared.export.proof import allowed_drop, decode, differing, drop, encode, golden_record, prove

SHARE, ERROR, HITS = Headline("accuracy"), Headline("error", False, "px"), Headline("hits", True, "")
NAN = float("nan")


@pytest.mark.parametrize("points, examples, allowed", [(0.5, 10_000, 0.005), (20, 10, 0.2), (100, 3, 1.0),
                                                       (0, 1000, 0.001), (0.5, 100, 0.01), (0.5, 200, 0.005)])
def test_of_a_share_so_many_points_or_one_example_may_be_lost(points, examples, allowed):
    for reference in (0.1, 1.0):
        assert allowed_drop(SHARE, reference, points, examples) == pytest.approx(allowed, abs=1e-8)
        assert allowed_drop(SHARE, reference, points, examples) >= allowed


@pytest.mark.parametrize("headline", [ERROR, HITS])
@pytest.mark.parametrize("reference, points, allowed", [(2.0, 5, 0.1), (300.0, 0.5, 1.5), (-2.0, 5, 0.1), (7.0, 0, 0)])
def test_of_another_unit_so_many_hundredths_of_the_reference_may_be_lost(headline, reference, points, allowed):
    assert allowed_drop(headline, reference, points, 10) == pytest.approx(allowed, abs=1e-8)


@given(st.integers(1, 2000), st.data())
@settings(deadline=None)
def test_one_example_lost_is_within_no_points_and_two_are_not(examples, data):
    right = data.draw(st.integers(0, examples))
    lost = drop(SHARE, right / examples, (right - 1) / examples)
    assert lost <= allowed_drop(SHARE, right / examples, 0, examples)
    lost = drop(SHARE, right / examples, (right - 2) / examples)
    assert lost > allowed_drop(SHARE, right / examples, 0, examples)


def test_a_drop_is_for_the_worse_in_both_directions():
    assert drop(SHARE, 0.9, 0.7) == pytest.approx(0.2)
    assert drop(SHARE, 0.7, 0.9) == pytest.approx(-0.2)
    assert drop(ERROR, 1.0, 1.5) == pytest.approx(0.5)
    assert drop(ERROR, 1.5, 1.0) == pytest.approx(-0.5)


def floats(*values):
    return {"x": np.array(values, "float32")}


def ints(*values):
    return {"x": np.array(values, "int32")}


@pytest.mark.parametrize("a, b, tolerance, far", [
    (floats(1, 2), floats(1, 2), 0, False),
    (floats(0.5), floats(0.5009), 1e-3, False),
    (floats(0.5), floats(0.5011), 1e-3, True),
    (floats(0.5, 300), floats(0.5 + 0.29, 300), 1e-3, False),  # a thousandth of 300
    (floats(0.5, 300), floats(0.5 + 0.31, 300), 1e-3, True),
    (floats(0.01), floats(0.0105), 1e-3, False),  # at least of 1
    (floats(-300), floats(-300.29), 1e-3, False),
    (floats(NAN), floats(1), 1, True),
    (floats(1), floats(NAN), 1, True),
    (floats(NAN), floats(NAN), 1, True),
    (floats(np.inf), floats(np.inf), 1, True),
    (ints(3, 4), ints(3, 4), 0, False),
    (ints(300, 4), ints(300, 5), 1, True),
    (floats(1, 2), floats(1), 1, True),
    ({"x": np.zeros((2, 1), "float32")}, {"x": np.zeros((1, 2), "float32")}, 1, True),
    ({"x": np.zeros((0, 3), "float32")}, {"x": np.zeros((0, 3), "float32")}, 0, False),
    (floats(1), {"y": np.array([1], "float32")}, 1, True),
])
def test_differing(a, b, tolerance, far):
    assert differing(a, b, tolerance) == (["x"] if far else [])


def test_only_those_that_differ_are_named():
    a = {"label": np.array([1]), "mask": np.array([0.2]), "score": np.array([0.5])}
    assert differing(a, {**a, "mask": np.array([0.9])}, 1e-3) == ["mask"]
    assert differing(a, {"label": np.array([2]), "score": np.array([NAN])}, 1e-3) == ["label", "mask", "score"]


DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool", ">f4", ">i2"]


@settings(deadline=None)
@given(st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))))
def test_arrays_come_back_from_json_with_dtype_and_shape(array):
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == array.dtype.newbyteorder("<") and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("array, format, dtype", [
    (np.array([[1.5, -2], [0, 3]], "float32"), "<4f", "float32"), (np.array([7, -7], ">i4"), "<2i", "int32"),
    (np.array(255, "uint8"), "<B", "uint8"), (np.arange(6, dtype="int32").reshape(2, 3).T, "<6i", "int32")])
def test_bytes_are_little_endian_by_rows(array, format, dtype):
    record = encode(array)
    assert (record["dtype"], record["shape"]) == (dtype, list(array.shape))
    assert base64.b64decode(record["base64"]) == struct.pack(format, *array.ravel().tolist())


def test_a_large_array_is_deflated_and_says_so():
    array = np.arange(40_000, dtype="int32") // 100
    record = json.loads(json.dumps(encode(array)))
    assert record["deflated"] and len(record["base64"]) < array.nbytes / 10
    assert zlib.decompress(base64.b64decode(record["base64"])) == struct.pack("<40000i", *array.tolist())
    np.testing.assert_array_equal(decode(record), array)
    assert "deflated" not in encode(array[:1000])


def test_golden_record_has_inputs_and_each_variants_answers():
    inputs, answers = {"image": np.arange(8, dtype="uint8").reshape(2, 4)}, {"label": np.array([1, 0], "int32")}
    record = json.loads(json.dumps(golden_record("serving_default", inputs, {"float32": answers, "int8": answers})))
    assert (record["signature"], record["examples"]) == ("serving_default", 2)
    np.testing.assert_array_equal(decode(record["inputs"]["image"]), inputs["image"])
    for variant in ("float32", "int8"):
        np.testing.assert_array_equal(decode(record["variants"][variant]["answers"]["label"]), answers["label"])
    assert record["variants"]["float32"]["tolerance"] < record["variants"]["int8"]["tolerance"]


VALIDATION = sample().splits["train"].select(np.arange(0, 5000, 50))


@pytest.fixture(scope="module")
def measured(float32):
    """The accuracy of the untrained file on 100 digits, counted by hand."""
    run = Interpreter(str(float32)).get_signature_runner("serving_default")
    columns = VALIDATION.take(np.arange(100))
    answers = [run(image=image[None])["label"][0] for image in columns["image"]]
    return float((answers == columns["label"]).sum()) / 100


def proven(untrained, packed, reference, max_drop, fixed=False, app=None):
    return prove(app or untrained.app, packed, "float32", reference, untrained.golden, VALIDATION, untrained.facts,
                 max_drop, fixed)


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(proof, "ROUNDS", 3)


def test_a_file_that_lost_more_than_allowed_fails(untrained, packed, measured, hurried):
    row = proven(untrained, packed, 1.0, 0).row
    assert not row["passed"] and "accuracy" in row["reason"] and "--max-drop" in row["reason"]
    assert row["score"] == pytest.approx(measured) and row["drop"] == pytest.approx(1 - measured)


@pytest.mark.parametrize("lost, max_drop, passed", [(0, 0, True), (0.01, 0, True), (0.02, 0, False), (0.02, 2, True),
                                                    (0.05, 4, False), (-0.05, 0, True)])
def test_the_gate_stands_where_it_is_said(lost, max_drop, passed, untrained, packed, measured, hurried):
    row = proven(untrained, packed, measured + lost, max_drop).row
    assert row["passed"] == passed and (row["reason"] is None) == passed


def test_a_sound_file_passes_in_both_runtimes_with_its_golden_answers(untrained, packed, float32, measured):
    found = proven(untrained, packed, measured, 0, fixed=True)
    assert found.row["passed"] and found.row["reason"] is None and found.row["latency_ms"] > 0
    run = Interpreter(str(float32)).get_signature_runner("serving_default")
    for row, image in enumerate(untrained.golden["image"]):
        assert found.answers["label"][row] == run(image=image[None])["label"][0]
    assert not differing(found.answers, proven(untrained, packed, measured, 0).answers, 1e-5)


class NoNumber(Scorer):
    def update(self, example, answer): ...

    def report(self):
        return Report({"accuracy": NAN})


class Unscored(Mnist):
    def scorer(self, facts):
        return NoNumber()


def test_a_score_that_is_no_number_fails(untrained, packed, hurried):
    row = proven(untrained, packed, 0.1, 100, app=Unscored()).row
    assert not row["passed"] and row["reason"]


def test_a_reference_that_is_no_number_fails(untrained, packed, hurried):
    assert not proven(untrained, packed, NAN, 100).row["passed"]
