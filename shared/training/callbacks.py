"""What happens round the steps of `keras.Model.fit`: scoring, saving, going on, logging, stopping."""

import json
import math
import signal
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.errors import UserError
from shared.evaluation.figures import to_image
from shared.evaluation.report import Headline, Report, Sounds
from shared.evaluation.show import markdown_table
from shared.run import Run
from shared.training.checkpoints import Checkpoints
from shared.training.feed import Feed

DRAW_SECONDS = 60
# What Keras' callbacks keep between epochs. Not all of __dict__: they negate their min_delta once a process.
STATE = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the step was finished and saved."""


class Validate(keras.callbacks.Callback):
    """After an epoch: scores the served network, keeps the best, adds `val_…` to the logs.

    Args:
        network: the network in training.
        served: its float32 twin, which is scored and saved; gets the averaged weights where there is an average.
        measure: scores `served` on validation data.
        headline: what is best.
        run: where the best is kept.
        every: epochs between two scorings; the last epoch is always scored.
    """

    def __init__(self, network: keras.Model, served: keras.Model, measure: Callable[[], Report],
                 headline: Headline, run: Run, every: int = 1):
        super().__init__()
        self.every = every
        self.network, self.served, self.measure, self.headline, self.run = network, served, measure, headline, run
        self.records: list[dict[str, Any]] = []
        best = run.folder / "best.json"
        self.best = json.loads(best.read_text())["score"] if best.exists() else float("nan")
        self.report: Report | None = None  # of the epoch that just ended, where it was scored

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        record = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
        self.report = None
        if (epoch + 1) % self.every and epoch + 1 < self.params["epochs"]:
            self.records = [*self.records[:epoch], {**record, "learning_rate": rate}]
            return
        copy_weights(self.network, self.served, self.model.optimizer)
        if not all(np.isfinite(weight).all() for weight in self.served.get_weights()):
            raise UserError(f"A weight is no number after epoch {epoch + 1}: lower --learning-rate, or set "
                            f"--clip-norm 1; nothing since the last checkpoint was saved.")
        self.report = self.measure()
        record |= {f"val_{key}": value for key, value in self.report.metrics.items()}
        self.records = [*self.records[:epoch], {**record, "learning_rate": rate}]
        score = self.report.metrics[self.headline.key]
        # Of equal epochs the later one is kept: its learning rate is lower, its average longer.
        if not self.headline.better(self.best, score) or not self.run.network.exists():
            beside = self.run.network.with_name("model.tmp.keras")
            self.served.save(beside)
            beside.replace(self.run.network)
            self.best = score
            self.run.write("best.json", {"epoch": epoch + 1, "score": score, "metric": self.headline.key})
        if logs is not None:
            logs[f"val_{self.headline.key}"] = score


def copy_weights(source: keras.Model, target: keras.Model, optimizer: Any) -> None:
    """Gives `target` the weights of `source`, averaged ones where the optimizer keeps an average."""
    averages = {}
    if getattr(optimizer, "use_ema", False):
        averages = {id(v): a for v, a in zip(optimizer._trainable_variables,
                                             optimizer._model_variables_moving_average, strict=True)}
    for new, old in zip(target.variables, source.variables, strict=True):
        if "seed_generator" not in old.path:
            new.assign(averages.get(id(old), old))


class Resume(keras.callbacks.Callback):
    """Saves all state, and in a new process goes on at exactly that step.

    Args:
        checkpoints: where.
        feed: whose order follows (seed, epoch, step).
        validate: whose records belong to the state.
        stateful: Keras callbacks with state of their own.
        steps, minutes: between two saves within an epoch; `steps` of 0 leaves it to the clock.
    """

    def __init__(self, checkpoints: Checkpoints, feed: Feed, validate: Validate, stateful: list[Any],
                 steps: int, minutes: float):
        super().__init__()
        self.checkpoints, self.feed, self.validate, self.stateful = checkpoints, feed, validate, stateful
        self.every, self.seconds, self.stop, self.told = steps, 60 * minutes, False, time.monotonic()
        self.loaded = checkpoints.load()
        examples = self.loaded[1]["examples"] if self.loaded else len(feed.split)
        if examples != len(feed.split):
            raise UserError(f"The data have changed: {checkpoints.folder.parent} trained on {examples} examples, and "
                            f"there are {len(feed.split)} now; start a new run by --from {checkpoints.folder.parent}.")
        self.begun: dict[str, Any] = self.loaded[1] if self.loaded else {"epoch": 0, "step": 0}
        self.skip = self.begun["step"]
        self.last = self.skip
        self.cpu = time.process_time()

    @property
    def cpu_minutes(self) -> float:
        """Process time of this training, with that of earlier processes up to the checkpoint it goes on from."""
        return round(self.begun.get("cpu_minutes", 0.0) + (time.process_time() - self.cpu) / 60, 3)

    def build(self, trainer: keras.Model, dataset: tf.data.Dataset) -> None:
        """Before fit: optimizer slots and metric variables must exist, or there is nowhere to restore them to."""
        self.set_model(trainer)
        trainer.optimizer.build(trainer.trainable_variables)
        self.feed.begin(0, 0)
        trainer.evaluate(dataset.take(1), verbose=0)

    def variables(self) -> list[Any]:  # by position: paths of seed generators depend on what else was built before
        return [*self.model.variables, *self.model.optimizer.variables, *self.model.metrics_variables]

    def on_train_begin(self, logs: Any = None) -> None:
        if self.loaded:
            self.validate.records = self.begun["records"]
            for callback, state in zip(self.stateful, self.begun["callbacks"], strict=True):
                callback.__dict__.update(state)
        step = self.model.train_function

        def go_on(iterator: Any) -> Any:  # the steps that the killed run had done cost nothing and touch nothing
            if self.skip > 0:
                self.skip -= self.model.steps_per_execution
                return {}
            return step(iterator)

        self.model.train_function = go_on
        self.before = signal.getsignal(signal.SIGINT)
        try:
            signal.signal(signal.SIGINT, self._interrupt)
        except ValueError:  # not in the main thread: whoever runs it there handles Ctrl-C
            self.before = None

    def _interrupt(self, *_: Any) -> None:
        if self.stop:
            raise KeyboardInterrupt
        self.stop = True

    def release(self) -> None:
        """Gives Ctrl-C back, however the training ended."""
        if getattr(self, "before", None) is not None:
            signal.signal(signal.SIGINT, self.before)
        self.model.train_function = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # fit has just reset the metrics: after that
        self.epoch = epoch
        if self.loaded:
            variables, arrays = self.variables(), self.loaded[0]
            if [v.shape for v in variables] != [a.shape for a in arrays]:
                raise UserError(f"The checkpoint in {self.checkpoints.folder} has other variables than this version "
                                f"builds: start anew by --from {self.checkpoints.folder.parent}.")
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
            self.loaded = None
            if not self.skip:  # saved at the end of an epoch, whose sums must not go on into this one
                self.model.reset_metrics()
        self.feed.begin(epoch, self.skip)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not logs:  # a skipped step
            return
        step = batch + 1
        if not np.isfinite(float(logs["loss"])):
            raise UserError(f"The loss is no number at epoch {self.epoch + 1}, step {step}: lower --learning-rate, "
                            f"or set --clip-norm 1; nothing since the last checkpoint was saved.")
        due = step - self.last >= self.every if self.every else time.monotonic() - self.told > self.seconds
        if (due or self.stop) and step < self.feed.steps:
            self.save(self.epoch, step)
        if self.stop and step < self.feed.steps:
            raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.save(epoch + 1, 0)
        if self.stop:
            raise Interrupted

    def save(self, epoch: int, step: int) -> None:
        plain = [{key: vars(c)[key] for key in STATE if key in vars(c)} for c in self.stateful]
        state = {"examples": len(self.feed.split), "epoch": epoch, "step": step, "records": self.validate.records,
                 "cpu_minutes": self.cpu_minutes, "callbacks": json.loads(json.dumps(plain, default=float))}
        self.checkpoints.save([v.numpy() for v in self.variables()], state)
        self.last, self.told = step, time.monotonic()


class TensorBoard(keras.callbacks.Callback):
    """Training and validation curves in one chart each, learning rate, speed, and the report's figures and tables.

    Pictures are drawn at the first and the last epoch, and once a minute between: of short epochs they would take a
    third. Sounds are the same at every scoring: they are written at the first one of a process.

    Args:
        run: whose folder `tensorboard/` gets `train` and `validation`.
        validate: whose records and reports are shown.
        examples: of one epoch.
    """

    def __init__(self, run: Run, validate: Validate, examples: int):
        super().__init__()
        self.validate, self.examples, self.played, self.drawn = validate, examples, False, -math.inf
        self.train = tf.summary.create_file_writer(str(run.tensorboard / "train"))
        self.validation = tf.summary.create_file_writer(str(run.tensorboard / "validation"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.perf_counter()
        self.train_seconds = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.train_seconds = time.perf_counter() - self.begun

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        record, report, step = self.validate.records[epoch], self.validate.report, epoch + 1
        with self.train.as_default():
            for key, value in record.items():
                if not key.startswith("val_") and key not in ("epoch", "learning_rate"):
                    tf.summary.scalar(f"epoch/{key}", value, step)
            tf.summary.scalar("training/learning_rate", record["learning_rate"], step)
            tf.summary.scalar("training/examples_per_second", self.examples / max(self.train_seconds, 1e-9), step)
        if report is None:
            self.train.flush()
            return
        with self.validation.as_default():
            for key, value in report.metrics.items():
                tf.summary.scalar(f"epoch/{'loss' if key == 'log_loss' else key}", value, step)
            due = time.monotonic() - self.drawn > DRAW_SECONDS or step == self.params["epochs"]
            self.drawn = time.monotonic() if due else self.drawn
            for name, figure in report.figures.items():
                if not isinstance(figure, Sounds):
                    if due:
                        tf.summary.image(f"report/{name}", to_image(figure)[None], step)
                elif not self.played:
                    for number, (clip, caption) in enumerate(zip(figure.clips, figure.captions, strict=True), 1):
                        tf.summary.audio(f"report/{name}/{number:02}", clip[None, :, None].astype(np.float32) / 32768,
                                         figure.rate, step, description=caption)
            self.played = True
            for name, rows in report.tables.items():
                if rows:  # by other names than the figures: TensorBoard shows one kind of thing by a name
                    tf.summary.text(f"tables/{name}", markdown_table(rows), step)
        self.train.flush()
        self.validation.flush()


class Estimate(keras.callbacks.Callback):
    """Says after the first epoch how long the rest will take."""

    def __init__(self, tell: Callable[[str], None]):
        super().__init__()
        self.tell: Callable[[str], None] | None = tell

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.tell:
            rest = (self.params["epochs"] - epoch - 1) * (time.monotonic() - self.begun)
            if rest > 0:
                self.tell(f"About {minutes(rest)} more for {self.params['epochs'] - epoch - 1} epochs.")
            self.tell = None


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
