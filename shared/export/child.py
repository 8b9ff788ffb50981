"""Work that can die without a word, done in a process of its own so that nothing else goes with it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_module(module: str, *arguments: str | os.PathLike) -> str | None:
    """Runs `python -m MODULE ARGUMENTS`; gives the reason where it failed, else None."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path}, check=False)
    if done.returncode < 0:
        return f"it was ended by signal {-done.returncode}"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        errors = [line for line in said if re.match(r"[\w.]+(Error|Exception)\b", line)]
        return ((errors or said or [f"it ended with status {done.returncode}"])[-1])[:300]
    return None
