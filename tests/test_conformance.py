"""What every app must do, whatever its task: fit, go on, answer alike from every artifact, and speak plainly."""

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from apps import APPS
from benchmarks.resume import COMMON, differing, state, train
from shared.app import find_app

ROOT = Path(__file__).parents[1]
# The smallest training of each app on its sample: a few steps, a network of a few thousand parameters. `{ratings}` is
# a table made here.
TINY = {"mnist": "--data sample --limit 600 --epochs 2 --batch-size 32 --width 0.25 --model separable",
        "segment": "--data sample --limit 48 --epochs 2 --batch-size 4 --width 8 --widest 16 --depth 2 --size 64x80",
        "ner": "--data sample --limit 200 --epochs 2 --batch-size 16 --dimension 8 --filters 8 --depth 2 "
               "--character-filters 8 --max-tokens 48",
        "recommend": "--data sample --limit 100 --epochs 2 --dimension 8 --dilations 1,2 --length 20",
        "rate": "--data {ratings} --epochs 2 --batch-size 32 --dimension 8 --filters 4",
        "speech": "--data sample --rate 8000 --limit 100 --epochs 2 --batch-size 16 --filters 8 --depth 1 --mels 16",
        "text": "--data sample --limit 300 --epochs 2 --batch-size 16 --dimension 8 --filters 8 --max-bytes 128"}


@pytest.fixture(scope="session", params=sorted(APPS))
def app(request):
    return find_app(request.param, APPS)


@pytest.fixture(scope="session")
def tiny(app, tmp_path_factory):
    """The app's settings in `TINY`."""
    table, random_numbers = tmp_path_factory.mktemp("ratings") / "ratings.csv", np.random.default_rng(0)
    table.write_text("user,item,rating\n" + "".join(
        f"u{user},i{item},{random_numbers.integers(1, 6)}\n" for user in range(30) for item in range(20)))
    return TINY[app.name].format(ratings=table).split()


def command(app, *arguments, cwd, status=0):
    done = subprocess.run([sys.executable, "-c", "from apps.__main__ import main; main()", app.name, *arguments],
                          capture_output=True, text=True, cwd=cwd, timeout=600)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="session")
def shipped(app, tiny, tmp_path_factory):
    """A folder in which the app was trained and exported: (folder, run, exported, fit's standard output)."""
    folder = tmp_path_factory.mktemp(app.name)
    fitted = command(app, "fit", *tiny, *COMMON.split(), "--run", "run", "--json",
                     cwd=folder)
    # A network of two epochs is no good network: the gate is wide here, and tested narrow elsewhere.
    command(app, "export", "--run", "run", "--output", "out", "--max-drop", "20", cwd=folder)
    return folder, folder / "run", folder / "out", fitted.stdout


def test_a_run_is_complete(app, shipped):
    _, run, _, printed = shipped
    for name in ("run.json", "settings.yaml", "facts.json", "model.keras", "history.json", "report.json"):
        assert (run / name).is_file(), name
    assert list((run / "report").glob("*.png")) and list((run / "tensorboard").rglob("events*"))
    report = json.loads(printed)
    assert report["metrics"][app.headline.key] == json.loads((run / "report.json").read_text())["metrics"][
        app.headline.key]
    assert len(json.loads((run / "history.json").read_text())["epochs"]) == 2


def test_an_export_is_complete(app, shipped):
    _, _, out, _ = shipped
    record = json.loads((out / "export.json").read_text())
    assert {row["variant"] for row in record["variants"]} == {"float32", "float16", "dynamic", "int8"}
    for row in record["variants"]:
        assert row["passed"], row
        assert (out / row["file"]).stat().st_size == row["bytes"]
    for name in ("MODEL_CARD.md", "golden.json", "saved_model/saved_model.pb"):
        assert (out / name).is_file(), name


def test_artifacts_answer_alike(app, shipped):
    from shared.evaluation.predictors import open_artifact
    from shared.run import Run
    _, run, out, _ = shipped
    raw = app.golden(Run.open(run).facts())
    want = open_artifact(run, app)(raw)
    for path, tolerance in ((out / "saved_model", 1e-4), (out / f"{app.name}-float32.tflite", 1e-4),
                            (out / f"{app.name}-float16.tflite", 2e-2), (out / f"{app.name}-dynamic.tflite", 0.1),
                            (out / f"{app.name}-int8.tflite", 0.2)):
        got = open_artifact(path, app)(raw)
        assert got.keys() == want.keys()
        for name in want:
            if want[name].dtype == np.float32:
                assert np.mean(np.abs(got[name] - want[name]) <= tolerance) > 0.999, (path.name, name)
            elif tolerance < 1e-3:
                assert np.mean(got[name] == want[name]) > 0.999


def test_a_tflite_is_scored_and_asked_without_tensorflow(app, tiny, shipped):
    folder, _, out, _ = shipped
    code = ("import sys; from apps import APPS; from shared.cli.main import main; status = main(sys.argv[1:], APPS); "
            "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules; sys.exit(status)")
    done = subprocess.run([sys.executable, "-c", code, app.name, "evaluate", *tiny[:2], "--limit", "50",
                           "--artifact", str(out / f"{app.name}-int8.tflite"), "--json"],
                          capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert app.headline.key in json.loads(done.stdout)["metrics"]


def test_a_fit_by_settings_of_another_ends_as_that_though_killed_and_can_go_on(app, shipped, tmp_path):
    _, run, _, _ = shipped
    again = tmp_path / "again"
    assert train(app.name, f"--config {run / 'settings.yaml'}", again, 1, random.Random(1)) == 1
    (arrays, history), (other, other_history) = state(run), state(again)
    assert differing(arrays, other) == 0
    assert history == other_history
    command(app, "fit", "--resume", "again", "--epochs", "3", cwd=tmp_path)
    assert [row["epoch"] for row in json.loads((again / "history.json").read_text())["epochs"]] == [1, 2, 3]


def test_help_shows_every_setting(app):
    done = command(app, "fit", "--help-all", cwd=ROOT)
    from shared.settings import flag_of
    for field in dataclasses.fields(app.Settings):
        assert flag_of(field) in done.stdout, field.name
        assert field.metadata["help"].split()[0] in done.stdout
