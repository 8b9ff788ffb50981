"""Ctrl-C in the midst of a training, and the printed command that goes on with it."""

import json
import shlex
import signal

from apps import APPS
from benchmarks.resume import differing, start, state
from shared.cli.main import main

FLAGS = ("--data sample --limit 200 --epochs 2 --batch-size 16 --width 0.25 --model separable --augment none "
         "--optimizer momentum --learning-rate 0.01 --ema 0.9 --steps-per-execution 1")


def test_ctrl_c_saves_and_the_printed_command_finishes_with_the_same_weights(tmp_path):
    process = start("mnist", f"{FLAGS} --run {tmp_path / 'stopped'}")
    assert any(line.startswith("Epoch 1/2") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said and "Stopped and saved" in said.splitlines()[-1]
    (entry,) = json.loads((tmp_path / "stopped" / "checkpoints" / "index.json").read_text())
    assert entry["state"]["epoch"] == 0 and 1 <= entry["state"]["step"] < 12
    assert not (tmp_path / "stopped" / "history.json").exists()

    program, *arguments = shlex.split(said.splitlines()[-1].split("Go on with: ")[1])
    assert program == "pocketconv" and arguments[:3] == ["mnist", "fit", "--resume"]
    assert main(arguments, APPS) == 0
    assert main(["mnist", "fit", *shlex.split(FLAGS), "--run", str(tmp_path / "whole")], APPS) == 0
    (arrays, history), (other, other_history) = state(tmp_path / "whole"), state(tmp_path / "stopped")
    assert differing(arrays, other) == 0
    assert history == other_history


def test_a_cross_validation_goes_on_where_it_was_interrupted(tmp_path, monkeypatch, capsys):
    import shared.training.fit as module
    from shared.training.callbacks import Interrupted
    trained, fit = [], module.fit

    def interrupted(app, settings, dataset, run, *rest):
        if trained:
            raise Interrupted
        trained.append(run.folder.name)
        return fit(app, settings, dataset, run, *rest)

    monkeypatch.setattr(module, "fit", interrupted)
    flags = ["--data", "sample", "--limit", "100", "--model", "cnn", "--width", "0.1", "--augment", "none",
             "--epochs", "1", "--folds", "2"]
    assert main(["mnist", "fit", *flags, "--run", str(tmp_path / "run")], APPS) == 130
    arguments = shlex.split(capsys.readouterr().err.splitlines()[-1].split("Go on with: ")[1])[1:]
    first = (tmp_path / "run" / "fold-1" / "model.keras").read_bytes()
    monkeypatch.setattr(module, "fit", fit)
    assert main(arguments, APPS) == 0, capsys.readouterr().err
    assert len(json.loads((tmp_path / "run" / "folds.json").read_text())["each"]["accuracy"]) == 2
    assert (tmp_path / "run" / "fold-1" / "model.keras").read_bytes() == first
