"""`pocketconv APP VERB`: finds the app and the verb, and turns what happens into an exit status."""

import difflib
import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from shared.app import app_paths, find_app
from shared.cli.parser import parse
from shared.cli.terminal import tell
from shared.errors import GateFailed, UserError

VERBS = {
    "fit": "train a network, or go on with --resume RUN",
    "evaluate": "score artifacts on a split",
    "predict": "answer raw inputs",
    "export": "ship a run as SavedModel and TFLite files, each proven",
    "benchmark": "latency and memory of an artifact",
    "runs": "list the runs of an app",
}
EXAMPLES = {
    "fit": ("fit --data sample --epochs 5", "fit --resume RUN --epochs 20", "fit --config RUN/settings.yaml --seed 1"),
    "evaluate": ("evaluate", "evaluate --artifact A.tflite --artifact B.tflite --data DATA --split test"),
    "predict": ("predict INPUT", "predict INPUT INPUT --artifact FILE.tflite --json"),
    "export": ("export", "export --run RUN --max-drop 0.1"),
    "benchmark": ("benchmark --artifact FILE.tflite --threads 1,2,4",),
    "runs": ("runs", "runs --json"),
}
DONE, FAILED, MENDABLE, BUG, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str], apps: dict[str, str]) -> int:
    """Runs one command.

    Args:
        arguments: the command line without the program's name.
        apps: `package.module:Class` by app name; installed packages may add more.

    Returns:
        Exit status: 0 done, 1 a gate failed, 2 the user can mend it, 3 our fault, 130 Ctrl-C.
    """
    debug = "--debug" in arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not debug:
        warnings.filterwarnings("ignore")
    try:
        return dispatch(list(arguments), {**app_paths(), **apps})
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else MENDABLE
    except (UserError, GateFailed) as error:
        if debug:
            raise
        tell(str(error))
        return FAILED if isinstance(error, GateFailed) else MENDABLE
    except KeyboardInterrupt as stop:
        tell(str(stop) or "Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM):
            tell(f"Cannot write {error.filename or 'a file'} ({error.strerror}): free space or choose another folder; "
                 f"what was complete is kept.")
            return MENDABLE
        tell(f"This is a fault of pocketconv, not yours: {type(error).__name__}: {error}. --debug shows where.")
        return BUG


def dispatch(arguments: list[str], apps: dict[str, str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "--help-all"):
        table("usage: pocketconv APP VERB [--flag VALUE ...]", "apps",
              {name: find_app(name, apps).summary for name in sorted(apps)},
              "pocketconv APP lists what can be done with it.")
        return DONE
    name = arguments.pop(0)
    if name not in apps:
        raise UserError(f"There is no app '{name}'" + near(name, apps) + f" Apps: {', '.join(sorted(apps))}.")
    app = find_app(name, apps)
    if not arguments or arguments[0] in ("-h", "--help", "--help-all"):
        table(f"usage: pocketconv {name} VERB [--flag VALUE ...]", f"{name}: {app.summary}", VERBS,
              f"pocketconv {name} VERB --help shows its flags.")
        return DONE
    verb = arguments.pop(0)
    if verb not in VERBS:
        raise UserError(f"There is no verb '{verb}'" + near(verb, VERBS) + f" Verbs: {', '.join(VERBS)}.")
    module = importlib.import_module(f"shared.cli.{verb}")
    examples = [f"  pocketconv {name} {example}" for example in EXAMPLES[verb]]
    settings = parse(f"pocketconv {name} {verb}", f"{app.name}: {VERBS[verb]}", module.settings_class(app), arguments,
                     "\n".join(["examples:", *examples]))
    return module.run(app, settings)


def near(word: str, known: dict[str, str]) -> str:
    found = difflib.get_close_matches(word, known, 1)
    return f": did you mean '{found[0]}'?" if found else "."


def table(usage: str, title: str, rows: dict[str, str], end: str) -> None:
    lines = [f"  {name:12}{text}" for name, text in rows.items()]
    sys.stdout.write("\n".join([usage, "", title, *lines, "", end, ""]))

