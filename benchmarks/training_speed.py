"""Training images/s here against plain Keras: the same network, batch and precision, interleaved in one process.

    python -m benchmarks.training_speed APP [--rounds 7] [--epochs 1] [FLAGS OF FIT]

Plain Keras is `model.fit` on in-memory float32 arrays, without augmentation, with Keras' own layers. Ours is the feed,
the layers and the compile options of `pocketconv APP fit`, without and with its standard augmentation. Validation is
left out of both. Times are wall clock; what counts is the ratio of the medians in one run, since machines differ and
are shared.
"""

import argparse
import os
import time
from dataclasses import replace
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

import shared.networks.blocks
from apps import APPS
from benchmarks.fed import fed
from shared.app import find_app
from shared.cli.parser import parse
from shared.training.fit import precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("app")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each, after one to warm up")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the data a round")
    args, flags = parser.parse_known_args()
    app = find_app(args.app, APPS)
    settings = parse("fit", "", app.Settings, ["--data", "sample", *flags])
    settings = app.Settings(**{name: getattr(settings, name) for name in vars(settings) if name != "given"})
    dataset = app.dataset(settings)
    train = dataset.splits["train"]
    facts = app.learn_facts(settings, train, dataset)

    def plain():
        model = app.build(replace(settings, augment="none"), facts)
        with (precision(settings.precision),
              mock.patch.object(shared.networks.blocks, "BatchNormalization", keras.layers.BatchNormalization)):
            network = model.network()
        network.compile(keras.optimizers.Adam(1e-3), jit_compile=False, **model.losses())
        examples = model.examples(train)
        columns = examples.take(np.arange(len(examples) // settings.batch_size * settings.batch_size))
        x, y = model.preprocess({name: columns[name] for name in model.inputs}).numpy(), np.asarray(
            model.target(columns))
        return lambda: network.fit(x, y, batch_size=settings.batch_size, epochs=args.epochs, verbose=0)

    def ours(augment):
        own = replace(settings, augment=augment)
        model = app.build(own, facts)
        examples = model.examples(train)
        with precision(own.precision):
            trainer = model.trainer(model.network(), examples)
        return fed(model, trainer, examples, own, args.epochs)

    runs = {"plain Keras": plain(), "ours, augmentation off": ours("none"), "ours, augmentation on": ours("standard")}
    seconds = {name: [] for name in runs}
    for turn in range(args.rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    images = args.epochs * (len(train) // settings.batch_size * settings.batch_size)
    base = np.array(seconds["plain Keras"])
    for name, times in seconds.items():
        ratio = base / np.array(times)
        print(f"{name:24} {images / np.median(times):8.1f} images/s   {np.median(ratio):.2f} times plain Keras "
              f"(least {ratio.min():.2f}, most {ratio.max():.2f} of {args.rounds} rounds)")


if __name__ == "__main__":
    main()
