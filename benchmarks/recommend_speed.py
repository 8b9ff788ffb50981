"""Interactions/s of training here against plain Keras: the same network, batch and loss, interleaved in one process.

    python -m benchmarks.recommend_speed [--data DATA] [--examples 2048] [--rounds 5] [FLAGS OF FIT]

Plain Keras is `model.fit` on arrays in memory: the histories cut once, no augmentation. Ours is the feed and the
compile options of `pocketconv recommend fit`, whose histories are cut anew every epoch. Validation is left out of
both. A round is an epoch of so many stretches of histories, whatever the data hold; interactions are what the loss
counts. What counts is the ratio in one run, since machines are shared.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
import keras
import numpy as np
import tensorflow as tf

from apps import APPS
from benchmarks.fed import fed
from shared.app import find_app
from shared.cli.parser import parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each, after one to warm up")
    parser.add_argument("--examples", type=int, default=2048, help="stretches of histories a round, at most")
    args, flags = parser.parse_known_args()
    app = find_app("recommend", APPS)
    settings = parse("fit", "", app.Settings, flags)
    dataset = app.dataset(settings)
    train = dataset.splits["train"]
    facts = app.learn_facts(settings, train, dataset)

    def made():
        model = app.build(settings, facts)
        whole = model.examples(train)
        examples = whole.select(np.arange(min(args.examples, len(whole))))
        return model, examples, model.trainer(model.network(), examples)

    def plain():
        model, examples, trainer = made()
        kept = len(examples) // settings.batch_size * settings.batch_size
        raw = model.augment_raw({name: tf.constant(column) for name, column in examples.take(np.arange(kept)).items()},
                                tf.zeros(kept, tf.uint32))
        x = {name: value.numpy() for name, value in model.preprocess(raw).items()}
        y, weight = model.target(raw).numpy(), model.weight(raw).numpy()
        trainer.compile(keras.optimizers.Adam(settings.learning_rate), jit_compile=False, **model.losses())
        return int(weight.sum()), lambda: trainer.fit(x, y, sample_weight=weight, batch_size=settings.batch_size,
                                                      verbose=0)

    def ours():
        model, examples, trainer = made()
        return fed(model, trainer, examples, settings)

    count, plain_round = plain()
    runs, seconds = {"plain Keras": plain_round, "ours": ours()}, {"plain Keras": [], "ours": []}
    for turn in range(args.rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    for name, times in seconds.items():
        print(f"{name:12} {count / np.median(times):10,.0f} interactions/s")
    ratio = np.array(seconds["plain Keras"]) / np.array(seconds["ours"])
    print(f"{np.median(ratio):.2f} times plain Keras (least {ratio.min():.2f}, most {ratio.max():.2f})")


if __name__ == "__main__":
    main()
