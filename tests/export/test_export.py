"""The export of a tiny run: what it writes, what it never overwrites, and how it ends where a file is not good."""

import base64
import json
import os
import re
import shutil

import numpy as np
import pytest
import yaml
from ai_edge_litert.interpreter import Interpreter

from apps import APPS
from apps.mnist.app import Mnist
from shared.cli.main import main
from shared.cli.terminal import progress
from shared.errors import UserError
from shared.evaluation.report import Report
from shared.export import export as exporting
from shared.export.export import export
from shared.metadata import unpack
from shared.run import Run

FIT = "--data sample --limit 200 --epochs 1 --width 0.25 --model separable"
FILES = {"float32": "mnist-float32.tflite", "int8": "mnist-int8.tflite"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "run"
    assert main(["mnist", "fit", *FIT.split(), "--run", str(folder)], APPS) == 0
    return folder


@pytest.fixture(scope="module")
def shipped(run):
    out = run.parent / "out"
    assert main(["mnist", "export", "--run", str(run), "--output", str(out), "--variants", "float32,int8",
                 "--max-drop", "100"], APPS) == 0
    return out


@pytest.fixture(scope="module")
def failed(run, shipped):
    """A second export by --force, in which int8 cannot be converted and float32 is worse than the Keras model."""
    out = run.parent / "failed"
    shutil.copytree(shipped, out)
    (out / "of the first export").touch()

    def convert(saved_model, variant, file, calibration):
        if variant == "int8":
            file.write_bytes(b"half a file")
            return "the conversion failed: it was ended by signal 9"
        file.write_bytes(unpack(shipped / FILES[variant])[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "convert", convert)
        patch.setattr(exporting, "score", lambda *_, **__: Report({"accuracy": 1.0}, examples=200))
        status = main(["mnist", "export", "--run", str(run), "--output", str(out), "--variants", "float32,int8",
                       "--force"], APPS)
    return out, status


def rows(out):
    return {row["variant"]: row for row in json.loads((out / "export.json").read_text(encoding="utf-8"))["variants"]}


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def attempt(run):
    """Exports the run to a folder."""
    app, there = Mnist(), Run.open(run)
    dataset = app.dataset(there.settings(app), there.facts())
    return lambda folder, force=False: export(app, there, dataset, folder, ["float32"], 0.5, "1", force,
                                              lambda _: None, progress)


def test_an_export_is_these_files_and_no_others(shipped):
    assert set(os.listdir(shipped)) == {"saved_model", "export.json", "golden.json", "MODEL_CARD.md", *FILES.values()}
    assert not [name for name in os.listdir(shipped.parent) if name.endswith(".tmp")]


def test_export_json_says_what_is_there(shipped):
    record = json.loads((shipped / "export.json").read_text(encoding="utf-8"))
    assert (record["app"], record["run"], record["headline"]) == ("mnist", "run", "accuracy")
    assert record["trained"]["examples"] == 200 and record["trained"]["epochs"] == 1
    for variant, row in rows(shipped).items():
        assert row["passed"] and row["reason"] is None and row["file"] == FILES[variant]
        assert row["bytes"] == (shipped / row["file"]).stat().st_size
        assert row["drop"] == pytest.approx(record["keras"]["accuracy"] - row["score"])
        assert (row["integer_operations"] > 0.5) == (variant == "int8")


def decoded(record):
    return np.frombuffer(base64.b64decode(record["base64"]), record["dtype"]).reshape(record["shape"])


@pytest.mark.parametrize("variant", FILES)
def test_golden_answers_come_from_the_file_again(variant, shipped):
    golden = json.loads((shipped / "golden.json").read_text(encoding="utf-8"))
    images, kept = decoded(golden["inputs"]["image"]), golden["variants"][variant]["answers"]
    assert len(images) == golden["examples"] > 5
    run = Interpreter(str(shipped / FILES[variant])).get_signature_runner(golden["signature"])
    for row in range(len(images)):
        for name, answer in run(image=images[row:row + 1]).items():
            want = decoded(kept[name])[row:row + 1]
            assert answer.dtype == want.dtype
            np.testing.assert_allclose(answer, want, atol=1e-5 if want.dtype == np.float32 else 0)


def test_the_python_of_the_card_runs_beside_the_files(shipped, monkeypatch):
    card = (shipped / "MODEL_CARD.md").read_text(encoding="utf-8")
    code, = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(shipped)
    names = {}
    exec(code, names)
    assert names["label"].shape == (1,) and names["probabilities"].shape == (1, 10)
    assert names["probabilities"].sum() == pytest.approx(1, abs=1e-3)


def test_the_card_names_the_run_that_training_started_from(run, shipped, tmp_path, monkeypatch):
    later = tmp_path / "later"
    shutil.copytree(run, later)
    settings = yaml.safe_load((later / "settings.yaml").read_text(encoding="utf-8"))
    (later / "settings.yaml").write_text(yaml.safe_dump({**settings, "from_run": "runs/mnist/earlier"}))
    monkeypatch.setattr(exporting, "convert", lambda saved_model, variant, file, calibration: file.write_bytes(
        unpack(shipped / FILES[variant])[0]) and None)
    assert main(["mnist", "export", "--run", str(later), "--output", str(tmp_path / "out"), "--variants", "float32"],
                APPS) == 0
    card, plain = ((folder / "MODEL_CARD.md").read_text(encoding="utf-8") for folder in (tmp_path / "out", shipped))
    assert "started from |" in card and "| earlier |" in card and "started from" not in plain


def test_a_folder_of_other_files_is_refused_even_by_force(attempt, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError, match="other files"):
            attempt(tmp_path / "out", force)
    assert everything(tmp_path) == {"out/thesis.txt": b"mine"}


def test_a_file_in_the_place_of_the_folder_is_refused_even_by_force(tmp_path):
    (tmp_path / "out").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError):
            exporting.clear(tmp_path / "out", force)


def test_an_export_is_not_replaced_unasked(attempt, run, shipped):
    before = everything(shipped)
    with pytest.raises(UserError, match="--force"):
        attempt(shipped)
    assert main(["mnist", "export", "--run", str(run), "--output", str(shipped)], APPS) == 2
    assert everything(shipped) == before


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=repr)
def test_an_error_leaves_the_earlier_export_and_nothing_beside(error, attempt, shipped, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise error

    shutil.copytree(shipped, tmp_path / "out")
    before = everything(tmp_path)
    monkeypatch.setattr(exporting, "write_saved_model", broken)
    monkeypatch.setattr(exporting, "score", lambda *_, **__: Report({"accuracy": 1.0}))
    for folder in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(type(error)):
            attempt(folder, force=True)
    assert everything(tmp_path) == before and os.listdir(tmp_path) == ["out"]


def test_a_folder_of_the_users_beside_stays(attempt, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError

    (tmp_path / "out.tmp").mkdir()
    (tmp_path / "out.tmp" / "thesis.txt").write_text("mine")
    monkeypatch.setattr(exporting, "load_network", broken)
    with pytest.raises((RuntimeError, UserError)):
        attempt(tmp_path / "out")
    assert everything(tmp_path) == {"out.tmp/thesis.txt": b"mine"}


def test_force_replaces_the_whole_export(failed):
    out, _ = failed
    assert set(os.listdir(out)) == {"saved_model", "export.json", "golden.json", "MODEL_CARD.md", FILES["float32"]}
    assert not (out.parent / "failed.tmp").exists()


def test_a_variant_that_fails_ends_the_command_with_1(failed):
    assert failed[1] == 1


def test_a_variant_that_cannot_be_made_is_told_and_takes_no_other_with_it(failed):
    row = rows(failed[0])["int8"]
    assert row["file"] is None and not row["passed"] and "signal 9" in row["reason"]
    assert "signal 9" in (failed[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert json.loads((failed[0] / "golden.json").read_text())["variants"].keys() == {"float32"}


def test_a_variant_that_lost_too_much_is_kept_and_told(failed, shipped):
    row = rows(failed[0])["float32"]
    assert not row["passed"] and "--max-drop" in row["reason"]
    assert row["score"] == pytest.approx(rows(shipped)["float32"]["score"])
    assert row["drop"] == pytest.approx(1 - row["score"])
    assert (failed[0] / FILES["float32"]).exists()
    assert "FAILED" in (failed[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
