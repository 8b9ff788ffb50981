import json
from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from shared.export import convert as conversion
from shared.export.child import run_module
from shared.export.convert import convert, operations
from shared.metadata import RECORD, describe
from shared.signature import Tensor

TYPES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def read(path):
    """(name, types of inputs, types of outputs) of each operation, read from the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        yield (NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)],
               *([TYPES[graph.tensors[index].type] for index in side if index >= 0]
                 for side in ([] if operator.inputs is None else operator.inputs, operator.outputs)))


def ends(path):
    run = Interpreter(str(path)).get_signature_runner("serving_default")
    return {name: (tuple(tensor["shape"]), tensor["dtype"]) for details in (
        run.get_input_details(), run.get_output_details()) for name, tensor in details.items()}


def answers(path, images):
    run = Interpreter(str(path)).get_signature_runner("serving_default")
    rows = [run(image=image[None]) for image in images]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def by_hand(untrained):
    """Probabilities of the Keras network alone, with preprocess and postprocess in NumPy."""
    images = (untrained.golden["image"].astype("float64") / 255 - 0.13) / 0.31
    logits = np.asarray(untrained.network(images.astype("float32"), training=False), float)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_operations_are_those_in_the_file(variant, request):
    path = request.getfixturevalue(variant)
    want = Counter(name + (":int8" if inputs[0] == outputs[0] == "INT8" else "")
                   for name, inputs, outputs in read(path))
    assert operations(path) == want


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_a_file_needs_builtin_operations_alone(variant, request):
    names = {name for name, _, _ in read(request.getfixturevalue(variant))}
    assert not names & {"CUSTOM", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"}


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_ends_are_raw_pixels_and_plain_answers(variant, request):
    assert ends(request.getfixturevalue(variant)) == {"image": ((1, 28, 28, 1), np.uint8), "label": ((1,), np.int32),
                                                      "probabilities": ((1, 10), np.float32)}


def test_the_float32_file_is_the_keras_pipeline(untrained, float32):
    got, want = answers(float32, untrained.golden["image"]), by_hand(untrained)
    assert len(set(want.argmax(1))) > 1
    np.testing.assert_allclose(got["probabilities"], want, atol=1e-5)
    np.testing.assert_array_equal(got["label"], want.argmax(1))


def test_int8_computes_in_integers_inside_the_network_and_only_there(int8):
    inside = {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"}
    counts = Counter()
    for name, inputs, outputs in read(int8):
        if name in inside:
            assert inputs[0] == outputs[0] == "INT8", name
            counts[name] += 1
        elif name not in ("QUANTIZE", "DEQUANTIZE"):
            assert "INT8" not in inputs + outputs, name
    assert counts == {"CONV_2D": 6, "DEPTHWISE_CONV_2D": 5, "MEAN": 1, "FULLY_CONNECTED": 1}
    assert {name for name in operations(int8) if name.endswith(":int8")} == {name + ":int8" for name in inside}


def test_int8_is_near_the_keras_pipeline(untrained, int8):
    got = answers(int8, untrained.golden["image"])["probabilities"]
    np.testing.assert_allclose(got, by_hand(untrained), atol=0.03)


def test_a_saved_model_that_is_not_there_is_a_reason(tmp_path):
    reason = convert(tmp_path / "none", "float32", tmp_path / "out.tflite", tmp_path / "none.npz")
    assert "conversion failed" in reason and "none" in reason and "\n" not in reason
    assert not (tmp_path / "out.tflite").exists()


def test_an_operation_that_phones_lack_is_a_reason_that_names_it(tmp_path):
    import tensorflow as tf
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": tf.math.betainc(x, x, x)},
                             input_signature=[tf.TensorSpec([1, 3], tf.float32, name="x")])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.run})
    (tmp_path / "saved" / "assets.extra").mkdir()
    (tmp_path / "saved" / "assets.extra" / RECORD).write_text(json.dumps(
        describe("app", "saved_model", {"serving_default": {"x": Tensor((3,), "float32")}})))
    reason = convert(tmp_path / "saved", "float32", tmp_path / "out.tflite", tmp_path / "none.npz")
    assert "conversion failed" in reason and "\n" not in reason
    assert not (tmp_path / "out.tflite").exists()
    assert "Betainc" in reason


def test_a_file_that_keeps_variables_is_refused(as_tflite, monkeypatch, tmp_path):
    import tensorflow as tf
    variable = tf.Variable(tf.zeros([1, 3]))

    class Counting:
        variables = [variable]

        def __call__(self, x):
            return {"y": variable.assign_add(x)}

    path = as_tflite(Counting(), x=([1, 3], "float32"))
    assert "VAR_HANDLE" in {name for name, _, _ in read(path)}
    monkeypatch.setattr(conversion, "run_module", lambda *_: None)
    assert "VAR_HANDLE" in convert(tmp_path, "float32", path, tmp_path)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Runs the code given as a module of its own by `run_module`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(code, *arguments):
        (tmp_path / "child_under_test.py").write_text(code)
        return run_module("child_under_test", *arguments)
    return run


@pytest.mark.parametrize("signal", [6, 9, 11])
def test_a_child_killed_by_a_signal_is_a_reason(child, signal):
    reason = child(f"import os; print('so far', flush=True); os.kill(os.getpid(), {signal})")
    assert f"signal {signal}" in reason


def test_an_exception_is_a_reason_in_a_line(child):
    assert child("raise ValueError('no such thing')") == "ValueError: no such thing"


def test_a_status_without_a_word_is_a_reason(child):
    assert "7" in child("import sys; sys.exit(7)")


def test_the_reason_is_the_exception_and_not_what_a_library_logs_after_it(child):
    code = ("import atexit, sys\n"
            "atexit.register(lambda: print('INFO: [registry.cc:43] Destroyed.', file=sys.stderr))\n"
            "raise ValueError('no such thing')")
    assert "no such thing" in child(code)


def test_a_child_that_ends_well_is_no_reason_and_has_its_arguments(child, tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2]); print('a warning', file=sys.stderr)"
    assert child(code, tmp_path / "written", "a b") is None
    assert (tmp_path / "written").read_text() == "a b"


def test_a_child_finds_this_project_from_any_folder(child, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert child("import shared.export.convert") is None
