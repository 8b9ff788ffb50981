"""The command as a person types it: exit status, one sentence on standard error, nothing changed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(*arguments, cwd, code="from apps.__main__ import main; main()"):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd,
                          timeout=120)


@pytest.mark.parametrize("arguments, sentence", [
    (["mnsit"], "did you mean 'mnist'"),
    (["mnist", "fti"], "did you mean 'fit'"),
    (["mnist", "fit", "--nonsense"], "no flag --nonsense"),
    (["mnist", "fit", "--data", "no/such/folder"], "no/such/folder"),
    (["mnist", "fit", "--resume", "no/such/run"], "no/such/run"),
    (["mnist", "evaluate", "--split", "tset"], "--split takes one of"),
    (["mnist", "evaluate", "--artifact", "no-such.tflite"], "no-such.tflite"),
    (["mnist", "predict"], "Name what to answer"),
    (["mnist", "export", "--run", "nowhere"], "nowhere"),
    (["mnist", "export", "--run", "nowhere", "--variants", "int4"], "nowhere"),
    (["mnist", "benchmark", "--threads", "0"], "whole numbers"),
])
def test_a_mistake_is_one_sentence_and_changes_nothing(arguments, sentence, tmp_path):
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.replace("\n", " ") and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["mnist"], ["mnist", "fit", "--help"], ["mnist", "evaluate", "--help"],
                                       ["mnist", "predict", "--help"], ["mnist", "export", "--help"],
                                       ["mnist", "benchmark", "--help"], ["mnist", "runs", "--help"]])
def test_help_loads_no_tensorflow(arguments, tmp_path):
    code = ("import sys; from apps import APPS; from shared.cli.main import main; status = main(sys.argv[1:], APPS); "
            "sys.exit(status or ('tensorflow' in sys.modules) or ('sklearn' in sys.modules))")
    done = command(*arguments, cwd=tmp_path, code=code)
    assert done.returncode == 0, done.stderr
    assert "usage: pocketconv" in done.stdout


def test_debug_shows_where(tmp_path):
    assert "Traceback" in command("mnist", "runs", "--debug", "--nonsense", cwd=tmp_path).stderr


def test_runs_without_runs(tmp_path):
    done = command("mnist", "runs", "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "[]\n" and "No runs" in done.stderr


def test_module_does_the_same(tmp_path):
    done = subprocess.run([sys.executable, "-m", "apps", "mnist", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "usage: pocketconv mnist" in done.stdout
