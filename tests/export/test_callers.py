import re

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from shared.export.callers import CALLERS, Call, javascript, kotlin, python, shown, swift
from shared.signature import Tensor

DIGITS = Call("digits.tflite", "serving_default", {"image": Tensor((1, 28, 28, 1), "uint8")},
              {"label": Tensor((1,), "int32"), "probabilities": Tensor((1, 10), "float32")})
MIXED = Call("mixed.tflite", "serving_default",
             {"picture": Tensor((1, 4, 5, 3), "uint8"), "lengths": Tensor((1,), "int32"),
              "sound": Tensor((1, 6, 2), "float32")},
             {"mask": Tensor((1, 4, 5), "uint8"), "counts": Tensor((1,), "int32"), "sums": Tensor((1, 2), "float32")})
SCALAR = Call("scalar.v2.tflite", "serving_default", {"x": Tensor((1,), "float32")}, {"y": Tensor((), "float32")})
CALLS = pytest.mark.parametrize("call", [DIGITS, MIXED, SCALAR], ids=lambda call: call.file)


def run_as_written(code, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    return names


def test_the_python_caller_of_a_network_runs_as_written(untrained, float32, tmp_path, monkeypatch):
    (tmp_path / "digits.tflite").write_bytes(float32.read_bytes())
    names = run_as_written(python(DIGITS), tmp_path, monkeypatch)
    want = Interpreter(str(float32)).get_signature_runner("serving_default")(image=np.zeros((1, 28, 28, 1), "uint8"))
    for name, array in want.items():
        assert names[name].dtype == array.dtype == DIGITS.outputs[name].dtype
        np.testing.assert_array_equal(names[name], array)
        assert names[name].shape == DIGITS.outputs[name].shape


def test_the_python_caller_of_several_inputs_runs_as_written(as_tflite, tmp_path, monkeypatch):
    import tensorflow as tf

    def function(picture, lengths, sound):
        return {"mask": picture[..., 0], "counts": lengths + 3, "sums": tf.reduce_sum(sound, 1) + 0.5}

    path = as_tflite(function, **{name: (tensor.shape, tensor.dtype) for name, tensor in MIXED.inputs.items()})
    (tmp_path / "mixed.tflite").write_bytes(path.read_bytes())
    names = run_as_written(python(MIXED), tmp_path, monkeypatch)
    for name, value in (("mask", 0), ("counts", 3), ("sums", 0.5)):
        assert names[name].dtype == MIXED.outputs[name].dtype and names[name].shape == MIXED.outputs[name].shape
        assert (names[name] == value).all()


def test_an_open_length_is_shown_and_called_with_one():
    call = Call("open.tflite", "serving_default", {"x": Tensor((None, 3), "float32")}, {"y": Tensor((None,), "int32")})
    assert shown(call.inputs["x"]) == "float32 [?, 3]"
    assert "np.zeros((1, 3), np.float32)" in python(call) and "int32 [?]" in python(call)


def count(tensor):
    return int(np.zeros(tensor.shape, tensor.dtype).size)


def size(tensor):
    return np.zeros(tensor.shape, tensor.dtype).nbytes


@CALLS
def test_every_caller_names_file_signature_and_tensors(call):
    for language, (_, write) in CALLERS.items():
        code = write(call)
        stem, ending = call.file.rsplit(".", 1)
        assert call.file in code or (f'"{stem}"' in code and f'"{ending}"' in code), language
        assert call.signature in code, language
        for name, tensor in {**call.inputs, **call.outputs}.items():
            assert re.search(rf"\b{name}\b", code), (language, name)
            if name in call.inputs:
                assert any("yours" in line for line in code.splitlines() if re.search(rf"\b{name}\b", line)), language
            elif language != "Swift (iOS)":
                assert shown(tensor) in code, (language, name)


@CALLS
def test_kotlin_allocates_the_bytes_of_each_tensor_and_reads_its_type(call):
    code = kotlin(call)
    allocated = dict(re.findall(r"val (\w+) = ByteBuffer\.allocateDirect\((\d+)\)\.order\(ByteOrder\.native", code))
    assert {name: int(bytes_) for name, bytes_ in allocated.items()} == {
        name: size(tensor) for name, tensor in {**call.inputs, **call.outputs}.items()}
    arrays = {"float32": "FloatArray", "int32": "IntArray"}
    for name, tensor in call.outputs.items():
        read = re.search(rf"{name}Values = (\w+)\((\d+)\)", code)
        if tensor.dtype == "uint8":
            assert read is None and f"{name}.rewind()" in code
        else:
            assert read.groups() == (arrays[tensor.dtype], str(count(tensor)))
    given, taken = re.search(r"runSignature\(mapOf\((.*?)\), mapOf\((.*?)\), \"serving_default\"\)", code).groups()
    assert given == ", ".join(f'"{name}" to {name}' for name in call.inputs)
    assert taken == ", ".join(f'"{name}" to {name}' for name in call.outputs)


@CALLS
def test_swift_gives_the_bytes_of_each_input_and_reads_each_outputs_type(call):
    code = swift(call)
    given = dict(re.findall(r"let (\w+) = Data\(count: (\d+)\)", code))
    assert {name: int(bytes_) for name, bytes_ in given.items()} == {
        name: size(tensor) for name, tensor in call.inputs.items()}
    types = {"float32": "Float32", "int32": "Int32", "uint8": "UInt8"}
    taken = re.findall(r'let (\w+) = try runner\.output\(named: "(\w+)"\).*?to: (\w+)\.self', code)
    assert taken == [(name, name, types[tensor.dtype]) for name, tensor in call.outputs.items()]
    assert f"invoke(with: [{', '.join(f'{chr(34)}{name}{chr(34)}: {name}' for name in call.inputs)}])" in code


@CALLS
def test_javascript_gives_each_inputs_type_length_and_shape(call):
    code = javascript(call)
    types = {"float32": "Float32Array", "int32": "Int32Array", "uint8": "Uint8Array"}
    given = re.findall(r"const (\w+) = new Tensor\(new (\w+)\((\d+)\), \[([\d, ]*)\]\)", code)
    assert given == [(name, types[tensor.dtype], str(count(tensor)), ", ".join(map(str, tensor.shape)))
                     for name, tensor in call.inputs.items()]
    taken = re.findall(r"const (\w+) = await answer\.(\w+)\.data\(\);  // (\w+)", code)
    assert taken == [(name, name, types[tensor.dtype]) for name, tensor in call.outputs.items()]
    assert f"model.run('serving_default', {{{', '.join(call.inputs)}}})" in code


@CALLS
def test_brackets_are_closed(call):
    for language, (_, write) in CALLERS.items():
        code = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", write(call))
        for opening, closing in ("()", "[]", "{}"):
            assert code.count(opening) == code.count(closing), (language, opening)


@pytest.mark.parametrize("language", ["Kotlin (Android)", "Swift (iOS)", "JavaScript (browser)"])
def test_an_input_and_an_output_of_one_name_are_two_things(language):
    call = Call("denoise.tflite", "serving_default", {"image": Tensor((1, 4, 4, 3), "uint8")},
                {"image": Tensor((1, 4, 4, 3), "float32")})
    code = CALLERS[language][1](call)
    declared = re.findall(r"\b(?:val|let|const) (\w+)", code)
    assert len(declared) == len(set(declared)), declared
    if language.startswith("Kotlin"):
        assert sorted(re.findall(r"allocateDirect\((\d+)\)", code)) == ["192", "48"]
