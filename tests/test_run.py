import json
import os

import pytest
import yaml

from apps.mnist.app import Mnist, Settings
from shared.errors import UserError
from shared.run import Run, runs_of


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", Mnist(), Settings(epochs=3, width=0.5, run="run"))


def test_a_new_run_has_its_record_and_its_settings(run):
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["app"], record["state"]) == ("mnist", "begun")
    kept = yaml.safe_load((run.folder / "settings.yaml").read_text())
    assert kept["epochs"] == 3 and kept["width"] == 0.5
    assert not {"run", "resume", "json"} & kept.keys()
    assert Run.open(run.folder).settings(Mnist()) == Settings(epochs=3, width=0.5)
    assert Run.open(run.folder).app == "mnist"


def test_a_run_is_not_made_where_something_stands(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        Run.create(tmp_path, Mnist(), Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_run_is_not_made_over_another(run):
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(UserError, match="--resume"):
        Run.create(run.folder, Mnist(), Settings(epochs=9))
    assert (run.folder / "run.json").read_bytes() == before


def test_an_empty_folder_is_taken(tmp_path):
    assert Run.create(tmp_path, Mnist(), Settings()).app == "mnist"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_run_cannot_be_made_in_a_file(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises((UserError, OSError)):
        Run.create(tmp_path / place, Mnist(), Settings())
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_is_discarded_only_where_nothing_was_learned(run):
    Run.create(run.folder / "fold-1", Mnist(), Settings())
    (run.folder / "fold-1" / "facts.json").write_text("{}")
    run.discard()
    assert (run.folder / "run.json").exists() and (run.folder / "fold-1" / "facts.json").exists()
    (run.folder / "fold-1" / "facts.json").unlink()
    run.discard()
    assert not run.folder.exists()


def test_a_foreign_format_is_told(run):
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Run.open(run.folder)


@pytest.mark.parametrize("content", ["", "{", None])
def test_a_damaged_record_is_told(run, content):
    path = run.folder / "run.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match="run.json is missing or damaged"):
        Run.open(run.folder)


def test_what_is_no_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        Run.open(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "epochs: [", "just words", "epoch: 3", None])
def test_damaged_settings_are_told(run, content):
    path = run.folder / "settings.yaml"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match="settings.yaml is missing or damaged"):
        run.settings(Mnist())


def test_mark_changes_what_it_names_and_nothing_else(run):
    before = run.read("run.json")
    run.mark(state="finished", score=0.5)
    assert run.read("run.json") == {**before, "state": "finished", "score": 0.5}
    run.mark(score=0.75)
    assert run.read("run.json") == {**before, "state": "finished", "score": 0.75}


def test_append_adds_a_line(run):
    run.append("log.jsonl", {"a": 1})
    run.append("log.jsonl", {"b": "ü"})
    assert [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()] == [
        {"a": 1}, {"b": "ü"}]


def test_runs_are_listed_the_oldest_first(tmp_path):
    for name, time in (("b", 300), ("c", 100), ("a", 200)):
        made = Run.create(tmp_path / "mnist" / name, Mnist(), Settings())
        os.utime(made.folder / "run.json", (time, time))
    Run.create(tmp_path / "other" / "d", Mnist(), Settings())
    (tmp_path / "mnist" / "no-run").mkdir()
    assert [run.folder.name for run in runs_of("mnist", tmp_path)] == ["c", "a", "b"]
    assert runs_of("nothing", tmp_path) == []
