"""The contract of an app: all that the verbs ask of it. No TensorFlow here; `model.py` has that part."""

import importlib
import importlib.metadata
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.splits import complete, limit
from shared.errors import UserError
from shared.evaluation.report import Headline, Report
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings
from shared.signature import Tensor

if TYPE_CHECKING:
    from shared.evaluation.predictors import Predictor
    from shared.model import Model

MOST_PIECES = 256  # raw inputs that are answered at once

Raw = dict[str, np.ndarray]
Answer = dict[str, np.ndarray]
Averaging = Callable[[list[Answer]], Answer]
Answering = Callable[[list[Raw]], Iterator[Answer]]


class Scorer(ABC):
    """Makes a report from answers and truth, one example at a time; keeps no more than the report needs."""

    @abstractmethod
    def update(self, example: dict[str, Any], answer: Answer) -> None:
        """Takes one example (its columns by name, `meta` a dict with `index`) and its answer (no batch axis)."""

    def explain(self, answer: Answering) -> None:  # noqa: B027
        """Looks closer at what was seen, by more answers (see `shared.evaluation.answering`): before a report that
        a person reads, not after every epoch."""

    @abstractmethod
    def report(self) -> Report:
        """The record of all that was seen."""


class App(ABC):
    """One task family.

    Class attributes:
        name: the word on the command line.
        summary: one line for help.
        Settings: dataclass of `fit`.
        raw: names of the columns that are raw inputs.
        headline: the figure that chooses the best epoch, stops early and gates exported files.
        model_class: `package.module:Class` of the app's `Model`, imported only when TensorFlow is wanted.
        file_types: endings, in lower case, of the files that `predict` takes from a folder; none: all files.
        refused: settings that mean nothing here, with the reason.
        argument: what an argument of `predict` is, for help.
        argument_flag: a flag of `predict` that names an input too (`history`); none: there is none.
        standard_input: what `predict -` takes from there, for help.
        devices: flags of `predict` (`microphone`) for what `listen` opens, with their help.
        explains: help of the flag `--explain` of `predict`, where `explain` says anything.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Settings: ClassVar[type[FitSettings]]
    raw: ClassVar[tuple[str, ...]]
    headline: ClassVar[Headline]
    model_class: ClassVar[str]
    file_types: ClassVar[frozenset[str]] = frozenset()
    refused: ClassVar[dict[str, str]] = {}
    argument: ClassVar[str] = "files, folders of files"
    argument_flag: ClassVar[str] = ""
    standard_input: ClassVar[str] = "one a line from standard input"
    devices: ClassVar[dict[str, str]] = {}
    explains: ClassVar[str] = ""

    def check(self, settings: Any) -> None:  # noqa: B027
        """Before any data are read: raises UserError for settings of `fit` that do not go together."""

    @abstractmethod
    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        """Reads the data that `settings` name, with the splits they bring. With facts, in their terms: labels in
        their order, sizes as theirs."""

    def dataset(self, settings: DataSettings, facts: Facts | None = None, splits: bool = True) -> Dataset:
        """What `load` gives, missing splits made, cut to `--limit`.

        Args:
            settings: what data, and how to split them.
            facts: of a trained model, whose labels the data must have.
            splits: make the missing splits; cross-validation makes its own.

        Raises:
            UserError: the data cannot be read, or have other labels than `facts`.
        """
        dataset = self.load(settings, facts)
        known = facts.get("labels") if facts else None
        if known and dataset.labels and dataset.labels != known:
            has, knows = (", ".join(map(str, labels[:5])) for labels in (dataset.labels, known))
            raise UserError(f"{settings.data} has other classes ({has} …) than the model knows ({knows} …): name data "
                            f"of its classes by --data.")
        if splits:
            dataset = complete(dataset, settings.validation, settings.test, settings.seed)
        return limit(dataset, settings.limit, settings.seed) if settings.limit else dataset

    def examine(self, settings: Any, dataset: Dataset) -> list[str]:
        """What a person should know of the complete splits before training. Raises UserError."""
        return []

    @abstractmethod
    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        """What the pipeline must know, from training data alone."""

    @abstractmethod
    def scorer(self, facts: Facts) -> Scorer: ...

    def inputs(self, argument: str) -> Iterable[str | Path]:
        """What `predict` answers for one argument: itself, or the files of a folder. A `Path` is surely a file, where
        a string may be a raw input itself.

        Raises:
            UserError: the folder has none of `file_types`.
        """
        if not os.path.isdir(argument):  # unlike Path.is_dir: False too for what is too long for a name
            return [argument]
        inside = sorted(str(path) for path in Path(argument).rglob("*") if path.is_file()
                        and (not self.file_types or path.suffix.lower() in self.file_types))
        if not inside:
            raise UserError(f"The folder {argument} holds no files to answer"
                            + (f": {', '.join(sorted(self.file_types))} are taken." if self.file_types else "."))
        return inside

    def from_standard_input(self, stream: TextIO) -> Iterable[Any]:
        """What `predict` answers for `-`, each as `read_input` takes it: the lines that are not empty, as they come.
        Bytes that are no UTF-8 are kept as in arguments."""
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "surrogateescape":
            stream.reconfigure(errors="surrogateescape")
        return (line.rstrip("\n") for line in stream if line.strip())

    @abstractmethod
    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        """One raw input, without batch axis, from one of `inputs` or `from_standard_input`. Raises UserError."""

    def oddities(self, argument: Any, raw: Raw, facts: Facts) -> list[str]:
        """What a person should know of an input that is answered all the same, in a few words each: that its file is
        damaged, say.

        Args:
            argument: as `read_input` took it.
            raw: as `read_input` gave it.
            facts: of the model that answers.
        """
        return []

    def listen(self, device: str, facts: Facts) -> AbstractContextManager[Iterator[tuple[str, Raw]]]:
        """Opens one of `devices`, which gives names (`1.50 s`) and raw inputs until it is closed. Raises UserError."""
        raise UserError(f"{self.name} listens to no {device}.")

    @abstractmethod
    def golden(self, facts: Facts) -> Raw:
        """A batch of about ten raw inputs that fit `facts` and may be shipped, whatever the run was trained on."""

    def ways(self, signatures: Mapping[str, "Predictor"]) -> dict[str, Callable[[Raw], Answer]]:
        """How an exported file's further signatures answer what `serving_default` answers, by their names: each is
        scored before the file is called good.

        Args:
            signatures: those of the file besides `serving_default`, opened, by name.
        """
        return {}

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        """One raw input of any size as raw inputs of the signature's fixed size, lazily. NumPy only."""
        return [raw]

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        """The answer to a raw input; takes as many of `answers` as it was cut into, in the order of `cut`.

        Answers of a run hold what `Model.details` adds, those of an exported file do not.
        """
        return next(answers)

    def at_once(self, facts: Facts) -> int:
        """How many raw inputs are answered at once, at most, so that it fits into memory."""
        return MOST_PIECES

    def averaging(self, facts: list[Facts]) -> Averaging | None:
        """A function from several artifacts' answers to the same input, in the order of their facts, to the answer of
        their ensemble; None: this app has no ensembles.

        Raises:
            UserError: these artifacts cannot be averaged; the function too, where that shows in their answers alone.
        """
        return None

    def any_size(self, facts: Facts) -> str:
        """What `cut` and `join` do, in a sentence or two for the model card: whoever calls the file does it too."""
        return ""

    @abstractmethod
    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        """An answer as one line for people."""

    def heard(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        """An answer to what a device gave as one line for people; empty where there is nothing to tell."""
        return self.show(raw, answer, facts)

    @abstractmethod
    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        """An answer as one JSON object for machines."""

    def explain(self, raw: Raw, answer: Answer, answer_rows: Answering, facts: Facts) -> tuple[str, Any]:
        """What moved an answer, by more answers: as a line for people, and as JSON."""
        raise UserError(f"{self.name} explains no answers.")

    def files(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, bytes]:
        """An answer as files, where the task has any: contents by what comes behind the input's name (`-mask.png`)."""
        return {}

    def shipped(self, facts: Facts) -> Facts:
        """Those that travel in exported files, for anyone to read: all but what only a run uses."""
        return facts

    def build(self, settings: Any, facts: Facts) -> "Model":
        module, name = self.model_class.split(":")
        return getattr(importlib.import_module(module), name)(settings, facts)


ENTRY_POINTS = "pocketconv.apps"


def app_paths() -> dict[str, str]:
    """`package.module:Class` by app name, of every installed package that offers apps."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def find_app(name: str, paths: dict[str, str] | None = None) -> App:
    """An app by name. Raises UserError where there is none."""
    paths = paths or app_paths()
    if name not in paths:
        raise UserError(f"There is no app '{name}'; there are: {', '.join(sorted(paths))}.")
    module, attribute = paths[name].split(":")
    return getattr(importlib.import_module(module), attribute)()
