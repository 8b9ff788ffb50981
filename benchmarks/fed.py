"""Training as `fit` does it, without validation: its feed, its optimizer and its compile options."""

from collections.abc import Callable
from typing import Any

import keras

from shared.data.dataset import Split
from shared.training.feed import Feed
from shared.training.optimizers import optimizer


def fed(model: Any, trainer: keras.Model, examples: Split, settings: Any, epochs: int = 1) -> Callable[[], Any]:
    """A function that trains so many epochs each time it is called."""
    feed = Feed(model, examples, settings.batch_size, 0, "memory", None)
    trainer.compile(optimizer(settings, feed.steps), steps_per_execution=min(settings.steps_per_execution, feed.steps),
                    jit_compile=False, **model.losses())
    batches = feed.dataset()
    turn = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: feed.begin(epoch, 0))
    return lambda: trainer.fit(batches, epochs=epochs, verbose=0, callbacks=[turn])
