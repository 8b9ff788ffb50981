"""The verb `benchmark`."""

from dataclasses import make_dataclass
from typing import Any, Optional

import numpy as np

from shared.app import App
from shared.cli.artifacts import meant
from shared.cli.evaluate import fits
from shared.cli.terminal import console, progress, result
from shared.evaluation.latency import latencies
from shared.evaluation.predictors import open_artifact
from shared.evaluation.show import show_comparison
from shared.memory import peak_memory_mb
from shared.settings import setting, whole_numbers


def settings_class(app: App) -> type:
    return make_dataclass("BenchmarkArguments", [
        ("artifact", Optional[str], setting(None, "a run, a SavedModel or a .tflite [the latest run]",
                                            metavar="PATH")),
        ("threads", str, setting("1,2", "thread counts to try with a .tflite, separated by commas", metavar="N,N")),
        ("rounds", int, setting(200, "calls counted, after a tenth as many to warm up", at_least=1)),
        ("json", bool, setting(False, "print the figures as one JSON value"))], kw_only=True)


def run(app: App, arguments: Any) -> int:
    counts, rows = whole_numbers("--threads", arguments.threads, 256, "1,2"), []
    path = meant(app, arguments.artifact)
    for threads in counts:
        predictor = open_artifact(path, app, threads)
        fits(app, predictor)
        with progress(f"{threads} thread(s)", None) as advance:
            times = latencies(predictor, arguments.rounds, advance)
        rows.append({"threads": threads if predictor.kind == "tflite" else "all",
                     "median_ms": round(float(np.median(times)), 4), "least_ms": round(float(times[0]), 4),
                     "p95_ms": round(float(np.quantile(times, 0.95)), 4), "peak_memory_mb": peak_memory_mb()})
        if predictor.kind != "tflite":
            break
    show_comparison(rows, console, f"{path}, one input a call")
    if arguments.json:
        result({"artifact": str(path), "rounds": arguments.rounds, "rows": rows})
    return 0
