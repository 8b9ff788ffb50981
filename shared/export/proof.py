"""A file is good when it was run: golden answers in both runtimes, then its score on the whole validation split."""

import base64
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.app import Answer, App, Raw
from shared.data.dataset import Split
from shared.evaluation.answering import answering
from shared.evaluation.latency import latencies
from shared.evaluation.predictors import TFLitePredictor
from shared.evaluation.report import Headline
from shared.evaluation.score import score
from shared.export.runtimes import SIGNATURE, in_both
from shared.facts import Facts

# How far golden answers may lie apart, as a share of the largest value (at least of 1): kernels of another processor
# round differently, by a step of eight bits where the file computes in integers.
TOLERANCE = {"float32": 1e-4, "float16": 1e-3, "dynamic": 2e-2, "int8": 2e-2}
LARGE = 1 << 16  # bytes of an array above which it is compressed in golden.json
ROUNDS = 100  # calls whose median is the latency


@dataclass
class Proof:
    """What was found of one file.

    Args:
        row: `score`, `drop` (in the headline's own scale), `latency_ms`, `passed`, `reason`: as `export.json` has it.
        answers: the Interpreter's answers to the golden inputs, or None where it gave none.
    """

    row: dict[str, Any]
    answers: Answer | None


def prove(app: App, file: Path, variant: str, reference: float, golden: Raw, validation: Split, facts: Facts,
          max_drop: float, fixed: bool, advance: Callable[[int], None] = lambda examples: None) -> Proof:
    """Runs a `.tflite` and says whether it may be shipped.

    Args:
        app: whose scorer measures.
        file: as it is shipped, metadata and all.
        variant: `float32`, `float16`, `dynamic` or `int8`.
        reference: the headline of the Keras model on `validation`.
        golden: a batch of raw inputs.
        validation: the split that the reference was measured on.
        facts: of the run.
        max_drop: see `allowed_drop`.
        fixed: shapes are fixed, so that CompiledModel takes the file too.
        advance: told of scored examples.
    """
    row: dict[str, Any] = {"score": None, "drop": None, "latency_ms": None, "passed": False, "reason": None}
    answers = None
    if fixed:
        with tempfile.TemporaryDirectory() as folder:
            both = in_both(file, golden, Path(folder))
        if isinstance(both, str):
            return Proof({**row, "reason": both}, None)
        answers, newer = both
        if apart := differing(answers, newer, TOLERANCE[variant]):
            row["reason"] = f"Interpreter and CompiledModel answer differently ({', '.join(apart)})"
    predictor = TFLitePredictor(file)
    if answers is None:
        answers = predictor(golden)
    answer = answering(app, predictor, predictor.inputs, facts)
    report = score(answer, validation, app.scorer(facts), advance=advance)
    row["score"] = report.metrics[app.headline.key]
    row["drop"] = drop(app.headline, reference, row["score"])
    row["latency_ms"] = round(float(np.median(latencies(TFLitePredictor(file, threads=1), ROUNDS))), 4)
    row["golden_tolerance"] = TOLERANCE[variant]
    most = allowed_drop(app.headline, reference, max_drop, len(validation))

    def lost(value: float, by: str = "") -> str | None:
        if drop(app.headline, reference, value) <= most:
            return None  # NaN goes on
        return (f"{by}{app.headline.key} {app.headline.show(value)}, against {app.headline.show(reference)} in Keras: "
                f"more than --max-drop allows")
    row["reason"] = row["reason"] or lost(row["score"])
    opened = {name: TFLitePredictor(file, signature=name) for name in predictor.signatures if name != SIGNATURE}
    ways = app.ways(opened) if opened else {}
    for name, predict in ways.items():
        way = score(answering(app, predict, predictor.inputs, facts), validation, app.scorer(facts))
        row[f"{name}_score"] = way.metrics[app.headline.key]
        row["reason"] = row["reason"] or lost(row[f"{name}_score"], f"by the signature {name} ")
    if unscored := opened.keys() - ways.keys():
        row["reason"] = row["reason"] or f"nothing scores the signature {min(unscored)}"
    row["passed"] = row["reason"] is None
    return Proof(row, answers)


def drop(headline: Headline, reference: float, value: float) -> float:
    """How much worse `value` is than `reference`; negative where it is better."""
    return reference - value if headline.higher_is_better else value - reference


def allowed_drop(headline: Headline, reference: float, points: float, examples: int) -> float:
    """The largest drop: `points` hundredths of a share, or one example where that is more; of a figure with another
    unit, as many hundredths of the reference."""
    if headline.unit == "%":
        return max(points / 100, 1 / examples) + 1e-9
    return abs(reference) * points / 100 + 1e-9


def differing(a: Answer, b: Answer, tolerance: float) -> list[str]:
    """Names of answers that differ by more than rounding; whole numbers must be equal."""
    def far(x: np.ndarray, y: np.ndarray) -> bool:
        if x.shape != y.shape or not np.isfinite(x).all():
            return True
        if not np.issubdtype(x.dtype, np.floating):
            return not np.array_equal(x, y)
        return not np.allclose(x, y, rtol=0, atol=tolerance * max(1.0, float(np.abs(x).max(initial=0))))
    return [name for name in a if name not in b or far(a[name], b[name])]


def encode(array: np.ndarray) -> dict[str, Any]:
    """An array for JSON: little-endian bytes in base64, as every language reads them; a large array (an image, a map)
    is compressed by zlib before, and then said to be `deflated`."""
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    large = len(plain) > LARGE
    return {"dtype": array.dtype.name, "shape": list(array.shape), **({"deflated": True} if large else {}),
            "base64": base64.b64encode(zlib.compress(plain, 9) if large else plain).decode()}


def decode(record: dict[str, Any]) -> np.ndarray:
    """The inverse of `encode`."""
    plain = base64.b64decode(record["base64"])
    plain = zlib.decompress(plain) if record.get("deflated") else plain
    return np.frombuffer(plain, np.dtype(record["dtype"]).newbyteorder("<")).reshape(
        record["shape"])


def golden_record(signature: str, inputs: Raw, answers: dict[str, Answer]) -> dict[str, Any]:
    """What `golden.json` holds: inputs, and each variant's answers with their tolerance. All arrays lead with the
    example axis; call the file with one row at a time."""
    return {"signature": signature, "examples": len(next(iter(inputs.values()))),
            "inputs": {name: encode(array) for name, array in inputs.items()},
            "variants": {variant: {"tolerance": TOLERANCE[variant],
                                   "answers": {name: encode(array) for name, array in made.items()}}
                         for variant, made in answers.items()}}
