"""The verb `benchmark`."""

import resource
import sys
import time
from dataclasses import make_dataclass
from typing import Any, Optional

import numpy as np

from shared.app import App
from shared.cli.artifacts import meant
from shared.cli.evaluate import fits
from shared.cli.terminal import console, progress, result
from shared.evaluation.predictors import open_artifact
from shared.evaluation.show import show_comparison
from shared.settings import setting
from shared.signature import Tensor


def settings_class(app: App) -> type:
    return make_dataclass("BenchmarkArguments", [
        ("artifact", Optional[str], setting(None, "a run, a SavedModel or a .tflite [the latest run]",
                                            metavar="PATH")),
        ("threads", str, setting("1,2", "thread counts to try with a .tflite, separated by commas", metavar="N,N")),
        ("rounds", int, setting(200, "calls counted, after a tenth as many to warm up", at_least=1)),
        ("json", bool, setting(False, "print the figures as one JSON value"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    path = meant(app, arguments.artifact)
    rows = []
    for threads in thread_counts(arguments.threads):
        predictor = open_artifact(path, app, threads)
        fits(app, predictor)
        raw = {name: noise(tensor) for name, tensor in predictor.inputs.items()}
        times = []
        warm = max(1, arguments.rounds // 10)
        with progress(f"{threads} thread(s)", arguments.rounds + warm) as advance:
            for _ in range(arguments.rounds + warm):
                begun = time.perf_counter()
                predictor(raw)
                times.append(1000 * (time.perf_counter() - begun))
                advance(1)
        times = sorted(times[warm:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        rows.append({"threads": threads, "median_ms": round(float(np.median(times)), 4), "least_ms": round(times[0], 4),
                     "p95_ms": round(float(np.quantile(times, 0.95)), 4), "peak_memory_mb": round(peak, 1)})
        if predictor.kind != "tflite":
            rows[-1]["threads"] = "all"
            break
    show_comparison(rows, console, f"{path}, one input a call")
    if arguments.json:
        result({"artifact": str(path), "rounds": arguments.rounds, "rows": rows})
    return 0


def thread_counts(text: str) -> list[int]:
    from shared.errors import UserError
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise UserError(f"--threads {text}: give whole numbers separated by commas, such as 1,2.")
    return counts


def noise(tensor: Tensor) -> np.ndarray:
    """A batch of one random input; what the values are does not change the time."""
    shape = [1, *(size or 128 for size in tensor.shape)]
    random = np.random.default_rng(0)
    return (random.random(shape) if tensor.dtype == "float32" else random.integers(0, 2, shape)).astype(tensor.dtype)
