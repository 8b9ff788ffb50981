"""The verb `fit`."""

import shlex
from dataclasses import fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from shared.app import App
from shared.cli.terminal import console, progress, result, tell
from shared.errors import UserError
from shared.files import write_atomically
from shared.quiet import load_tensorflow
from shared.run import RUNS, Run
from shared.settings import flag_of, refuse, setting


def settings_class(app: App) -> type:
    return make_dataclass("FitArguments", [("json", bool, setting(False, "print the report as one JSON value"))],
                          bases=(app.Settings,), kw_only=True)


def run(app: App, arguments: Any) -> int:
    settings = app.Settings(**{field.name: getattr(arguments, field.name) for field in fields(app.Settings)})
    refuse(settings, app.refused, app.name)
    app.check(settings)
    if settings.resume:
        settings, there = resumed(app, settings, arguments.given)
    elif settings.from_run:
        source = Run.open(settings.from_run)
        if source.app != app.name:
            raise UserError(f"{source.folder} is a run of {source.app}: --from takes one of {app.name}.")
    # Data first: what is wrong with them shows in a second, before TensorFlow is loaded.
    from shared.data.checks import check
    from shared.data.splits import folds
    dataset = app.dataset(settings, splits=not settings.folds)
    for note in [*dataset.notes, *check(dataset, app.raw, ["train"] if settings.folds else ["train", "validation"]),
                 *app.examine(settings, dataset)]:
        tell(note)
    pairs = folds(dataset, settings.folds, settings.seed) if settings.folds else iter(())
    load_tensorflow()
    from shared.evaluation.show import show_report
    from shared.training.callbacks import Interrupted
    from shared.training.fit import cross_validate, default_folder, fit
    if not settings.resume:
        folder = Path(settings.run) if settings.run else default_folder(app, settings, RUNS)
        there = Run.create(folder, app, settings)
    tell(f"Run: {there.folder}")
    verbose = 1 if console.is_terminal else 2
    try:
        if settings.folds:
            summary = cross_validate(app, settings, dataset, pairs, there, tell, progress, verbose)
            there.write("folds.json", summary)
            key = app.headline.key
            there.mark(state="finished", score=summary["mean"][key])
            tell(f"{key} over {settings.folds} folds: {app.headline.show(summary['mean'][key])} "
                 f"± {app.headline.show(summary['standard_deviation'][key])} (standard deviation)")
            if arguments.json:
                result({"run": str(there.folder), **summary})
            return 0
        report = fit(app, settings, dataset, there, tell, progress, verbose)
    except Interrupted as stop:
        again = shlex.join(["pocketconv", app.name, "fit", "--resume", str(there.folder)])
        raise KeyboardInterrupt(f"Stopped and saved. Go on with: {again}") from stop
    except UserError:
        if not settings.resume:
            there.discard()  # the data do not allow these settings, and nothing was learned
        raise
    show_report(report, app.headline, console)
    tell(f"Kept in {there.folder}; curves and pictures: tensorboard --logdir {there.folder.parent}")
    if arguments.json:
        result({"run": str(there.folder), **report.to_json()})
    return 0


MAY_CHANGE = {"resume", "json", "epochs", "data_dir", "max_bad"}  # nothing of these changes what a step does


def resumed(app: App, settings: Any, given: set[str]) -> tuple[Any, Run]:
    """The settings of the run to go on with. Raises UserError for a flag that would make it another training."""
    there = Run.open(settings.resume)
    if there.app != app.name:
        raise UserError(f"{there.folder} is a run of {there.app}, not of {app.name}.")
    kept = there.settings(app)
    for field in fields(app.Settings):
        if field.name in given - MAY_CHANGE and getattr(settings, field.name) != getattr(kept, field.name):
            raise UserError(f"{flag_of(field)} cannot change within a run: leave it out to go on, or start a new one "
                            f"from its weights by --from {there.folder}.")
    changes = {name: getattr(settings, name) for name in given & (MAY_CHANGE - {"json", "resume"})}
    if changes:
        kept = replace(kept, **changes)
        path = there.folder / "settings.yaml"
        record = {**yaml.safe_load(path.read_text(encoding="utf-8")), **changes}
        write_atomically(path, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))
    return replace(kept, resume=settings.resume), there
