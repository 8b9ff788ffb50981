import contextlib
import io
import json
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.facts import Facts
from shared.metadata import describe, inputs_of, pack, unpack
from shared.signature import Tensor

INPUTS = {"serving_default": {"image": Tensor((4, 4, 1), "uint8"), "length": Tensor((None,), "int32")},
          "encode": {"text": Tensor((7,), "int32")}}
RECORD = describe("app", "int8", INPUTS, trained={"epochs": 3})
FACTS = Facts({"labels": ["eins", "二", "3"], "mean": 0.5}, {"table": np.arange(3, dtype="float32")})
MODEL = b"\x1c\0\0\0TFL3" + bytes(range(200))


def unpacked(content, tmp_path):
    (tmp_path / "file.tflite").write_bytes(content)
    return unpack(tmp_path / "file.tflite")


def same(found):
    model, record, facts = found
    return (model == MODEL and {key: record[key] for key in RECORD} == RECORD and facts.values == FACTS.values
            and {name: array.tolist() for name, array in facts.arrays.items()} == {"table": [0, 1, 2]})


def test_all_comes_back(tmp_path):
    assert same(unpacked(pack(MODEL, RECORD, FACTS), tmp_path))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_model_comes_back(tmp_path_factory, body):
    model = b"\0\0\0\0TFL3" + body
    assert unpacked(pack(model, RECORD, FACTS), tmp_path_factory.getbasetemp())[0] == model


def test_inputs_are_read_by_signature():
    assert inputs_of(json.loads(json.dumps(RECORD))) == INPUTS["serving_default"]
    assert inputs_of(RECORD, "encode") == INPUTS["encode"]


def test_the_model_stands_first_and_any_zip_tool_reads_the_rest(tmp_path):
    content = pack(MODEL, RECORD, FACTS)
    assert content.startswith(MODEL)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"pocketconv.json", "facts.json", "facts.npz", "labels.txt"}
        assert archive.read("labels.txt").decode().split("\n") == FACTS["labels"]
        assert json.loads(archive.read("facts.json")) == FACTS.values
        assert json.loads(archive.read("pocketconv.json"))["trained"] == {"epochs": 3}


def test_without_labels_there_is_no_list_of_them():
    with zipfile.ZipFile(io.BytesIO(pack(MODEL, RECORD, Facts({"mean": 1})))) as archive:
        assert "labels.txt" not in archive.namelist()


def test_equal_contents_are_equal_bytes_on_another_day(monkeypatch):
    first = pack(MODEL, RECORD, FACTS)
    later = time.time() + 100_000
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        assert pack(MODEL, RECORD, FACTS) == first


def test_the_end_missing_is_a_user_error_wherever_it_ends(tmp_path):
    content = pack(MODEL, RECORD, FACTS)
    for end in range(len(content)):
        with pytest.raises(UserError):
            unpacked(content[:end], tmp_path)


def test_a_flipped_byte_in_the_model_is_a_user_error(tmp_path):
    content = pack(MODEL, RECORD, FACTS)
    for at in range(len(MODEL)):
        with pytest.raises(UserError):
            unpacked(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:], tmp_path)


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xff])
def test_a_flipped_byte_behind_the_model_is_harmless_or_a_user_error(bits, tmp_path):
    content = pack(MODEL, RECORD, FACTS)
    for at in range(len(MODEL), len(content)):
        damaged = content[:at] + bytes([content[at] ^ bits]) + content[at + 1:]
        with contextlib.suppress(UserError):
            assert same(unpacked(damaged, tmp_path)), f"other contents by byte {at}"


def zipped(files):
    buffer = io.BytesIO(MODEL)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("content, told", [
    (b"", "no .tflite"), (b"PK\3\4 and more", "no .tflite"), (MODEL, "not exported by pocketconv"),
    (zipped({"labels.txt": "a\nb"}), "not exported by pocketconv"),
    (zipped({"pocketconv.json": "{", "facts.json": "{}"}), "export the run again"),
    (zipped({"pocketconv.json": "{}", "facts.json": "{}"}), "export the run again"),
])
def test_a_file_of_others_is_told_in_one_sentence(content, told, tmp_path):
    with pytest.raises(UserError, match=told) as caught:
        unpacked(content, tmp_path)
    message = str(caught.value)
    assert "file.tflite" in message and "\n" not in message and message.endswith(".")


def test_a_missing_file_and_a_folder_are_user_errors(tmp_path):
    for path in (tmp_path / "none.tflite", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            unpack(path)


def test_another_format_is_named(tmp_path):
    with pytest.raises(UserError, match="format 99"):
        unpacked(pack(MODEL, {**RECORD, "format": 99}, FACTS), tmp_path)


def test_litert_answers_alike_with_and_without_it(tmp_path):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    weights = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    module = tf.Module()
    module.run = tf.function(lambda image: {"scores": tf.matmul(tf.reshape(image, [1, 16]), weights)},
                             input_signature=[tf.TensorSpec([1, 4, 4, 1], tf.float32, name="image")])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.run})
    model = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    image = np.random.default_rng(1).random((1, 4, 4, 1), np.float32)
    (tmp_path / "packed.tflite").write_bytes(pack(model, RECORD, FACTS))
    plain = Interpreter(model_content=model).get_signature_runner()(image=image)["scores"]
    packed = Interpreter(str(tmp_path / "packed.tflite")).get_signature_runner()(image=image)["scores"]
    np.testing.assert_array_equal(packed, plain)
    np.testing.assert_allclose(packed, image.reshape(1, 16) @ weights, rtol=1e-5)
