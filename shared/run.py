"""A run: the folder that holds all that one training made."""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.app import App
from shared.errors import UserError
from shared.facts import Facts
from shared.files import make_folder, write_atomically
from shared.settings import UNKEPT, as_dict

FORMAT = 1
RUNS = Path("runs")


@dataclass
class Run:
    """Files of a run: `run.json` (app, format, state), `settings.yaml`, `facts.json`, `model.keras` (the best),
    `checkpoints/`, `tensorboard/`, `report.json`, `report/*.png`, `history.json`, `test_scorings.jsonl`."""

    folder: Path

    @property
    def network(self) -> Path:
        return self.folder / "model.keras"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @classmethod
    def create(cls, folder: Path, app: App, settings: Any) -> "Run":
        """A new folder with its record. Raises UserError where something stands there already."""
        if any(make_folder(folder).iterdir()):
            raise UserError(f"{folder} is not empty: choose another --run, or go on with it by --resume {folder}.")
        run = cls(folder)
        run.write("run.json", {"format": FORMAT, "app": app.name, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                               "state": "begun"})
        kept = {key: value for key, value in as_dict(settings).items() if key not in UNKEPT}
        write_atomically(folder / "settings.yaml", yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
        return run

    def discard(self) -> None:
        """Removes the folder where it holds nothing but records of what was to begin, its own or those of folds."""
        made = {path.name for path in self.folder.rglob("*") if path.is_file()}
        if made <= {"run.json", "settings.yaml"}:
            shutil.rmtree(self.folder)

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Run":
        """Raises UserError where `folder` is no run of this format."""
        run = cls(Path(folder))
        if not run.folder.is_dir():
            raise UserError(f"{folder} is no folder: give the folder of a run, as `runs` lists them.")
        if run.read("run.json").get("format") != FORMAT:
            raise UserError(f"{folder} was written in format {run.read('run.json').get('format')}; "
                            f"this version reads {FORMAT}: train it anew, or install the version that made it.")
        return run

    @property
    def app(self) -> str:
        return self.read("run.json")["app"]

    def settings(self, app: App) -> Any:
        """The settings that the run was started with. Raises UserError where they are missing or foreign."""
        path = self.folder / "settings.yaml"
        try:
            return app.Settings(**yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, yaml.YAMLError) as error:
            raise UserError(f"{path} is missing or damaged ({error}): this run cannot be used.") from error

    def facts(self) -> Facts:
        return Facts.load(self.folder)

    def read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is missing or damaged: {self.folder} is no complete run.") from error

    def write(self, name: str, content: dict[str, Any]) -> None:
        write_atomically(self.folder / name, json.dumps(content, indent=1, ensure_ascii=False))

    def mark(self, **changes: Any) -> None:
        """Changes entries of `run.json`."""
        self.write("run.json", {**self.read("run.json"), **changes})

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Adds a line to a log of the run."""
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def runs_of(app: str, root: Path = RUNS) -> list[Run]:
    """All runs of an app below `root`, the oldest first."""
    found = [Run(path.parent) for path in (root / app).glob("*/run.json")]
    return sorted(found, key=lambda run: (run.folder / "run.json").stat().st_mtime)
