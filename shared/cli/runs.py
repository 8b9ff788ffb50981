"""The verb `runs`."""

from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

from shared.app import App
from shared.cli.terminal import console, result, tell
from shared.errors import UserError
from shared.evaluation.show import show_comparison
from shared.run import RUNS, runs_of
from shared.settings import setting

SHOWN = ("model", "data", "epochs", "batch_size", "optimizer", "learning_rate", "seed")


def settings_class(app: App) -> type:
    return make_dataclass("RunsArguments", [
        ("folder", str, setting(str(RUNS), "folder that holds the apps' runs", metavar="DIR")),
        ("json", bool, setting(False, "print the rows as one JSON value"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    rows = []
    for each in runs_of(app.name, Path(arguments.folder)):
        try:
            record = each.read("run.json")
            settings = each.settings(app)
        except UserError as error:
            tell(f"Left out: {error}")
            continue
        rows.append({"run": str(each.folder), "state": record["state"], app.headline.key: record.get("score"),
                     "parameters": record.get("parameters"), "cpu_minutes": record.get("cpu_minutes"),
                     **{key: getattr(settings, key, None) for key in SHOWN}})
    if not rows:
        tell(f"No runs of {app.name} in {arguments.folder} yet: `pocketconv {app.name} fit` makes one.")
    else:
        show_comparison(rows, console, f"runs of {app.name}, validation {app.headline.key}")
    if arguments.json:
        result(rows)
    return 0
