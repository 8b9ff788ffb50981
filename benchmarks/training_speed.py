"""Training images/s here against plain Keras: the same network, batch and precision, interleaved in one process.

    python -m benchmarks.training_speed [--model cnn] [--precision float32] [--rounds 7]

Plain Keras is `model.fit` on in-memory float32 arrays, without augmentation. Ours is the feed and the compile options
of `pocketconv mnist fit`, without and with its standard augmentation. Validation is left out of both. Times are wall
clock; what counts is the ratio of the medians in one run, since machines differ and are shared.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from apps.mnist.app import Mnist, Settings
from apps.mnist.data import sample
from shared.training.feed import Feed
from shared.training.fit import precision
from shared.training.optimizers import optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cnn", choices=["cnn", "allconv", "resnet", "separable"])
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each, after one to warm up")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the 5,000 images a round")
    args = parser.parse_args()

    app, dataset = Mnist(), sample()
    train = dataset.splits["train"]
    runs = {}

    def plain():
        model = app.build(Settings(model=args.model), facts)
        with precision(args.precision):
            network = model.network()
        network.compile(keras.optimizers.Adam(1e-3), **model.losses())
        columns = train.take(np.arange(len(train)))
        x, y = model.preprocess({"image": columns["image"]}).numpy(), model.target(columns).numpy()
        x, y = x[:len(x) // 128 * 128], y[:len(y) // 128 * 128]
        return lambda: network.fit(x, y, batch_size=128, epochs=args.epochs, verbose=0)

    def ours(augment):
        settings = Settings(model=args.model, augment=augment, precision=args.precision)
        model = app.build(settings, facts)
        with precision(args.precision):
            network = model.network()
        feed = Feed(model, train, 128, 0, "memory", None)
        network.compile(optimizer(settings, feed.steps), steps_per_execution=settings.steps_per_execution,
                        jit_compile=False, **model.losses())
        batches = feed.dataset()
        turn = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: feed.begin(epoch, 0))
        return lambda: network.fit(batches, epochs=args.epochs, verbose=0, callbacks=[turn])

    facts = app.learn_facts(Settings(), train, dataset)
    runs = {"plain Keras": plain(), "ours, augmentation off": ours("none"), "ours, augmentation on": ours("standard")}
    seconds = {name: [] for name in runs}
    for turn in range(args.rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    images = args.epochs * (len(train) // 128 * 128)
    base = np.array(seconds["plain Keras"])
    for name, times in seconds.items():
        ratio = base / np.array(times)
        print(f"{name:24} {images / np.median(times):8.0f} images/s   {np.median(ratio):.2f} times plain Keras "
              f"(least {ratio.min():.2f}, most {ratio.max():.2f} of {args.rounds} rounds)")


if __name__ == "__main__":
    main()
