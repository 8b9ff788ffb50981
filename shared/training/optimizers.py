"""Keras' optimizers and schedules, chosen by settings."""

import math
from typing import Any

import keras

from shared.settings import FitSettings


@keras.saving.register_keras_serializable("pocketconv")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up by a cosine, then down by a longer one (Smith and Topin 2018).

    Args:
        highest: learning rate at the top; it begins at a 25th and ends at a 10,000th of it.
        steps: of the whole training.
        rise: share of the steps that go up.
    """

    def __init__(self, highest: float, steps: int, rise: float):
        self.highest, self.steps, self.rise = highest, steps, rise

    def __call__(self, step: Any) -> Any:
        ops = keras.ops
        step = ops.cast(step, "float32")
        top = max(1.0, self.rise * self.steps)
        up = ops.minimum(step / top, 1.0)
        down = ops.clip((step - top) / max(1.0, self.steps - top), 0.0, 1.0)
        low, end = self.highest / 25, self.highest / 1e4
        rising = low + (self.highest - low) * (1 - ops.cos(math.pi * up)) / 2
        falling = end + (self.highest - end) * (1 + ops.cos(math.pi * down)) / 2
        return ops.where(step < top, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {"highest": self.highest, "steps": self.steps, "rise": self.rise}


def learning_rate(settings: FitSettings, steps_per_epoch: int) -> Any:
    """A number (constant; plateau, which a callback changes) or a Keras schedule over optimizer steps."""
    highest, total = settings.learning_rate, settings.epochs * steps_per_epoch
    schedules, warmup = keras.optimizers.schedules, round(settings.warmup * total)
    match settings.schedule:
        case "step" | "exponential":
            return schedules.ExponentialDecay(highest, settings.decay_epochs * steps_per_epoch, settings.decay_rate,
                                              staircase=settings.schedule == "step")
        case "cosine":
            return schedules.CosineDecay(0.0 if warmup else highest, max(1, total - warmup),
                                         warmup_target=highest if warmup else None, warmup_steps=warmup)
        case "one_cycle":
            return OneCycle(highest, total, settings.warmup)
    return highest


def optimizer(settings: FitSettings, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer of the settings; biases and normalisation are left out of weight decay."""
    options: dict[str, Any] = {
        "learning_rate": learning_rate(settings, steps_per_epoch),
        "weight_decay": settings.weight_decay or None,
        "global_clipnorm": settings.clip_norm or None,
        "use_ema": settings.ema > 0,
    }
    if settings.ema:
        options["ema_momentum"] = settings.ema
    o = keras.optimizers
    match settings.optimizer:
        case "sgd":
            made = o.SGD(**options)
        case "momentum":
            made = o.SGD(momentum=0.9, **options)
        case "nesterov":
            made = o.SGD(momentum=0.9, nesterov=True, **options)
        case "rmsprop":
            made = o.RMSprop(**options)
        case "adam":
            made = o.Adam(**options)
        case "adamw":
            made = o.AdamW(**{**options, "weight_decay": settings.weight_decay or 0.004})
        case _:
            made = o.Lion(**options)
    if made.weight_decay:
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made
