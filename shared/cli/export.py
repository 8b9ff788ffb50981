"""The verb `export`."""

from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, Literal, Optional

from shared.app import App
from shared.cli.artifacts import SAVED_MODELS, meant
from shared.cli.evaluate import pick
from shared.cli.terminal import console, progress, result, tell
from shared.errors import GateFailed, UserError
from shared.evaluation.show import show_comparison
from shared.export.convert import VARIANTS
from shared.quiet import load_tensorflow
from shared.run import Run
from shared.settings import setting


def settings_class(app: App) -> type:
    return make_dataclass("ExportArguments", [
        ("run", Optional[str], setting(None, "the run to ship [the latest]", metavar="RUN")),
        ("output", Optional[str], setting(None, "folder of the shipped files [saved_models/APP/RUN]", metavar="DIR")),
        ("variants", str, setting(",".join(VARIANTS), "which .tflite files to make", metavar="NAMES")),
        ("max_drop", float, setting(0.5, "largest loss of the headline against Keras, in points", at_least=0,
                                    at_most=100)),
        ("batch", Literal["1", "dynamic"], setting("1", "dynamic runs in the Interpreter only", advanced=True)),
        ("force", bool, setting(False, "replace an earlier export of this run")),
        ("json", bool, setting(False, "print export.json"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    there = Run.open(meant(app, arguments.run))
    if there.app != app.name:
        raise UserError(f"{there.folder} is a run of {there.app}: use `pocketconv {there.app}`.")
    variants = [name.strip() for name in arguments.variants.split(",")]
    if wrong := [name for name in variants if name not in VARIANTS]:
        raise UserError(f"--variants: there is no '{wrong[0]}'; there are {', '.join(VARIANTS)}.")
    settings, facts = there.settings(app), there.facts()
    dataset = app.dataset(settings, facts)
    pick(dataset, "validation")
    place = arguments.output or SAVED_MODELS / app.name / there.folder.name
    folder = Path(place).resolve()
    load_tensorflow()
    from shared.export.export import export
    record = export(app, there, dataset, folder, variants=variants, max_drop=arguments.max_drop,
                    batch=arguments.batch, force=arguments.force, tell=tell, progress=progress)
    rows = [{"file": row.get("file") or row["variant"], "bytes": row.get("bytes"),
             app.headline.key: row.get("score"), "drop": row.get("drop"), "latency_ms": row.get("latency_ms"),
             "result": "proven" if row["passed"] else f"FAILED: {row.get('reason')}"} for row in record["variants"]]
    show_comparison(rows, console, f"{len(dataset.splits['validation'])} validation examples")
    tell(f"In {place}: SavedModel, .tflite files, golden.json, MODEL_CARD.md")
    if arguments.json:
        result(record)
    failed = [row["variant"] for row in record["variants"] if not row["passed"]]
    if failed:
        raise GateFailed(f"Not good enough to ship: {', '.join(failed)}; export.json says why.")
    return 0
