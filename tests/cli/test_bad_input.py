"""Whatever is wrong with what a person gives: one sentence, exit status 2, and nothing changed."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from apps.mnist.app import Mnist

TINY = ["--data", "sample", "--limit", "100", "--model", "cnn", "--width", "0.1", "--augment", "none"]


def content(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def refused(command, tmp_path, monkeypatch):
    """Runs a command in `tmp_path`; gives its one sentence, after having seen that nothing changed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = content(tmp_path)
        out, err = command(*arguments, status=2)
        assert not out and "Traceback" not in err
        lines = [line for line in err.splitlines() if "were held out by seed" not in line]
        assert content(tmp_path) == before, err
        assert len(lines) == 1, err
        return lines[0]
    return run


def picture(path, value=0, side=28):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 256, (side, side)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def classes(folder, names, count=6):
    for at, name in enumerate(names):
        for number in range(count):
            picture(folder / name / f"{number}.png", 100 * at + number)
    return folder


@pytest.fixture
def copy(small, tmp_path):
    shutil.copytree(small.run, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("arguments, parts", [
    (["minst", "fit"], ["no app 'minst'", "did you mean 'mnist'"]),
    (["mnist", "evalute"], ["no verb 'evalute'", "did you mean 'evaluate'"]),
    (["mnist", "fit", "--epocs", "3"], ["no flag --epocs", "did you mean --epochs"]),
    (["speech", "fit", "--date", "sample"], ["no flag --date", "did you mean --data?"]),  # --rate is as near
    (["mnist", "predict", "--artefact", "x"], ["no flag --artefact", "did you mean --artifact"]),
    (["mnist", "fit", "--epochs", "1.5"], ["--epochs takes a whole number, not '1.5'"]),
    (["mnist", "fit", "--epochs", "0"], ["--epochs 0: give a number of at least 1"]),
    (["mnist", "fit", "--learning-rate", "nan"], ["--learning-rate"]),
    (["mnist", "fit", "--data", "smaple"], ["smaple", "sample"]),
    (["mnist", "fit", "--data", "sample", "--folds", "1"], ["--folds"]),
    (["mnist", "fit", "--data", "sample", "--folds", "1000"], ["--folds"]),
    (["mnist", "fit", "--data", "sample", "--from", "nowhere"], ["nowhere is no folder"]),
])
def test_words_that_are_not_known(refused, arguments, parts):
    sentence = refused(*arguments)
    assert all(part in sentence for part in parts), sentence


@pytest.mark.parametrize("text, parts", [
    ("epoch: 3", ["config.yaml", "unknown key 'epoch'", "'epochs'"]),
    ("epochs: many", ["--epochs takes a whole number, not 'many'"]),
    ("epochs: [1, 2]", ["--epochs"]),
    ("augment: a lot", ["--augment takes one of", "'standard'"]),
    ("epochs: -1", ["--epochs -1"]),
    ("just words", ["config.yaml"]),
    ("epochs: [", ["config.yaml"]),
])
def test_a_config_with_an_unknown_key_or_a_wrong_type(refused, tmp_path, text, parts):
    (tmp_path / "config.yaml").write_text(text)
    sentence = refused("mnist", "fit", "--config", "config.yaml")
    assert all(part in sentence for part in parts), sentence


def test_a_data_set_that_tfds_does_not_have(refused, tmp_path):
    assert "TFDS has no data set 'nosuchset'" in refused("mnist", "fit", "--data", "tfds:nosuchset",
                                                        "--data-dir", tmp_path)


def test_no_network_and_no_prepared_data(refused, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def offline(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    sentence = refused("mnist", "fit", "--data", "tfds:mnist", "--data-dir", tmp_path)
    assert "--data sample" in sentence and "--data-dir" in sentence and str(tmp_path) in sentence


def test_a_split_that_the_data_do_not_have(refused, tflite, tmp_path):
    picture(tmp_path / "data" / "3" / "only.png")
    sentence = refused("mnist", "evaluate", "--artifact", tflite(), "--data", "data", "--split", "validation")
    assert "has no validation split; it has: train" in sentence


def test_a_folder_with_one_class(refused, tmp_path):
    classes(tmp_path / "data", ["cat"])
    assert "one class only (cat)" in refused("mnist", "fit", "--data", "data")


@pytest.mark.parametrize("make", [lambda folder: folder.mkdir(), lambda folder: (folder / "cat").mkdir(parents=True),
                                  lambda folder: picture(folder / "loose.png")])
def test_a_folder_without_class_folders_of_images(refused, tmp_path, make):
    make(tmp_path / "data")
    assert "data has no class folders" in refused("mnist", "fit", "--data", "data")


def unreadable(path):
    path.symlink_to(path.parent / "gone.png")


def truncated(path):
    path.write_bytes(picture(path).read_bytes()[:-200])


def text(path):
    path.write_text("These are words, not pixels.")


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [unreadable, truncated, text, empty])
def test_an_image_that_cannot_be_read(refused, tflite, tmp_path, damage):
    classes(tmp_path / "data", ["cat", "dog"])
    damage(tmp_path / "data" / "cat" / "bad.png")
    sentence = refused("mnist", "fit", "--data", "data")
    assert "1 of 13 images in data cannot be read, the first data/cat/bad.png" in sentence
    assert "--max-bad" in sentence
    assert "data/cat/bad.png" in refused("mnist", "predict", "--artifact", tflite(), "data/cat/bad.png")


def test_a_class_in_test_that_training_lacks(refused, tmp_path):
    classes(tmp_path / "data" / "train", ["cat", "dog"])
    classes(tmp_path / "data" / "test", ["cat", "zebra"])
    sentence = refused("mnist", "fit", "--data", "data")
    assert "test split of data has classes that training lacks (zebra)" in sentence


@pytest.mark.parametrize("verb", [["evaluate", "--data", "sample", "--artifact", "run"],
                                  ["predict", "3.png", "--artifact", "run"], ["export", "--run", "run"],
                                  ["fit", "--resume", "run"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize("name", ["settings.yaml", "facts.json", "run.json", "model.keras"])
def test_a_run_that_was_half_deleted(refused, command, copy, small, tmp_path, verb, name):
    picture(tmp_path / "3.png")
    (copy / name).unlink()
    if verb[0] == "fit" and name == "facts.json":  # learned again from the same data
        command("mnist", *verb)
        assert (copy / name).read_bytes() == (small.run / name).read_bytes()
    elif verb[0] == "fit" and name == "model.keras":  # missed when all epochs are found to be done
        _, err = command("mnist", *verb, status=2)
        assert name in err.splitlines()[-1]
    else:
        assert name in refused("mnist", *verb)


def damaged(path):
    path.write_bytes(path.read_bytes()[:-1000])


def test_a_network_file_that_is_truncated(refused, copy, tmp_path):
    damaged(copy / "model.keras")
    picture(tmp_path / "3.png")
    assert "run/model.keras is missing or damaged" in refused("mnist", "predict", "3.png", "--artifact", "run")


@pytest.mark.parametrize("verb", [["evaluate", "--data", "sample"], ["predict", "3.png"], ["benchmark"]],
                         ids=lambda verb: verb[0])
def test_a_tflite_that_is_truncated_or_foreign(refused, tflite, tmp_path, verb):
    whole = tflite().read_bytes()
    picture(tmp_path / "3.png")
    made = {"short": whole[:len(whole) // 2], "cut": whole[:-10], "tiny": whole[:6], "empty": b"",
            "foreign": whole[:whole.index(b"PK\x03\x04")], "words": b"no model at all",
            "flipped": whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]}
    for name, bytes_ in made.items():
        (tmp_path / f"{name}.tflite").write_bytes(bytes_)
        assert f"{name}.tflite" in refused("mnist", *verb, "--artifact", f"{name}.tflite"), name


PLACES = ["file", "file/below", "/proc/pocketconv"]


@pytest.mark.parametrize("place", PLACES)
def test_a_run_folder_that_cannot_be_made(refused, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    assert place in refused("mnist", "fit", *TINY, "--epochs", "1", "--run", place)


@pytest.mark.parametrize("place", PLACES)
def test_an_output_folder_that_cannot_be_made(refused, tflite, copy, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    picture(tmp_path / "3.png")
    for verb in (["predict", "3.png", "--artifact", tflite()],
                 ["evaluate", "--data", "sample", "--split", "validation", "--artifact", tflite()],
                 ["export", "--run", "run"]):
        assert place in refused("mnist", *verb, "--output", place), verb


def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_can_go_on(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = tmp_path / "run" / "checkpoints" / "index.json"
    sync = os.fsync

    def full(descriptor):
        if index.exists():
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("shared.files.os.fsync", full)
    _, err = command("mnist", "fit", *TINY, "--epochs", "2", "--run", "run", status=2)
    assert "No space left on device" in err.splitlines()[-1] and "Traceback" not in err
    monkeypatch.setattr("shared.files.os.fsync", sync)
    assert not list(tmp_path.rglob("*.tmp"))
    (entry,) = json.loads(index.read_text())
    assert hashlib.sha256((index.parent / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert entry["state"]["epoch"] == 1
    command("mnist", "fit", "--resume", "run")
    assert [row["epoch"] for row in json.loads((tmp_path / "run" / "history.json").read_text())["epochs"]] == [1, 2]


def test_images_of_any_size_are_scored_where_their_classes_are_known(command, tflite, copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        picture(tmp_path / "data" / "train" / str(number) / "a.png", number, side=20 + number)
        picture(tmp_path / "data" / "test" / str(number) / "b.png", 50 + number, side=33)
    for artifact in (tflite(), copy):
        out, _ = command("mnist", "evaluate", "--data", "data", "--artifact", artifact, "--output", "out", "--json")
        assert json.loads(out)["examples"] == 10


def test_other_classes_than_the_artifact_knows(refused, tflite, copy, tmp_path):
    classes(tmp_path / "data", ["cat", "dog"])
    for artifact in (tflite(), "run"):
        assert "cat is a class that the model does not know" in refused(
            "mnist", "evaluate", "--data", "data", "--artifact", artifact)


@pytest.fixture
def foreign(copy):
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "app": "weather"}))
    return copy


@pytest.mark.parametrize("verb", [["evaluate", "--data", "sample", "--artifact", "run"],
                                  ["predict", "3.png", "--artifact", "run"], ["benchmark", "--artifact", "run"],
                                  ["export", "--run", "run"], ["fit", "--resume", "run"],
                                  ["fit", *TINY, "--from", "run"]], ids=lambda verb: f"{verb[0]} {verb[-2]}")
def test_a_run_of_another_app(refused, foreign, tmp_path, monkeypatch, verb):
    picture(tmp_path / "3.png")
    monkeypatch.setattr("shared.export.export.export", lambda *_, **__: pytest.fail("exported another app's run"))
    assert "weather" in refused("mnist", *verb)


def test_a_tflite_of_another_app(refused, tflite, tmp_path):
    picture(tmp_path / "3.png")
    for verb in (["evaluate", "--data", "sample"], ["predict", "3.png"], ["benchmark"]):
        assert "weather" in refused("mnist", *verb, "--artifact", tflite("weather"))


def test_a_setting_that_means_nothing_to_the_app(refused, monkeypatch):
    monkeypatch.setattr(Mnist, "refused", {"label_smoothing": "its targets are no classes."})
    assert refused("mnist", "fit", "--label-smoothing", "0.1") == (
        "--label-smoothing means nothing to mnist: its targets are no classes.")


def test_a_folder_that_is_not_empty_is_not_trained_into(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    assert "mine is not empty" in refused("mnist", "fit", *TINY, "--run", "mine")
