"""The one training of all apps: from settings to a run."""

import contextlib
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.app import Answer, App, Raw
from shared.data.dataset import Dataset, Split
from shared.data.splits import complete
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.files import unused
from shared.memory import peak_memory_mb
from shared.model import Model
from shared.run import Run
from shared.training.callbacks import Estimate, Resume, TensorBoard, Validate, minutes
from shared.training.checkpoints import Checkpoints
from shared.training.feed import Feed
from shared.training.optimizers import optimizer
from shared.training.processor import gains_by_bfloat16
from shared.training.projector import write_projector

Tell = Callable[[str], None]
Progress = Callable[[str, int | None], contextlib.AbstractContextManager[Callable[[int], None]]]


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside have this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def predict_with(model: Model, network: keras.Model, details: bool = True) -> Callable[[Raw], Answer]:
    """The pipeline as a function of NumPy arrays, compiled once for any batch size; see `Model.details`."""
    spec = {name: tf.TensorSpec([None, *tensor.shape], tensor.dtype, name=name)
            for name, tensor in model.inputs.items()}
    pipeline = tf.function(model.pipeline(network, details), input_signature=[spec])
    return lambda raw: {name: answer.numpy() for name, answer in
                        pipeline({name: tf.constant(raw[name]) for name in spec}).items()}


def load_network(model: Model, run: Run) -> keras.Model:
    """The best network of a run, in float32. Raises UserError where its file is missing or damaged."""
    network = model.network()
    try:
        network.load_weights(run.network)  # weights alone: nothing in the file is executed
    except Exception as error:  # of many kinds, by what is wrong with the file
        raise UserError(f"{run.network} is missing or damaged ({type(error).__name__}): go on with the run by "
                        f"--resume {run.folder}, or train anew.") from error
    return network


def fit(app: App, settings: Any, dataset: Dataset, run: Run, tell: Tell, progress: Progress,
        verbose: int = 1) -> Report:
    """Trains, or goes on training, until `settings.epochs`; gives the validation report of the best epoch.

    Args:
        app: the task.
        settings: its settings; those of the run when it is resumed.
        dataset: with splits `train` and `validation`.
        run: a folder already created; checkpoints in it are gone on with.
        tell: takes a sentence for the person who waits.
        progress: makes a bar of (title, total), see `shared.cli.terminal.progress`.
        verbose: Keras' own progress bar (1), a line an epoch (2) or nothing (0).

    Raises:
        UserError: the loss became NaN, or a checkpoint is damaged.
        Interrupted: Ctrl-C; all was saved.
    """
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    keras.utils.set_random_seed(settings.seed)
    if (run.folder / "facts.json").exists():
        facts = run.facts()
        for name in facts.values.pop("calibrated", []):  # found again at the end; until then epochs are scored alike
            facts.values.pop(name)
    else:
        facts = app.learn_facts(settings, train, dataset)
        # Shipped with every artifact: how to split the same data again; of a path no more than its name.
        facts.values |= {"data": dataset.name if dataset.public else Path(dataset.name).name,
                         "splits": {name: getattr(settings, name) for name in ("seed", "validation", "test")}}
        facts.save(run.folder)
    if settings.precision == "mixed_bfloat16" and not (tf.config.list_physical_devices("GPU") or gains_by_bfloat16()):
        tell("This processor gains nothing by bfloat16: --precision float32 is faster here.")
    model = app.build(settings, facts)
    examples = model.examples(train)
    with precision(settings.precision):
        network = model.network()
        trainer = model.trainer(network, examples)
    if settings.from_run and not (run.checkpoints / "index.json").exists():
        tell(start_from(app, Run.open(settings.from_run), network, model))
    served = network if settings.precision == "float32" and not settings.ema else model.network()

    with progress("preprocessing", len(examples)) as advance:
        feed = Feed(model, examples, settings.batch_size, settings.seed, settings.cache, run.folder / "cache", advance)
    cut = f" (cut into {len(examples)})" if len(examples) != len(train) else ""
    tell(f"{len(train)} examples to train on{cut}, {len(validation)} to choose by; {network.count_params():,} "
         f"parameters; what stays the same every epoch is cached: {feed.cache}.")
    trainer.compile(optimizer(settings, feed.steps), steps_per_execution=min(settings.steps_per_execution, feed.steps),
                    jit_compile=False, **model.losses())

    answer = answering(app, predict_with(model, served), model.inputs, facts)
    validate = Validate(network, served, lambda: score(answer, validation, app.scorer(facts)), app.headline, run,
                        settings.validate_every)
    stateful = []
    watch: dict[str, Any] = {"monitor": f"val_{app.headline.key}",
                             "mode": "max" if app.headline.higher_is_better else "min"}
    if settings.schedule == "plateau":
        stateful.append(keras.callbacks.ReduceLROnPlateau(factor=settings.decay_rate, min_delta=0.0,
                                                          patience=settings.decay_epochs, **watch))
    if settings.patience:
        stateful.append(keras.callbacks.EarlyStopping(patience=settings.patience, verbose=verbose, **watch))
    resume = Resume(Checkpoints(run.checkpoints), feed, validate, stateful, settings.checkpoint_steps,
                    settings.checkpoint_minutes)
    batches = feed.dataset()
    resume.build(trainer, batches)
    if resume.begun["epoch"] or resume.begun["step"]:
        tell(f"Going on at epoch {resume.begun['epoch'] + 1}, step {resume.begun['step'] + 1}.")

    wall = time.perf_counter()
    callbacks = [Estimate(tell), validate, *stateful, TensorBoard(run, validate, feed.steps * feed.batch), resume]
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():  # standard output is for results
            warnings.filterwarnings("ignore", ".*which is not available")  # in epochs that are not scored
            trainer.fit(batches, epochs=settings.epochs, initial_epoch=resume.begun["epoch"], verbose=verbose,
                        callbacks=callbacks)
    finally:
        resume.release()
        shutil.rmtree(run.folder / "cache", ignore_errors=True)
        run.mark(cpu_minutes=resume.cpu_minutes, peak_memory_mb=peak_memory_mb())
    run.write("history.json", {"epochs": validate.records})

    if not run.network.exists():
        raise UserError(f"{run.network} is missing, and no epoch is left to make it anew: raise --epochs.")
    served.load_weights(run.network)
    write_projector(run.tensorboard / "train", model.embeddings(served))
    calibrated = model.calibrate(served, validation, answer)
    facts.values |= {**calibrated, "calibrated": list(calibrated)} if calibrated else {}
    facts.save(run.folder)
    answer = answering(app, predict_with(app.build(settings, facts), served), model.inputs, facts)
    report = score(answer, validation, app.scorer(facts), explain=True)
    report.about = {"app": app.name, "artifact": str(run.folder), "data": dataset.name, "split": "validation",
                    "parameters": network.count_params(), **run.read("best.json"),
                    "cpu_minutes": run.read("run.json")["cpu_minutes"]}
    report.save(run.folder)
    run.mark(state="finished", score=report.metrics[app.headline.key], parameters=network.count_params())
    tell(f"Trained in {minutes(time.perf_counter() - wall)}; the best epoch is {report.about['epoch']}.")
    return report


def start_from(app: App, source: Run, network: keras.Model, model: Model) -> str:
    """Copies the weights of a run that fit, see `Model.carried`; says in a sentence what was left."""
    if source.app != app.name:
        raise UserError(f"{source.folder} is a run of {source.app}: --from takes one of {app.name}.")
    old_model = app.build(source.settings(app), source.facts())
    old = load_network(old_model, source)
    new_head = old_model.facts.get("labels") != model.facts.get("labels")
    left = []
    for index, layer in enumerate(network.layers):
        origin: Any = old.layers[index] if index < len(old.layers) else None
        if not layer.weights:
            continue
        same = type(origin) is type(layer) and not (new_head and layer.name == "logits")
        weights = model.carried(layer, origin, old_model) if same else None
        if weights is None:
            left.append(layer.name)
        else:
            layer.set_weights(weights)
    return (f"Started from {source.folder}" + (f"; new: {', '.join(left)}." if left else "; all weights fit."))


def cross_validate(app: App, settings: Any, dataset: Dataset, pairs: Iterable[tuple[Split, Split]], run: Run,
                   tell: Tell, progress: Progress, verbose: int = 1) -> dict[str, Any]:
    """Trains once a fold; gives mean and standard deviation of the scores on what each fold holds out.

    Args:
        dataset: a given validation split goes on choosing the epochs; else each fold holds its own out.
        pairs: (training, held out), see `shared.data.splits.folds`; a fold is the test split of its run `fold-K`.
        app, settings, run, tell, progress, verbose: as of `fit`.
    """
    rows: list[Report] = []
    for number, (rest, held) in enumerate(pairs, 1):
        tell(f"Fold {number} of {settings.folds}.")
        splits = {**dataset.splits, "train": rest, "test": held}
        part = complete(replace(dataset, splits=splits), settings.validation, settings.test, settings.seed)
        fold = replace(settings, folds=0)
        keras.backend.clear_session()
        place = run.folder / f"fold-{number}"
        own = Run.open(place) if (place / "run.json").exists() else Run.create(place, app, fold)
        fit(app, fold, part, own, tell, progress, verbose)
        facts = own.facts()
        model = app.build(fold, facts)
        answer = answering(app, predict_with(model, load_network(model, own)), model.inputs, facts)
        rows.append(score(answer, part.splits["test"], app.scorer(facts)))
    metrics = {key: [row.metrics.get(key, 0.0) for row in rows] for key in rows[0].metrics}
    return {"folds": settings.folds,
            "mean": {key: float(np.mean(values)) for key, values in metrics.items()},
            "standard_deviation": {key: float(np.std(values, ddof=1)) for key, values in metrics.items()},
            "each": metrics}


def default_folder(app: App, settings: Any, root: Path) -> Path:
    """runs/APP/TIME-MODEL, numbered where two start within a second."""
    return unused(root / app.name / f"{time.strftime('%Y%m%d-%H%M%S')}-{getattr(settings, 'model', 'model')}")
