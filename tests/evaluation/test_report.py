import io
import json
import wave

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from shared.evaluation.marked_spans import Span, marked
from shared.evaluation.report import Curve, Gallery, Headline, Matrix, Report, Sounds
from shared.evaluation.show import show_report

NAN = float("nan")
PICTURES = [np.full((8, 8), 200, "uint8"), np.zeros((6, 9, 3), "uint8")]
CLIPS = [np.array([0, 1, -1, 32767, -32768], np.int16), np.zeros(0, np.int16)]


def full():
    return Report(
        metrics={"accuracy": 0.5, "f1": NAN, "loss": np.float32("nan")},
        tables={"classes": [{"label": "二", "f1": NAN, "support": np.int64(3), "row": np.array([1.0, NAN])}],
                "mistakes": []},
        figures={"confusion": Matrix("C", ["a", "b"], ["a", "b"], [[3, 0], [NAN, 2]], "truth", "predicted"),
                 "reliability": Curve("R", "x", "y", [0.1, 0.9], {"accuracy": [NAN, 1.0]}, True, [0, 5]),
                 "mistakes": Gallery("M", PICTURES, ["one", "two"]),
                 "sounds": Sounds("S", CLIPS, 8000, ["five", "nothing"])},
        examples=5, about={"app": "mnist", "best": np.float64(NAN), "pair": (1, NAN)})


def strict(report):
    return json.loads(json.dumps(report.to_json(), allow_nan=False))


def test_json_has_no_nan_and_survives_the_way_there_and_back():
    record = full().to_json()
    assert strict(full()) == record
    assert record["metrics"] == {"accuracy": 0.5, "f1": None, "loss": None}
    assert record["tables"]["classes"] == [{"label": "二", "f1": None, "support": 3, "row": [1.0, None]}]
    assert record["figures"]["confusion"]["values"] == [[3, 0], [None, 2]]
    assert record["figures"]["reliability"]["lines"] == {"accuracy": [None, 1.0]}
    assert (record["app"], record["best"], record["pair"], record["examples"]) == ("mnist", None, [1, None], 5)


def test_json_has_the_captions_and_neither_pictures_nor_clips():
    figures = strict(full())["figures"]
    assert figures["mistakes"] == {"title": "M", "captions": ["one", "two"], "legend": {}}
    assert figures["sounds"] == {"title": "S", "rate": 8000, "captions": ["five", "nothing"]}


def test_the_report_itself_keeps_its_numbers_and_pictures():
    report = full()
    report.to_json()
    assert np.isnan(report.metrics["f1"]) and report.figures["mistakes"].pictures[0] is PICTURES[0]


@pytest.mark.parametrize("name", ["report", "test-sample"])
def test_saving_writes_the_json_and_a_sound_picture_a_figure(name, tmp_path):
    report = full()
    report.save(tmp_path / "run", name)
    assert json.loads((tmp_path / "run" / f"{name}.json").read_text(encoding="utf-8")) == report.to_json()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {name, f"{name}.json"}
    written = {path.name: path for path in (tmp_path / "run" / name).iterdir()}
    folder = written.pop("sounds")
    assert written.keys() == {f"{figure}.png" for figure in report.figures if figure != "sounds"}
    for path in written.values():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) > 150
            assert len(np.unique(np.asarray(image.convert("L")))) > 10
    assert {path.name for path in folder.iterdir()} == {"01.wav", "02.wav"}
    for number, clip in enumerate(CLIPS, 1):
        with wave.open(str(folder / f"{number:02}.wav")) as file:
            assert file.getparams()[:4] == (1, 2, 8000, len(clip))
            assert file.readframes(len(clip)) == clip.tobytes()


def test_saving_again_replaces(tmp_path):
    full().save(tmp_path)
    Report({"accuracy": 1.0}).save(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["metrics"] == {"accuracy": 1.0}


def test_a_file_name_that_is_no_utf8_can_be_saved(tmp_path):
    named = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    Report({}, {"mistakes": [{"file": named}]}).save(tmp_path)
    kept = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["tables"]["mistakes"][0]["file"]
    assert kept.startswith("caf") and kept.endswith(".png")


@pytest.mark.parametrize("higher, better, worse", [(True, 0.9, 0.8), (False, 0.8, 0.9), (True, -1.0, -2.0)])
def test_better(higher, better, worse):
    headline = Headline("figure", higher)
    assert headline.better(better, worse)
    assert not headline.better(worse, better)
    assert not headline.better(better, better)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("value", [0.0, -np.inf, np.inf])
def test_nan_never_beats_and_always_loses(higher, value):
    headline = Headline("figure", higher)
    assert headline.better(value, NAN)
    assert not headline.better(NAN, value)
    assert not headline.better(NAN, NAN)


@pytest.mark.parametrize("unit, value, shown", [("%", 0.98765, "98.77 %"), ("%", 1.0, "100.00 %"),
                                                ("%", -0.005, "-0.50 %"), ("px", 1.23456, "1.2346 px"),
                                                ("", 0.5, "0.5000")])
def test_show(unit, value, shown):
    assert Headline("figure", unit=unit).show(value) == shown


def test_brackets_in_a_text_are_shown_as_they_are():
    console = Console(file=io.StringIO(), width=200)
    row = {"text": "[/b] is no [bold]markup[/bold]", "gold": marked(b"Rome", [Span(0, 4, "LOC")]), "count": 3}
    show_report(Report({"f1": 0.5}, {"mistakes": [row]}, examples=1), Headline("f1"), console)
    shown = console.file.getvalue()
    assert row["text"] in shown and "[Rome LOC]" in shown and "\x1b" not in shown
