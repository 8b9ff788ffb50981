"""The verb `evaluate`."""

import time
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any, Literal, Optional

from shared.app import App
from shared.cli.artifacts import meant
from shared.cli.terminal import console, progress, result, tell
from shared.data.dataset import Dataset
from shared.errors import UserError
from shared.evaluation.predictors import Predictor, open_artifact
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.evaluation.show import show_metrics, show_report
from shared.run import Run
from shared.settings import DataSettings, setting


def settings_class(app: App) -> type:
    default = next(f.default for f in app.Settings.__dataclass_fields__.values() if f.name == "data")
    return make_dataclass("EvaluateArguments", [
        ("artifact", list[str], field(default_factory=list, metadata={
            "help": "a run, a SavedModel or a .tflite; more than one are compared [the latest run]",
            "metavar": "PATH"})),
        ("data", str, setting(default, "sample, tfds:NAME or a path", metavar="DATA")),
        ("split", Literal["train", "validation", "test"], setting("test", "which part of the data")),
        ("output", Optional[str], setting(None, "folder for report.json and its figures [beside a run: evaluations/]",
                                          metavar="DIR")),
        ("threads", int, setting(0, "threads of a .tflite (0: all)", at_least=0, at_most=256)),
        ("json", bool, setting(False, "print the reports as one JSON value"))],
        bases=(DataSettings,), kw_only=True)


def run(app: App, arguments: Any) -> int:
    reports = []
    for named in arguments.artifact or [None]:
        predictor = open_artifact(meant(app, named), app, arguments.threads)
        fits(app, predictor)
        split = pick(app.load(arguments, predictor.facts), arguments.split)
        with progress(f"{arguments.split} split", len(split)) as advance:
            report = score(predictor, predictor.inputs, split, app.scorer(predictor.facts), advance=advance)
        report.about = {"app": app.name, "artifact": str(predictor.path), "kind": predictor.kind,
                        "data": arguments.data, "split": arguments.split,
                        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        keep(predictor, report, arguments)
        show_report(report, app.headline, console)
        reports.append(report)
    if len(reports) > 1:
        show_metrics({r.about["artifact"]: r.metrics for r in reports}, console,
                     f"{arguments.split} split of {arguments.data}")
    if arguments.json:
        result(reports[0].to_json() if len(reports) == 1 else [report.to_json() for report in reports])
    return 0


def fits(app: App, predictor: Predictor) -> None:
    if predictor.app != app.name:
        raise UserError(f"{predictor.path} was made by the app {predictor.app}: use `pocketconv {predictor.app}`.")


def pick(dataset: Dataset, name: str) -> Any:
    """A split by name, or a UserError that names those there are."""
    if name not in dataset.splits:
        raise UserError(f"{dataset.name} has no {name} split; it has: {', '.join(dataset.splits)}.")
    split = dataset.splits[name]
    if not len(split):
        raise UserError(f"The {name} split of {dataset.name} is empty.")
    return split


def keep(predictor: Predictor, report: Report, arguments: Any) -> None:
    """Files the report: where asked, else beside the run; every look at the test split is logged in the run."""
    folder = Path(arguments.output) if arguments.output else None
    if predictor.kind == "run":
        own = Run(Path(predictor.path))
        if arguments.split == "test":
            own.append("test_scorings.jsonl", {**report.about, "metrics": report.metrics})
        folder = folder or own.folder / "evaluations"
    if folder:
        stem = f"{arguments.split}-{Path(arguments.data.replace(':', '-')).name}"
        report.save(folder, stem)
        tell(f"Report and figures: {folder / stem}.json, {folder / stem}/")
