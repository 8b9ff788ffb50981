"""Kills a training at random steps (SIGKILL), resumes it, and compares the end with that of a run never killed.

    python -m benchmarks.resume [--app mnist] [--kills 20] [--flags "--data sample --epochs 3 ..."]

Each resumed run is killed again until its share of the kills is used up. Prints, for each run, how many weights,
optimizer slots and metric states differ (0 is the promise) and whether the histories are equal.
"""

import argparse
import json
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FLAGS = {"mnist": "--data sample --limit 1000 --epochs 3 --batch-size 32 --model resnet --width 0.25 --ema 0.9 "
                  "--schedule plateau --decay-epochs 1",
         "ner": "--data sample --limit 600 --epochs 3 --batch-size 32 --filters 32 --token-loss 0.1",
         "segment": "--data sample --limit 48 --epochs 2 --batch-size 4 --width 8 --depth 2 --size 64x80 --bend 4",
         "speech": "--data sample --rate 8000 --limit 300 --epochs 3 --batch-size 32 --filters 16 --model cnn_gru",
         "text": "--data sample --epochs 3 --batch-size 32 --word-dropout 0.1 --crop 0.1"}
COMMON = "--checkpoint-steps 3 --steps-per-execution 1"


def start(app: str, arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "apps", app, "fit", *shlex.split(arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            cwd=Path(__file__).parents[1])


def finish(process: subprocess.Popen) -> None:
    errors = process.communicate()[1]
    if process.returncode:
        sys.exit(errors)


def saves(run: Path) -> int:
    """How many checkpoints the run has written so far."""
    try:
        return json.loads((run / "checkpoints" / "index.json").read_text())[-1]["number"]
    except (OSError, ValueError, IndexError):
        return 0


def train(app: str, flags: str, run: Path, kills: int, dice: random.Random) -> int:
    """Trains into `run`, killed `kills` times a few random steps after it began; gives the kills that were made."""
    done = 0
    process = start(app, f"{flags} {COMMON} --run {run}")
    while done < kills:
        target, before = dice.randint(1, 6), saves(run)
        while process.poll() is None and saves(run) < before + target:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.1)  # anywhere between two checkpoints, or while one is written
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done += 1
        process = start(app, f"--resume {run}" if (run / "run.json").exists() else f"{flags} {COMMON} --run {run}")
    finish(process)
    return done


def state(run: Path) -> tuple[list[np.ndarray], list[dict]]:
    """Everything a run ends with: all saved arrays, and the history."""
    last = json.loads((run / "checkpoints" / "index.json").read_text())[-1]["file"]
    with np.load(run / "checkpoints" / last, allow_pickle=False) as data:
        arrays = [data[str(i)] for i in range(len(data.files))]
    return arrays, json.loads((run / "history.json").read_text())["epochs"]


def differing(a: list[np.ndarray], b: list[np.ndarray]) -> int:
    """How many numbers differ in any bit."""
    return sum(int((x.view(f"u{x.itemsize}") != y.view(f"u{y.itemsize}")).sum()) for x, y in zip(a, b, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="mnist")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--per-run", type=int, default=4, help="kills of one run before it may end")
    parser.add_argument("--flags", help="of fit; without --run")
    args = parser.parse_args()
    flags, dice, total, bad = args.flags or FLAGS[args.app], random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        train(args.app, flags, Path(folder) / "whole", 0, dice)
        arrays, history = state(Path(folder) / "whole")
        number = 0
        while total < args.kills:
            number += 1
            run = Path(folder) / f"killed-{number}"
            made = train(args.app, flags, run, min(args.per_run, args.kills - total), dice)
            other, other_history = state(run)
            wrong = differing(arrays, other)
            bad += bool(wrong) + (history != other_history)
            total += made
            print(f"run {number}: {made} kills, {wrong} of {sum(a.size for a in arrays):,} numbers differ, histories "
                  f"{'equal' if history == other_history else 'DIFFER'}", flush=True)
    print(f"{total} kills, {bad} differences")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
