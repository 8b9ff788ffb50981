import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from shared.errors import UserError
from shared.evaluation.predictors import open_artifact

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype("uint8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A SavedModel of an untrained classifier, its .tflite as converted and as shipped, and its Keras answers."""
    from apps.mnist.app import Mnist, Settings
    from shared.export.convert import convert
    from shared.export.saved_model import write_saved_model
    from shared.facts import Facts
    from shared.metadata import pack
    folder, app = tmp_path_factory.mktemp("made"), Mnist()
    facts = Facts({"labels": list("0123456789"), "image_size": [28, 28], "channels": 1, "mean": 0.13, "std": 0.31,
                   "light_background": False})
    model = app.build(Settings(model="separable", width=0.25), facts)
    network = model.network()
    record = write_saved_model(model, network, folder / "saved_model", app.name, facts)
    assert convert(folder / "saved_model", "float32", folder / "plain.tflite", folder / "none.npz") is None
    packed = pack((folder / "plain.tflite").read_bytes(), {**record, "variant": "float32"}, facts)
    (folder / "packed.tflite").write_bytes(packed)
    logits = np.asarray(network(((IMAGES / 255 - 0.13) / 0.31).astype("float32"), training=False), float)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return SimpleNamespace(folder=folder, tflite=folder / "packed.tflite", plain=folder / "plain.tflite", facts=facts,
                           saved_model=folder / "saved_model", answers=shares / shares.sum(1, keepdims=True))


def refused(path):
    with pytest.raises(UserError) as caught:
        open_artifact(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and message.endswith("."), message
    return message


@pytest.fixture(scope="module", params=["tflite", "saved_model"])
def opened(request, made):
    return open_artifact(getattr(made, request.param))


def test_an_opened_artifact_knows_what_it_is(opened, made):
    assert opened.app == "mnist" and opened.facts.values == made.facts.values
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in opened.inputs.items()} == {
        "image": ((28, 28, 1), "uint8")}


def test_it_answers_a_batch_of_any_size_as_keras_does(opened, made):
    for count in (1, 3):
        answers = opened({"image": IMAGES[:count]})
        assert answers["label"].dtype == np.int32 and answers["label"].shape == (count,)
        np.testing.assert_allclose(answers["probabilities"], made.answers[:count], atol=1e-5)


@pytest.mark.parametrize("image", [
    np.zeros((2, 28, 28, 1), "float32"), np.zeros((2, 28, 28, 1), "int8"), np.zeros((2, 28, 28, 1), "int64"),
    np.zeros((2, 32, 28, 1), "uint8"), np.zeros((2, 28, 28, 3), "uint8"), np.zeros((28, 28, 1), "uint8"),
    np.zeros((2, 28, 28), "uint8"), np.zeros((1, 2, 28, 28, 1), "uint8")],
    ids=lambda image: f"{image.dtype}{image.shape}")
def test_an_input_that_does_not_fit_is_a_sentence(opened, image):
    with pytest.raises(UserError, match="'image' as uint8") as caught:
        opened({"image": image})
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_missing_input_is_a_sentence_and_another_is_no_mistake(opened):
    with pytest.raises(UserError, match="'image'.*sound"):
        opened({"sound": IMAGES})
    assert opened({"image": IMAGES, "sound": IMAGES})["label"].shape == (3,)


def test_a_path_to_nothing(tmp_path):
    assert "There is no" in refused(tmp_path / "nothing")
    refused(tmp_path / "nothing.tflite")


def test_a_folder_that_is_no_artifact(tmp_path):
    assert "run.json" in refused(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.999])
def test_a_tflite_whose_end_is_missing(share, made, tmp_path):
    content = made.tflite.read_bytes()
    (tmp_path / "short.tflite").write_bytes(content[:int(len(content) * share)])
    refused(tmp_path / "short.tflite")


def test_a_tflite_of_others(made):
    assert "not exported by pocketconv" in refused(made.plain)


def test_a_file_that_is_no_tflite(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert "no .tflite" in refused(tmp_path / "picture.png")


@pytest.mark.parametrize("place", [0, 4, 8, 0.1, 0.5, 0.99])
def test_a_flipped_byte_in_the_model(place, made, tmp_path):
    content, length = bytearray(made.tflite.read_bytes()), made.plain.stat().st_size
    content[place if isinstance(place, int) else int(place * length)] ^= 0x10
    (tmp_path / "flipped.tflite").write_bytes(content)
    refused(tmp_path / "flipped.tflite")


@pytest.fixture
def saved_model(made, tmp_path):
    shutil.copytree(made.saved_model, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("content", [None, "", '{"format": 1,', "{}"], ids=repr)
def test_a_saved_model_without_its_record(content, saved_model):
    record = saved_model / "assets.extra" / "pocketconv.json"
    record.unlink()
    if content is not None:
        record.write_text(content)
    refused(saved_model)


@pytest.mark.parametrize("name", ["assets.extra/facts.json", "variables/variables.index",
                                  "variables/variables.data-00000-of-00001"])
def test_a_saved_model_of_which_a_file_is_missing(name, saved_model):
    (saved_model / name).unlink()
    with pytest.raises(UserError, match=str(saved_model)):
        open_artifact(saved_model)


def test_a_saved_model_that_is_half_there(saved_model):
    content = (saved_model / "saved_model.pb").read_bytes()
    (saved_model / "saved_model.pb").write_bytes(content[:len(content) // 2])
    refused(saved_model)


@pytest.mark.parametrize("record", ["{", "", '{"format": 1, "app": "no such app"}', '{"format": 99, "app": "mnist"}',
                                    '{"format": 1, "app": "mnist"}'])
def test_a_run_that_is_damaged_or_of_others(record, tmp_path):
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(UserError) as caught:
        open_artifact(tmp_path)
    assert str(caught.value).endswith(".")
