"""What each verb prints, keeps and ends with."""

import io
import json
import shlex
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.stats import gmean

from apps import APPS
from apps.mnist.app import Mnist
from shared.cli.main import main

SAMPLE_TEST = 1000  # a fifth of the sample is held out for testing


@pytest.fixture
def home(small, monkeypatch):
    """The folder in which the small run is the latest."""
    monkeypatch.chdir(small.home)
    return small.home


@pytest.fixture
def copy(small, tmp_path, monkeypatch):
    """A copy of the small run, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small.run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def truth(answer):
    """Images and labels of the sample's test split, and the small run's probabilities for them."""
    from shared.settings import DataSettings
    test = Mnist().dataset(DataSettings(data="sample")).splits["test"].take(np.arange(SAMPLE_TEST))
    return test["label"], answer(test["image"])


def test_predict_prints_one_line_an_input(command, home, digits, answer):
    out, err = command("mnist", "predict", *digits.paths)
    lines = out.splitlines()
    assert len(lines) == len(digits.paths)
    for line, path, shares in zip(lines, digits.paths, answer(digits.images), strict=True):
        first, second, third = np.argsort(shares)[::-1][:3]
        assert line.startswith(f"{path}: {first} {100 * shares[first]:.1f} %")
        assert f"{second} {100 * shares[second]:.1f} %" in line and f"{third} {100 * shares[third]:.1f} %" in line
    assert "The latest run: runs/mnist/small" in err


def test_predict_json_prints_one_object_a_line(command, small, digits, answer):
    out, _ = command("mnist", "predict", *digits.paths, "--json", "--artifact", small.run)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["input"] for row in rows] == [str(path) for path in digits.paths]
    for row, shares in zip(rows, answer(digits.images), strict=True):
        assert row["label"] == str(shares.argmax())
        assert list(row["probabilities"]) == [str(digit) for digit in range(10)]
        np.testing.assert_allclose(list(row["probabilities"].values()), shares, atol=1e-5)


def test_a_tflite_answers_as_its_run_does(command, small, tflite, digits):
    by_run, _ = command("mnist", "predict", digits.folder, "--json", "--artifact", small.run)
    by_file, _ = command("mnist", "predict", digits.folder, "--json", "--artifact", tflite())
    for a, b in zip(by_run.splitlines(), by_file.splitlines(), strict=True):
        a, b = json.loads(a), json.loads(b)
        assert (a["input"], a["label"]) == (b["input"], b["label"])
        np.testing.assert_allclose(list(a["probabilities"].values()), list(b["probabilities"].values()), atol=1e-4)


def test_predict_reads_names_from_standard_input(command, tflite, digits, monkeypatch):
    want, _ = command("mnist", "predict", *digits.paths[:3], "--artifact", tflite())
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(str, digits.paths[:3])) + "\n\n"))
    assert command("mnist", "predict", "-", "--artifact", tflite())[0] == want


def test_predict_answers_each_file_of_a_folder(command, tflite, digits):
    want, _ = command("mnist", "predict", *digits.paths, "--artifact", tflite())
    assert command("mnist", "predict", digits.folder, "--artifact", tflite())[0] == want


def told_and_answered(command, tflite, digits, bad):
    good = digits.paths[:3]
    want, _ = command("mnist", "predict", *good, "--artifact", tflite())
    out, err = command("mnist", "predict", good[0], bad, *good[1:], "--artifact", tflite(), status=2)
    assert len(err.strip().splitlines()) == 1 and str(bad) in err
    assert out == want


def test_a_bad_file_among_good_ones_is_told_and_the_others_are_answered(command, tflite, digits, tmp_path):
    (tmp_path / "bad.png").write_text("words")
    for bad in (tmp_path / "bad.png", tmp_path / "gone.png"):
        told_and_answered(command, tflite, digits, bad)


def test_an_empty_folder_among_good_files_is_told_and_the_others_are_answered(command, tflite, digits, tmp_path):
    told_and_answered(command, tflite, digits, tmp_path)


def test_pictures_of_any_size_and_colour_are_answered(command, tflite, digits, tmp_path):
    with Image.open(digits.paths[3]) as image:
        image.convert("RGB").save(tmp_path / "colour.png")
        image.resize((280, 280)).save(tmp_path / "large.png")
    out, _ = command("mnist", "predict", digits.paths[3], tmp_path / "colour.png", tmp_path / "large.png",
                     "--json", "--artifact", tflite())
    plain, colour, _ = (json.loads(line) for line in out.splitlines())
    assert plain["probabilities"] == colour["probabilities"]


def test_evaluate_json_is_one_value_and_right(command, copy, truth):
    labels, shares = truth
    out, _ = command("mnist", "evaluate", "--data", "sample", "--artifact", "run", "--json")
    report = json.loads(out)
    assert report["examples"] == SAMPLE_TEST and report["split"] == "test" and report["data"] == "sample"
    assert report["metrics"]["accuracy"] == pytest.approx((shares.argmax(-1) == labels).mean())
    assert report["metrics"]["log_loss"] == pytest.approx(-np.log(shares[np.arange(len(labels)), labels]).mean(),
                                                          abs=1e-4)


def test_several_artifacts_give_a_list_and_a_comparison(command, copy, tflite):
    out, err = command("mnist", "evaluate", "--data", "sample", "--split", "validation", "--limit", "50",
                       "--artifact", "run", "--artifact", tflite(), "--json")
    first, second, _ = json.loads(out)  # and their ensemble
    assert (first["artifact"], second["artifact"]) == ("run", str(tflite()))
    assert (first["kind"], second["kind"]) == ("run", "tflite")
    assert first["examples"] == second["examples"] == 50
    assert first["metrics"]["accuracy"] == second["metrics"]["accuracy"]
    table = err[err.rindex("validation split"):]
    assert "run" in table and "tflite" in table.replace("\n", "") and "accuracy" in table


def test_the_reports_of_several_artifacts_are_all_written(command, copy, tflite):
    command("mnist", "evaluate", "--data", "sample", "--split", "validation", "--limit", "50",
            "--artifact", "run", "--artifact", tflite(), "--output", "out")
    kept = [json.loads(path.read_text())["artifact"] for path in (copy.parent / "out").rglob("*.json")]
    assert sorted(kept) == sorted(["run", str(tflite()), "ensemble"])
    assert (copy.parent / "out" / "validation-sample-ensemble" / "confusion.png").exists()


@pytest.mark.parametrize("output", [[], ["--output", "out"]], ids=["beside the run", "in a folder"])
def test_a_report_is_kept_beside_earlier_ones(command, copy, output):
    for limit in (10, 20):
        _, err = command("mnist", "evaluate", "--data", "sample", "--limit", limit, "--artifact", "run", *output)
    folder = copy.parent / "out" if output else copy / "evaluations"
    kept = {path.name: json.loads(path.read_text())["examples"] for path in folder.glob("*.json")}
    assert kept == {"test-sample.json": 10, "test-sample-2.json": 20}
    assert (folder / "test-sample-2" / "confusion.png").exists() and "test-sample-2.json" in err.replace("\n", "")


def test_the_ensemble_of_several_artifacts_answers_by_their_geometric_mean(command, copy, other, truth, answer):
    from shared.settings import DataSettings
    labels, shares = truth
    images = Mnist().dataset(DataSettings(data="sample")).splits["test"].columns["image"]
    mean = gmean([shares, other.answer(images)])
    mean /= mean.sum(1, keepdims=True)
    assert (mean.argmax(1) != shares.argmax(1)).any()
    out, err = command("mnist", "evaluate", "--artifact", "run", "--artifact", "other", "--json")
    first, second, both = json.loads(out)
    assert (both["artifact"], both["kind"], both["of"]) == ("ensemble", "ensemble", ["run", "other"])
    assert (both["data"], both["split"], both["examples"]) == ("sample", "test", SAMPLE_TEST)
    assert both["metrics"]["accuracy"] == pytest.approx((mean.argmax(1) == labels).mean())
    assert both["metrics"]["log_loss"] == pytest.approx(-np.log(mean[np.arange(len(labels)), labels]).mean(), abs=1e-4)
    table = err[err.rindex("test split"):]
    assert f"{both['metrics']['accuracy']:.4f}" in table and "ensemble" in table
    # Kept in the first run beside its own report, and told in the log of each run whose test split was looked at.
    kept = {path.name: json.loads(path.read_text()) for path in (copy / "evaluations").glob("*.json")}
    assert kept == {"test-sample.json": first, "test-sample-ensemble.json": both}
    for run, own in ((copy, first), (other.run, second)):
        rows = [json.loads(line) for line in (run / "test_scorings.jsonl").read_text().splitlines()]
        assert [row["artifact"] for row in rows] == [own["artifact"], "ensemble"]
        assert rows[1]["metrics"] == both["metrics"] and rows[1]["of"] == ["run", "other"]


def test_runs_of_other_seeds_whose_test_splits_were_drawn_are_no_ensemble(command, copy, other):
    """One may have learned from what the other is tested on; of sorted data the truth alone does not tell."""
    for name in ("settings.yaml", "facts.json"):
        content = yaml.safe_load((other.run / name).read_text())
        content.get("splits", content)["seed"] = 7
        (other.run / name).write_text(json.dumps(content))
    out, err = command("mnist", "evaluate", "--artifact", "run", "--artifact", "other", "--json")
    assert [report["artifact"] for report in json.loads(out)] == ["run", "other"]
    (line,) = [line for line in err.splitlines() if "nsemble" in line]
    assert line.startswith("No ensemble: ") and "different examples" in line


def test_scorings_of_the_test_split_are_logged_in_the_run(command, copy):
    log = copy / "test_scorings.jsonl"
    command("mnist", "evaluate", "--data", "sample", "--split", "validation", "--limit", "50", "--artifact", "run")
    assert not log.exists()
    for limit in (40, 60):
        command("mnist", "evaluate", "--data", "sample", "--limit", limit, "--artifact", "run")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(row["data"], row["split"]) for row in rows] == [("sample", "test")] * 2
    assert all(0 <= row["metrics"]["accuracy"] <= 1 and row["date"] for row in rows)


def test_evaluate_writes_its_report_where_asked(command, copy, tflite):
    out, _ = command("mnist", "evaluate", "--data", "sample", "--limit", "50", "--artifact", tflite(),
                     "--output", "out/deep", "--json")
    (path,) = (copy.parent / "out" / "deep").glob("*.json")
    assert json.loads(path.read_text()) == json.loads(out)
    assert (path.with_suffix("") / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_is_never_scored_on_what_it_was_trained_on(command, tmp_path, monkeypatch, small):
    """Of a run whose seed and shares are not the default ones."""
    from shared.settings import DataSettings
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small.run, tmp_path / "run")
    changed = {"seed": 7, "test": 0.3}
    settings = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text()) | changed
    facts = json.loads((tmp_path / "run" / "facts.json").read_text())
    facts["splits"] |= changed
    (tmp_path / "run" / "settings.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "run" / "facts.json").write_text(json.dumps(facts))
    trained = Mnist().dataset(DataSettings(data="sample", **changed)).splits["train"]
    seen = {image.tobytes() for image in trained.columns["image"]}
    scored = []

    def score(answer, split, scorer, **_):
        scored.extend(image.tobytes() for image in split.columns["image"])
        raise KeyboardInterrupt

    monkeypatch.setattr("shared.cli.evaluate.score", score)
    command("mnist", "evaluate", "--artifact", "run", status=130)
    assert len(scored) == 1500 and not seen & set(scored)


def test_benchmark_prints_a_row_per_thread_count(command, tflite):
    out, err = command("mnist", "benchmark", "--artifact", tflite(), "--threads", "1,2,3", "--rounds", "20", "--json")
    record = json.loads(out)
    assert [row["threads"] for row in record["rows"]] == [1, 2, 3] and record["rounds"] == 20
    for row in record["rows"]:
        assert 0 < row["least_ms"] <= row["median_ms"] <= row["p95_ms"] and row["peak_memory_mb"] > 0
    assert "median_ms" in err


def test_benchmark_of_a_run_is_one_row(command, small):
    out, _ = command("mnist", "benchmark", "--artifact", small.run, "--rounds", "5", "--json")
    assert [row["threads"] for row in json.loads(out)["rows"]] == ["all"]


def test_runs_lists_the_run_with_its_score(command, home, small):
    out, err = command("mnist", "runs", "--json")
    (row,) = json.loads(out)
    report = json.loads((small.run / "report.json").read_text())
    assert row["run"] == "runs/mnist/small" and row["state"] == "finished"
    assert row["accuracy"] == report["metrics"]["accuracy"]
    assert (row["model"], row["data"], row["epochs"]) == ("separable", "sample", 1)
    assert f"{row['accuracy']:.4f}" in err


def test_runs_shows_names_that_can_be_copied(command, home):
    assert "runs/mnist/small" in command("mnist", "runs")[1]


@pytest.mark.parametrize("damage", [lambda run: (run / "settings.yaml").unlink(),
                                    lambda run: (run / "settings.yaml").write_text("epochs: ["),
                                    lambda run: (run / "settings.yaml").write_text(""),
                                    lambda run: (run / "run.json").write_text("{")])
def test_runs_leaves_out_a_damaged_run_and_says_so(command, small, tmp_path, damage):
    for name in ("whole", "damaged"):
        (tmp_path / "mnist" / name).mkdir(parents=True)
        for file in ("run.json", "settings.yaml"):
            shutil.copy(small.run / file, tmp_path / "mnist" / name / file)
    damage(tmp_path / "mnist" / "damaged")
    out, err = command("mnist", "runs", "--folder", tmp_path, "--json")
    assert [row["run"] for row in json.loads(out)] == [str(tmp_path / "mnist" / "whole")]
    assert str(tmp_path / "mnist" / "damaged") in err


def test_our_own_fault_is_one_sentence_and_status_3(command, monkeypatch):
    def fault(*_):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("shared.cli.runs.run", fault)
    out, err = command("mnist", "runs", status=3)
    assert not out and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert "ZeroDivisionError: a mistake of ours" in err and "--debug" in err
    with pytest.raises(ZeroDivisionError):  # as Python shows it: with a traceback
        main(["mnist", "runs", "--debug"], APPS)


def test_ctrl_c_is_status_130(command, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("shared.cli.runs.run", stop)
    assert command("mnist", "runs", status=130)[1] == "Interrupted.\n"


def test_results_go_to_standard_output_and_all_else_to_standard_error(command, home, small, copy, digits):
    assert small.out == "" and "accuracy" in small.err and "1/1" in small.err
    for verb in (["runs", "--folder", home / "runs"], ["benchmark", "--artifact", copy, "--rounds", "5"],
                 ["evaluate", "--artifact", copy, "--data", "sample", "--limit", "50"]):
        out, err = command("mnist", *verb)
        assert out == "" and err, verb
    out, err = command("mnist", "predict", digits.paths[0], "--artifact", copy)
    assert len(out.splitlines()) == 1 and err == ""


def test_fit_json_is_the_report_and_its_settings_reproduce_the_run(command, small, tmp_path, monkeypatch):
    import keras
    monkeypatch.chdir(tmp_path)
    out, _ = command("mnist", "fit", "--config", small.run / "settings.yaml", "--run", "again", "--json")
    assert json.loads(out) == {"run": "again", **json.loads((tmp_path / "again" / "report.json").read_text())}
    assert (tmp_path / "again" / "settings.yaml").read_text() == (small.run / "settings.yaml").read_text()
    first, again = (keras.models.load_model(run / "model.keras", compile=False).get_weights()
                    for run in (small.run, tmp_path / "again"))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_print_config_reads_back(command, tmp_path):
    out, err = command("mnist", "fit", "--epochs", "3", "--width", "0.5", "--mirror", "--from", "a", "--print-config")
    assert err == ""
    printed = yaml.safe_load(out)
    assert (printed["epochs"], printed["width"], printed["mirror"], printed["from_run"]) == (3, 0.5, True, "a")
    (tmp_path / "config.yaml").write_text(out)
    again, _ = command("mnist", "fit", "--config", tmp_path / "config.yaml", "--print-config")
    assert again == out
    changed, _ = command("mnist", "fit", "--config", tmp_path / "config.yaml", "--epochs", "4", "--print-config")
    assert yaml.safe_load(changed) == {**printed, "epochs": 4}


def test_the_settings_of_a_run_are_all_that_print_config_prints(command, small):
    out, _ = command("mnist", "fit", "--config", small.run / "settings.yaml", "--print-config")
    assert yaml.safe_load(out) == yaml.safe_load((small.run / "settings.yaml").read_text())


def test_an_interrupted_fit_prints_a_command_that_a_shell_reads(command, tmp_path, monkeypatch):
    import shared.training.fit  # its names are looked up when the verb runs
    from shared.training.callbacks import Interrupted
    monkeypatch.chdir(tmp_path)

    def stop(*_, **__):
        raise Interrupted

    monkeypatch.setattr(shared.training.fit, "fit", stop)
    _, err = command("mnist", "fit", "--data", "sample", "--run", "my run", status=130)
    said = shlex.split(err.splitlines()[-1].split("Go on with: ")[1])
    assert said == ["pocketconv", "mnist", "fit", "--resume", "my run"]
