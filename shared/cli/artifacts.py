"""Which artifact is meant when none is named: the latest run, else the reference model that comes along."""

from pathlib import Path

from shared.app import App
from shared.cli.terminal import tell
from shared.errors import UserError
from shared.run import RUNS, runs_of

SAVED_MODELS = Path("saved_models")


def reference(app: App) -> Path | None:
    """The committed reference file of an app: its int8 `.tflite`, the best one first by name."""
    for root in (SAVED_MODELS, Path(__file__).parents[2] / "saved_models"):
        for path in sorted((root / app.name / "reference").rglob("*-int8.tflite")):
            return path
    return None


def meant(app: App, named: str | None) -> Path:
    """The named artifact, or what is meant without a name; says which. Raises UserError where there is none."""
    if named:
        return Path(named)
    finished = [run for run in runs_of(app.name, RUNS) if run.network.exists()]
    if finished:
        tell(f"The latest run: {finished[-1].folder}")
        return finished[-1].folder
    if path := reference(app):
        tell(f"No run here yet, so the reference model: {path}")
        return path
    raise UserError(f"There is no run of {app.name} here: train one by `pocketconv {app.name} fit`, "
                    f"or name a file by --artifact.")
