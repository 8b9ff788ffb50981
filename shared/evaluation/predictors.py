"""Every artifact opened for use: raw inputs in, answers out. A `.tflite` needs no TensorFlow."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from shared.app import Answer, App, Raw, find_app
from shared.errors import UserError
from shared.facts import Facts
from shared.metadata import RECORD, inputs_of, unpack
from shared.quiet import load_tensorflow, quiet
from shared.run import Run
from shared.signature import Tensor, check_raw


class Predictor(ABC):
    """An opened artifact.

    Attributes:
        path: of the artifact.
        kind: `run`, `saved_model` or `tflite`.
        app: name of the app that made it.
        facts: labels, sizes and what else the pipeline learned from data.
        inputs: raw inputs by name.
    """

    kind: str

    def __init__(self, path: str | os.PathLike, app: str, facts: Facts, inputs: dict[str, Tensor]):
        self.path, self.app, self.facts, self.inputs = Path(path), app, facts, inputs

    def __call__(self, raw: Raw) -> Answer:
        """Answers by name for a batch of raw inputs by name; all arrays have a leading batch axis.

        Raises:
            UserError: the raw inputs do not fit the artifact.
        """
        check_raw(raw, self.inputs)
        return self.answer({name: np.asarray(raw[name]) for name in self.inputs})

    @abstractmethod
    def answer(self, raw: Raw) -> Answer: ...


class RunPredictor(Predictor):
    """The best network of a run under the app's own pipeline, in TensorFlow, any batch size."""

    kind = "run"

    def __init__(self, path: str | os.PathLike, app: App | None = None):
        run = Run.open(path)
        app = app if app and app.name == run.app else find_app(run.app)
        settings, facts = run.settings(app), run.facts()
        load_tensorflow()
        from shared.training.fit import load_network, predict_with
        model = app.build(settings, facts)
        super().__init__(path, app.name, facts, model.inputs)
        self.predict = predict_with(model, load_network(model, run))

    def answer(self, raw: Raw) -> Answer:
        return self.predict(raw)


class RowByRow(Predictor):
    """An artifact of batch 1, called once a row."""

    def answer(self, raw: Raw) -> Answer:
        count = len(next(iter(raw.values())))
        rows = [self.one({name: array[i:i + 1] for name, array in raw.items()}) for i in range(count)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    @abstractmethod
    def one(self, raw: Raw) -> Answer: ...


class SavedModelPredictor(RowByRow):
    """A SavedModel that `export` wrote, in TensorFlow."""

    kind = "saved_model"

    def __init__(self, path: str | os.PathLike):
        import json
        extra = Path(path) / "assets.extra"
        try:
            record = json.loads((extra / RECORD).read_text(encoding="utf-8"))
            app, inputs = record["app"], inputs_of(record)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is damaged, or was not exported by pocketconv: export the run again.") from error
        super().__init__(path, app, Facts.load(extra), inputs)
        load_tensorflow()
        import tensorflow as tf
        try:
            self.loaded = tf.saved_model.load(str(path))  # kept: its signature holds no reference to its weights
        except Exception as error:  # of many kinds, by what is missing
            raise UserError(f"{path} cannot be loaded ({type(error).__name__}): export the run again.") from error
        self.signature = self.loaded.signatures["serving_default"]
        self.constant = tf.constant

    def one(self, raw: Raw) -> Answer:
        answers = self.signature(**{name: self.constant(array) for name, array in raw.items()})
        return {name: answer.numpy() for name, answer in answers.items()}


class TFLitePredictor(RowByRow):
    """A `.tflite` that `export` wrote, in LiteRT's Interpreter, by its signature.

    Args:
        threads: of LiteRT; 0 for as many as there are processors.
        signature: which one is called.

    Attributes:
        signatures: names of all.
    """

    kind = "tflite"

    def __init__(self, path: str | os.PathLike, threads: int = 0, signature: str = "serving_default"):
        model, record, facts = unpack(path)
        super().__init__(path, record["app"], facts, inputs_of(record, signature))
        self.signatures = list(record["signatures"])
        from ai_edge_litert.interpreter import Interpreter
        try:
            with quiet():
                interpreter = Interpreter(model_content=model, num_threads=threads or os.cpu_count())
                interpreter.allocate_tensors()  # delegates speak up here
                self.runner = interpreter.get_signature_runner(signature)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path} cannot be loaded by LiteRT: export the run again.") from error

    def one(self, raw: Raw) -> Answer:
        return self.runner(**raw)


def open_artifact(path: str | os.PathLike, app: Any = None, threads: int = 0) -> Predictor:
    """Opens a run folder, a SavedModel folder or a `.tflite`.

    Args:
        path: of the artifact.
        app: the app that made a run; found by name among the installed ones where None.
        threads: of a `.tflite`.

    Raises:
        UserError: it is none of the three, or damaged.
    """
    place = Path(path)
    if place.is_file():
        return TFLitePredictor(place, threads)
    if (place / "run.json").exists():
        return RunPredictor(place, app)
    if (place / "saved_model.pb").exists():
        return SavedModelPredictor(place)
    if not place.exists():
        raise UserError(f"There is no {place}: name a run folder, a SavedModel folder or a .tflite.")
    raise UserError(f"{place} is neither a run (it has no run.json) nor a SavedModel (no saved_model.pb).")
