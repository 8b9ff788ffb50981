"""Settings: one dataclass gives flags, help, YAML, defaults and the record in the run."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, Optional

from shared.errors import UserError


def setting(default: Any, help: str, *, advanced: bool = False, flag: str | None = None,
            at_least: float | None = None, at_most: float | None = None,
            positional: bool = False, metavar: str | None = None) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: the value when nothing is said.
        help: one line for `--help`.
        advanced: shown by `--help-all` only.
        flag: the flag's name where it is not the field's (`--from` for `from_run`).
        at_least, at_most: bounds of a number, both allowed.
        positional: arguments without a flag.
        metavar: what stands for the value in help.
    """
    metadata = {"help": help, "advanced": advanced, "flag": flag, "at_least": at_least, "at_most": at_most,
                "positional": positional, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


def flag_of(field: dataclasses.Field) -> str:
    return field.metadata.get("flag") or "--" + field.name.replace("_", "-")


def check_bounds(settings: Any) -> None:
    """Raises UserError for a number outside the bounds of its setting."""
    for field in dataclasses.fields(settings):
        value, low, high = (getattr(settings, field.name), field.metadata.get("at_least"),
                            field.metadata.get("at_most"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
            bounds = " and ".join(([f"at least {low:g}"] if low is not None else [])
                                  + ([f"at most {high:g}"] if high is not None else []))
            wanted = f"number of {bounds}" if bounds and math.isfinite(value) else "finite number"
            raise UserError(f"{flag_of(field)} {value:g}: give a {wanted}.")


def whole_numbers(flag: str, text: str, most: int, example: str) -> list[int]:
    """Those of a setting like 3,4,5. Raises UserError where `text` is no list of numbers from 1 to `most`."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(1 <= number <= most for number in found):
        raise UserError(f"{flag} {text}: give whole numbers from 1 to {most} with commas between, as {example}.")
    return found


@dataclass(kw_only=True)
class DataSettings:
    """Where examples come from: shared by all verbs that read data."""

    data: str = setting("sample", "sample, tfds:NAME, or the path of a folder or file", metavar="DATA")
    data_dir: Optional[str] = setting(None, "where prepared TFDS data lie [TFDS's own folder]", metavar="DIR")
    validation: float = setting(0.1, "share of the training data held out for choosing", advanced=True,
                                at_least=0.01, at_most=0.9)
    test: float = setting(0.2, "share held out for testing where the data has no test split", advanced=True,
                          at_least=0.01, at_most=0.9)
    max_bad: float = setting(0.01, "share of unreadable examples above which it stops", advanced=True,
                             at_least=0, at_most=1)
    limit: int = setting(0, "use only so many examples of each split (0: all)", advanced=True, at_least=0)
    seed: int = setting(0, "seeds splits, initial weights, order and augmentation", at_least=0, at_most=2**31 - 1)


@dataclass(kw_only=True)
class FitSettings(DataSettings):
    """What every app's training has. An app adds its own and names those that mean nothing to it."""

    run: Optional[str] = setting(None, "folder of the new run [runs/APP/TIME-MODEL]", metavar="DIR")
    resume: Optional[str] = setting(None, "go on with this run; all other settings come from it, but --epochs",
                                    metavar="RUN")
    from_run: Optional[str] = setting(None, "start from the trained weights of this run; what fits is kept",
                                      flag="--from", metavar="RUN")
    epochs: int = setting(10, "passes over the training data, in total", at_least=1)
    batch_size: int = setting(128, "examples a step", at_least=1)
    learning_rate: float = setting(0.001, "step size at its highest", at_least=0)
    optimizer: Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion"] = setting(
        "adam", "Keras optimizer; momentum and nesterov are SGD with 0.9")
    schedule: Literal["constant", "step", "exponential", "cosine", "one_cycle", "plateau"] = setting(
        "cosine", "course of the learning rate; cosine and one_cycle rise first, see --warmup")
    validate_every: int = setting(1, "score on validation data after every so many epochs, and after the last",
                                  advanced=True, at_least=1)
    patience: int = setting(0, "stop after so many scorings on validation data without a better one (0: never)",
                            at_least=0)
    precision: Literal["float32", "mixed_bfloat16"] = setting(
        "float32", "mixed_bfloat16 halves the time on processors that gain by it; fit says where this one does not")

    warmup: float = setting(0.05, "share of all steps in which cosine and one_cycle rise", advanced=True,
                            at_least=0, at_most=1)
    decay_rate: float = setting(0.5, "factor of step, exponential and plateau", advanced=True, at_least=0, at_most=1)
    decay_epochs: int = setting(3, "epochs between two decays (plateau: without a better score)", advanced=True,
                                at_least=1)
    weight_decay: float = setting(0.0, "decoupled weight decay; biases and normalisation are left out",
                                  advanced=True, at_least=0)
    l1: float = setting(0.0, "L1 penalty on kernels", advanced=True, at_least=0)
    l2: float = setting(0.0, "L2 penalty on kernels", advanced=True, at_least=0)
    clip_norm: float = setting(0.0, "largest norm of all gradients together (0: any)", advanced=True, at_least=0)
    label_smoothing: float = setting(0.0, "share of the target spread over all classes", advanced=True,
                                     at_least=0, at_most=0.9)
    ema: float = setting(0.0, "momentum X of an average of the weights over some 1 / (1 - X) steps, which is then "
                         "scored and shipped; wants a schedule that ends low (0: off)",
                         advanced=True, at_least=0, at_most=0.99999)
    class_weights: Literal["none", "balanced", "square_root"] = setting(
        "none", "weigh rare classes more: balanced by 1 / share, square_root by its root", advanced=True)
    initializer: Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal",
                         "orthogonal"] = setting("he_normal", "Keras initialiser of kernels", advanced=True)
    activation: Literal["relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "tanh"] = setting(
        "relu", "Keras activation between layers", advanced=True)
    cache: Literal["auto", "memory", "disk", "none"] = setting(
        "auto", "where preprocessed examples are kept; auto chooses by size", advanced=True)
    folds: int = setting(0, "cross-validate with so many folds (0: one run)", advanced=True, at_least=0)
    steps_per_execution: int = setting(10, "steps between two looks of Keras at the clock", advanced=True, at_least=1)
    checkpoint_minutes: float = setting(5.0, "minutes between two checkpoints within an epoch", advanced=True,
                                        at_least=0)
    checkpoint_steps: int = setting(0, "steps between two checkpoints (0: by the clock)", advanced=True, at_least=0)


def refuse(settings: FitSettings, refused: dict[str, str], app: str) -> None:
    """Raises UserError where a setting that means nothing to `app` was changed.

    Args:
        refused: the reason by setting's name.
    """
    for field in dataclasses.fields(settings):
        if field.name in refused and getattr(settings, field.name) != field.default:
            raise UserError(f"{flag_of(field)} means nothing to {app}: {refused[field.name]}")


UNKEPT = ("run", "resume", "json")  # what is said of one call, not of a training


def as_dict(settings: Any) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


