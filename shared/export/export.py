"""From a run to files that may be shipped: SavedModel, `.tflite` variants, their proof, golden answers, model card."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from shared.app import Answer, App, Raw
from shared.data.dataset import Dataset, Split
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.score import score
from shared.export.convert import CALIBRATION, convert, operations
from shared.export.fake_quant import fake_quantized
from shared.export.model_card import model_card
from shared.export.proof import golden_record, prove
from shared.export.runtimes import SIGNATURE
from shared.export.saved_model import write_saved_model
from shared.facts import Facts
from shared.files import arrays_to_bytes, write_atomically
from shared.metadata import pack
from shared.model import Model
from shared.run import Run
from shared.signature import check_raw
from shared.training.fit import Progress, load_network, predict_with


def export(app: App, run: Run, dataset: Dataset, folder: Path, variants: list[str], max_drop: float, batch: str,
           force: bool, tell: Callable[[str], None], progress: Progress) -> dict[str, Any]:
    """Makes and proves everything in a folder beside, then puts it in place whole.

    Args:
        app: the task.
        run: what is shipped: its best network.
        dataset: with `train` (for int8 ranges) and `validation` (for scores).
        folder: for the files.
        variants: which `.tflite` files.
        max_drop: see `proof.allowed_drop`.
        batch: `1`, or `dynamic` for files that only the Interpreter takes.
        force: replace an earlier export.
        tell, progress: for the person who waits.

    Returns:
        The content of `export.json`.

    Raises:
        UserError: something stands in `folder` that may not be replaced.
    """
    clear(folder, force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise UserError(f"{folder} cannot be made a folder ({error.strerror}): choose another --output.") from error
    beside.chmod(0o755)
    try:
        record = _export(app, run, dataset, beside, variants, max_drop, batch, tell, progress)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def pieces(app: App, model: Model, split: Split, facts: Facts) -> Iterator[Raw]:
    """The raw inputs of a split as the signature takes them."""
    for _, columns in split.batches(split.gathered(256)):
        for row in range(len(columns[next(iter(model.inputs))])):
            yield from app.cut({name: columns[name][row] for name in model.inputs}, model.inputs, facts)


def clear(folder: Path, force: bool) -> None:
    """Raises UserError where `folder` must not be written to: what a user made is not replaced unasked."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another --output.")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "export.json").exists():
            raise UserError(f"{folder} holds other files than an export: choose another --output.")
        if not force:
            raise UserError(f"{folder} holds an export already: replace it by --force, or choose another --output.")


def _export(app: App, run: Run, dataset: Dataset, folder: Path, variants: list[str], max_drop: float, batch: str,
            tell: Callable[[str], None], progress: Progress) -> dict[str, Any]:
    settings, facts = run.settings(app), app.shipped(run.facts())
    model = app.build(settings, facts)
    network = load_network(model, run)
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    for piece in pieces(app, model, validation.select(np.arange(1)), facts):
        check_raw({name: np.expand_dims(array, 0) for name, array in piece.items()}, model.inputs)
    golden = app.golden(facts)

    with progress("scoring the Keras model", len(validation)) as advance:
        answer = answering(app, predict_with(model, network, details=False), model.inputs, facts)
        keras_report = score(answer, validation, app.scorer(facts), advance=advance)
    reference = keras_report.metrics[app.headline.key]
    record = write_saved_model(model, network, folder / "saved_model", app.name, facts, batch)
    trained = {"data": facts["data"], "examples": len(train), "epochs": settings.epochs, "seed": settings.seed,
               "parameters": network.count_params(),
               "validation": {app.headline.key: reference, "examples": len(validation)}}
    if settings.from_run:
        trained["from"] = Path(settings.from_run).name

    chosen = np.random.default_rng(settings.seed).permutation(len(train))[:CALIBRATION]
    calibration, rounded = folder / "calibration.npz", folder / "rounded"
    ranges = list(islice(pieces(app, model, train.select(np.sort(chosen)), facts), CALIBRATION))
    columns = {name: np.stack([piece[name] for piece in ranges]) for name in model.inputs}
    calibration.write_bytes(arrays_to_bytes({f"{key}/{name}": column for key, given in model.ranges(
        network, columns).items() for name, column in given.items()}))
    integer, of_int8 = network, folder / "saved_model"
    if "int8" in variants:
        batches = (model.preprocess({name: tf.constant(column[row:row + 32]) for name, column in columns.items()})
                   for row in range(0, len(ranges), 32))
        integer = fake_quantized(network, batches) if model.loops else model.for_int8(network)
    if integer is not network:
        of_int8 = rounded
        write_saved_model(model, integer, rounded, app.name, facts, batch)
    files = {variant: folder / f"{app.name}-{variant}.tflite" for variant in variants}
    tell(f"Converting to {', '.join(variants)}.")
    with ThreadPoolExecutor(2) as pool, progress("converting", len(variants)) as advance:
        def one(variant: str) -> str | None:
            source = of_int8 if variant == "int8" else folder / "saved_model"
            reason = convert(source, variant, files[variant], None if model.loops else calibration)
            advance(1)
            return reason
        reasons = dict(zip(variants, pool.map(one, variants), strict=True))
    calibration.unlink()
    shutil.rmtree(rounded, ignore_errors=True)

    rows: list[dict[str, Any]] = []
    answers: dict[str, Answer] = {}
    for variant, file in files.items():
        if reasons[variant]:
            file.unlink(missing_ok=True)
            rows.append({"variant": variant, "file": None, "passed": False, "reason": reasons[variant]})
            continue
        counts = operations(file)
        integer = sum(count for name, count in counts.items() if name.endswith(":int8")) / sum(counts.values())
        inside = {**record, "variant": variant, "trained": trained}
        write_atomically(file, pack(file.read_bytes(), inside, facts))
        with progress(f"running {variant}", len(validation)) as advance:
            proof = prove(app, file, variant, reference, golden, validation, facts, max_drop, batch == "1", advance)
        rows.append({"variant": variant, "file": file.name, "bytes": file.stat().st_size, **proof.row,
                     "integer_operations": round(integer, 3), "operations": counts})
        if proof.answers is not None:
            answers[variant] = proof.answers
    made = {"format": record["format"], "app": app.name, "run": run.folder.name, "headline": app.headline.key,
            "batch": batch, "inputs": record["signatures"], "outputs": record["outputs"], "trained": trained,
            "keras": {key: value for key, value in keras_report.metrics.items()}, "max_drop": max_drop,
            "variants": rows}
    write_atomically(folder / "golden.json", json.dumps(golden_record(SIGNATURE, golden, answers), indent=1))
    write_atomically(folder / "export.json", json.dumps(made, indent=1, ensure_ascii=False))
    write_atomically(folder / "MODEL_CARD.md", model_card(app, made, facts, settings, keras_report))
    return made
