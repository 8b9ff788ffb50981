"""Words/s of training from raw text here against plain Keras: the same network, batch and epochs, in one process.

    python -m benchmarks.text_speed [--epochs 10] [--rounds 1] [FLAGS OF FIT]

Plain Keras is `model.fit` on a `tf.data` pipeline that shuffles, batches and tokenizes by `TextVectorization` in its
map (padded to the longest of the batch), its vocabulary adapted to the same texts. Ours is what `pocketconv text fit`
does: the vocabulary, the tokenizer of the graph (once, then cached), batches of like length. Both begin at the raw
texts and end after the last epoch, validation left out. Words are what white space parts. What counts is the ratio in
one run, since machines differ and are shared.
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
from shared.data.text_bytes import decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="timed rounds of each, in turns")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data a round")
    args, flags = parser.parse_known_args()
    app = find_app("text", APPS)
    settings = parse("fit", "", app.Settings, ["--data", "sample", *flags])
    settings = app.Settings(**{name: getattr(settings, name) for name in vars(settings) if name != "given"})
    dataset = app.dataset(settings)
    train = dataset.splits["train"]
    texts = [decoded(train.columns["text"].row(row)) for row in range(len(train))]
    labels = np.asarray(train.columns["label"][np.arange(len(train))])
    words = args.epochs * sum(len(text.split()) for text in texts)

    def ours() -> float:
        keras.utils.set_random_seed(0)
        begun = time.perf_counter()
        facts = app.learn_facts(settings, train, dataset)
        model = app.build(settings, facts)
        examples = model.examples(train)
        fed(model, model.trainer(model.network(), examples), examples, settings, args.epochs)()
        return time.perf_counter() - begun

    def plain() -> float:
        keras.utils.set_random_seed(0)
        begun = time.perf_counter()
        facts = app.learn_facts(settings, train, dataset)  # for the network's sizes; not counted
        begun = time.perf_counter()
        vectorize = keras.layers.TextVectorization(max_tokens=len(facts["tokens"]["words"]) + 2)
        vectorize.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(256))
        model = app.build(settings, facts)
        network = model.network()
        network.compile(keras.optimizers.Adam(settings.learning_rate), jit_compile=False, **model.losses())
        classes = len(dataset.labels)
        batches = (tf.data.Dataset.from_tensor_slices((texts, labels)).shuffle(len(texts)).batch(settings.batch_size)
                   .map(lambda text, label: ({"ids": tf.cast(vectorize(text), tf.int32)}, tf.one_hot(label, classes)),
                        num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
        network.fit(batches, epochs=args.epochs, verbose=0)
        return time.perf_counter() - begun

    seconds: dict[str, list[float]] = {"plain Keras": [], "ours": []}
    for _ in range(args.rounds):
        seconds["plain Keras"].append(plain())
        seconds["ours"].append(ours())
    for name, times in seconds.items():
        print(f"{name:12} {words / np.median(times):10,.0f} words/s  ({', '.join(f'{one:.1f}' for one in times)} s)")
    print(f"{np.median(np.array(seconds['plain Keras']) / np.array(seconds['ours'])):.2f} times plain Keras")


if __name__ == "__main__":
    main()
