"""The verb `predict`."""

import os
import sys
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any, Optional

from shared.app import Answer, App, Raw
from shared.cli.artifacts import meant
from shared.cli.evaluate import fits
from shared.cli.terminal import progress, result, tell
from shared.errors import UserError
from shared.evaluation.answering import Answering, answering
from shared.evaluation.predictors import Predictor, open_artifact
from shared.files import make_folder, write_atomically
from shared.settings import setting


def settings_class(app: App) -> type:
    return make_dataclass("PredictArguments", [
        ("inputs", list[str], field(default_factory=list, metadata={
            "help": f"raw inputs: {app.argument}, or - for {app.standard_input}",
            "positional": True, "metavar": "INPUT"})),
        *([(app.argument_flag, Optional[str], setting(None, "another way to give an INPUT", metavar="INPUT"))]
          if app.argument_flag else []),
        ("artifact", Optional[str], setting(None, "a run, a SavedModel or a .tflite [the latest run]",
                                            metavar="PATH")),
        ("output", Optional[str], setting(None, "folder for answers that are files (masks, overlays)", metavar="DIR")),
        ("force", bool, setting(False, "replace files of that name in --output")),
        ("threads", int, setting(0, "threads of a .tflite (0: all)", at_least=0, at_most=256)),
        ("json", bool, setting(False, "one JSON object a line")),
        *([("explain", bool, setting(False, app.explains))] if app.explains else []),
        *((device, bool, setting(False, says)) for device, says in app.devices.items())], kw_only=True)


def run(app: App, arguments: Any) -> int:
    """Answers every input it can; a bad one is told and counted, and the exit status is then 2."""
    if app.argument_flag and (given := getattr(arguments, app.argument_flag)) is not None:
        arguments.inputs = [*arguments.inputs, given]
    device = next((name for name in app.devices if getattr(arguments, name)), None)
    if device and (arguments.inputs or arguments.output):
        raise UserError(f"--{device} prints what it hears: leave out all inputs and --output.")
    if not arguments.inputs and not device:
        ways = ", ".join(["or - for standard input", *(f"or --{name}" for name in app.devices)])
        raise UserError(f"Name what to answer, e.g. `pocketconv {app.name} predict FILE`, {ways}.")
    predictor = open_artifact(meant(app, arguments.artifact), app, arguments.threads)
    fits(app, predictor)
    if arguments.output:
        make_folder(arguments.output)
    written: set[Path] = set()
    answer_rows = answering(app, predictor, predictor.inputs, predictor.facts)
    if device:
        return listen(app, device, predictor, answer_rows, arguments.json)
    bad = 0
    for named in arguments.inputs:
        try:
            inputs = app.from_standard_input(sys.stdin) if named == "-" else app.inputs(named)
        except UserError as error:
            tell(str(error))
            bad += 1
            continue
        with progress(named, len(inputs) if isinstance(inputs, list) else None) as advance:
            for argument in inputs:
                try:
                    raw = app.read_input(argument, predictor.facts)
                    for what in app.oddities(argument, raw, predictor.facts):
                        tell(f"{argument}: {what}.")
                    [answer] = answer_rows([raw])
                    why, because = (app.explain(raw, answer, answer_rows, predictor.facts)
                                    if app.explains and arguments.explain else ("", None))
                    if arguments.output:
                        inside = os.path.relpath(argument, named) if os.path.isdir(named) else Path(str(argument)).name
                        place = Path(arguments.output) / inside
                        written |= write(app, raw, answer, predictor, place, arguments.force, written)
                except UserError as error:
                    tell(str(error))
                    bad += 1
                else:
                    told = {"explanation": because} if because is not None else {}
                    result({"input": str(argument), **app.to_json(raw, answer, predictor.facts), **told}
                           if arguments.json else f"{argument}: {app.show(raw, answer, predictor.facts)}{why}")
                advance(1)
    return 2 if bad else 0


def write(app: App, raw: Raw, answer: Answer, predictor: Predictor, place: Path, force: bool,
          written: set[Path]) -> set[Path]:
    """Writes an answer's files, named after `place`, and gives their paths; what stands there is replaced only where
    `force` allows it, what this command wrote never."""
    files = {place.parent / f"{place.stem}{name}": content
             for name, content in app.files(raw, answer, predictor.facts).items()}
    if twice := written & files.keys():
        raise UserError(f"{min(twice)} is the answer to another input of this name already: answer one of them into "
                        f"another --output.")
    if there := [path for path in files if path.exists() and not force]:
        raise UserError(f"{there[0]} is there already: choose another --output, or replace it by --force.")
    for path, content in files.items():
        make_folder(path.parent)
        write_atomically(path, content)
    return set(files)


def listen(app: App, device: str, predictor: Predictor, answer_rows: Answering, as_json: bool) -> int:
    """Answers what a device gives until it ends, or Ctrl-C."""
    with app.listen(device, predictor.facts) as inputs:
        tell("Listening; Ctrl-C ends it.")
        for name, raw in inputs:
            [answer] = answer_rows([raw])
            if as_json:
                result({"input": name, **app.to_json(raw, answer, predictor.facts)})
            elif said := app.heard(raw, answer, predictor.facts):
                result(f"{name}: {said}")
    return 0
