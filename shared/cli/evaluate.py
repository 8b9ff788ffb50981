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
from shared.evaluation.answering import answering
from shared.evaluation.predictors import Predictor, open_artifact
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.evaluation.show import show_metrics, show_report
from shared.files import make_folder
from shared.run import Run
from shared.settings import DataSettings, setting


def settings_class(app: App) -> type:
    return make_dataclass("EvaluateArguments", [
        ("artifact", list[str], field(default_factory=list, metadata={
            "help": "a run, a SavedModel or a .tflite; more than one are compared [the latest run]",
            "metavar": "PATH"})),
        ("data", Optional[str], setting(None, "sample, tfds:NAME or a path [what the artifact was trained on]",
                                        metavar="DATA")),
        ("data_dir", Optional[str], setting(None, "where prepared TFDS data lie [TFDS's own folder]", metavar="DIR")),
        ("split", Literal["train", "validation", "test"], setting("test", "which part of the data")),
        ("limit", int, setting(0, "use only so many examples (0: all)", advanced=True, at_least=0)),
        ("max_bad", float, setting(0.01, "share of unreadable examples above which it stops", advanced=True,
                                   at_least=0, at_most=1)),
        ("output", Optional[str], setting(None, "folder for report.json and its figures [beside a run: evaluations/]",
                                          metavar="DIR")),
        ("threads", int, setting(0, "threads of a .tflite (0: all)", at_least=0, at_most=256)),
        ("json", bool, setting(False, "print the reports as one JSON value"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    reports = []
    if arguments.output:
        make_folder(arguments.output)
    named_all = arguments.artifact or [None]
    for number, named in enumerate(named_all, 1):
        predictor = open_artifact(meant(app, named), app, arguments.threads)
        fits(app, predictor)
        source = data_of(app, predictor, arguments)
        split = pick(app.dataset(source, predictor.facts), arguments.split)
        with progress(f"{arguments.split} split", len(split)) as advance:
            answer = answering(app, predictor, predictor.inputs, predictor.facts)
            report = score(answer, split, app.scorer(predictor.facts), advance=advance, explain=True)
        report.about = {"app": app.name, "artifact": str(predictor.path), "kind": predictor.kind,
                        "data": source.data, "split": arguments.split, "date": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        keep(predictor, report, arguments, f"-{number}" if len(named_all) > 1 else "")
        show_report(report, app.headline, console)
        reports.append(report)
    if len(reports) > 1:
        show_metrics({r.about["artifact"]: r.metrics for r in reports}, console,
                     f"{arguments.split} split")
    if arguments.json:
        result(reports[0].to_json() if len(reports) == 1 else [report.to_json() for report in reports])
    return 0


def data_of(app: App, predictor: Predictor, arguments: Any) -> DataSettings:
    """The data that are asked for, else those that the artifact was trained on; split as they were split then, or
    what it was trained on would be scored."""
    kept = Run(predictor.path).settings(app) if predictor.kind == "run" else None
    data = arguments.data or (kept.data if kept else predictor.facts["data"])
    if not (arguments.data or kept or data == "sample" or data.startswith("tfds:")):
        raise UserError(f"{predictor.path} was trained on a folder named {data}: say by --data where it is.")
    return DataSettings(data=data, data_dir=arguments.data_dir or (kept.data_dir if kept else None),
                        limit=arguments.limit, max_bad=arguments.max_bad, **predictor.facts["splits"])


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


def keep(predictor: Predictor, report: Report, arguments: Any, mark: str) -> None:
    """Files the report: where asked, else beside the run; every look at the test split is logged in the run."""
    folder = Path(arguments.output) if arguments.output else None
    if predictor.kind == "run":
        own = Run(Path(predictor.path))
        if arguments.split == "test":
            own.append("test_scorings.jsonl", {**report.about, "metrics": report.metrics})
        folder = folder or own.folder / "evaluations"
    if folder:
        stem = f"{arguments.split}-{Path(report.about['data'].replace(':', '-')).name}"
        stem += mark if arguments.output else ""
        report.save(folder, stem)
        tell(f"Report and figures: {folder / stem}.json, {folder / stem}/")
