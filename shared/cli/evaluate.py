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
from shared.evaluation.ensemble import Member, score_ensemble
from shared.evaluation.predictors import Predictor, open_artifact
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.evaluation.show import show_metrics, show_report
from shared.files import make_folder, unused
from shared.run import Run
from shared.settings import DataSettings, setting

DATE = "%Y-%m-%dT%H:%M:%S%z"


def settings_class(app: App) -> type:
    return make_dataclass("EvaluateArguments", [
        ("artifact", list[str], field(default_factory=list, metadata={
            "help": "a run, a SavedModel or a .tflite; more than one are compared, and their "
                    "ensemble with them, where the app can average answers [the latest run]",
            "metavar": "PATH"})),
        ("data", Optional[str], setting(None, "sample, tfds:NAME or a path [what the artifact was trained on]",
                                        metavar="DATA")),
        ("data_dir", Optional[str], setting(None, "where prepared TFDS data lie [TFDS's own folder]", metavar="DIR")),
        ("split", Literal["train", "validation", "test"], setting("test", "which part of the data")),
        ("limit", int, setting(0, "use only so many examples (0: all)", advanced=True, at_least=0)),
        ("max_bad", float, setting(0.01, "share of unreadable examples above which it stops", advanced=True,
                                   at_least=0, at_most=1)),
        ("output", Optional[str], setting(None, "folder for the report and its figures, beside earlier ones "
                                          "[of a run: its evaluations/]", metavar="DIR")),
        ("threads", int, setting(0, "threads of a .tflite (0: all)", at_least=0, at_most=256)),
        ("json", bool, setting(False, "print the reports as one JSON value"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    reports: list[Report] = []
    members: list[Member] = []
    runs: list[Run] = []
    if arguments.output:
        make_folder(arguments.output)
    for named in arguments.artifact or [None]:
        predictor = open_artifact(meant(app, named), app, arguments.threads)
        fits(app, predictor)
        source = data_of(app, predictor, arguments)
        split = pick(app.dataset(source, predictor.facts), arguments.split)
        with progress(f"{arguments.split} split", len(split)) as advance:
            answer = answering(app, predictor, predictor.inputs, predictor.facts)
            report = score(answer, split, app.scorer(predictor.facts), advance=advance, explain=True)
        report.about = {"app": app.name, "artifact": str(predictor.path), "kind": predictor.kind,
                        "data": source.data, "split": arguments.split, "date": time.strftime(DATE)}
        own = [Run(predictor.path)] if predictor.kind == "run" else []
        keep(report, own, arguments)
        show_report(report, app.headline, console)
        reports.append(report)
        members.append(Member(predictor.facts, answer, split))
        runs += own
    if len(reports) > 1:
        if report_of_all := ensemble(app, members, arguments.split):
            report_of_all.about = {**reports[0].about, "artifact": "ensemble", "kind": "ensemble",
                                   "of": [report.about["artifact"] for report in reports],
                                   "date": time.strftime(DATE)}
            tell(f"The ensemble of these {len(members)}:")
            keep(report_of_all, runs, arguments)
            show_report(report_of_all, app.headline, console)
            reports.append(report_of_all)
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
    if not (arguments.data or kept or data.partition(":")[0] in ("sample", "tfds")):
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


def ensemble(app: App, members: list[Member], split: str) -> Report | None:
    """The report of all artifacts as one, or a sentence why there is none; nothing where the app has no ensembles."""
    try:
        with progress(f"{split} split, ensemble", len(members[0].split)) as advance:
            return score_ensemble(app, members, advance)
    except UserError as error:
        tell(f"No ensemble: {error}")
        return None


def keep(report: Report, runs: list[Run], arguments: Any) -> None:
    """Files the report beside earlier ones: where asked, else in the first run; every look at the test split is
    logged in the runs."""
    if arguments.split == "test":
        for own in runs:
            own.append("test_scorings.jsonl", {**report.about, "metrics": report.metrics})
    folder = Path(arguments.output) if arguments.output else runs[0].folder / "evaluations" if runs else None
    if folder:
        mark = "-ensemble" if report.about["kind"] == "ensemble" else ""
        stem = f"{arguments.split}-{Path(report.about['data'].replace(':', '-')).name}{mark}"
        place = unused(folder / stem, ".json")
        report.save(folder, place.name)
        tell(f"Report and figures: {place}.json, {place}/")
