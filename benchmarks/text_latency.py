"""Latency of a text model's whole file against the tokenizer in it alone, on one core, interleaved in one process.

    python -m benchmarks.text_latency RUN [--bytes 1024,4096] [--rounds 300]

Both are made from the run for texts of so many bytes, in the dynamic-range variant, and answer sentences of the
shipped sample put behind one another until they fill it.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from apps import APPS
from apps.text.app import Settings
from shared.app import find_app
from shared.data.text_bytes import decoded
from shared.facts import Facts
from shared.run import Run
from shared.training.fit import load_network


def file(function, size):
    """A dynamic-range `.tflite` of a function of `[1, size]` bytes."""
    made = tf.function(function, input_signature=[tf.TensorSpec([1, size], tf.int32, name="text")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def runner(content, text):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], text)
    return interpreter.invoke


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--bytes", default="1024,4096")
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    app, run = find_app("text", APPS), Run.open(args.run)
    settings, facts = run.settings(app), run.facts()
    network = load_network(app.build(settings, facts), run)
    column = app.load(Settings(data="sample")).splits["train"].columns["text"]
    texts = " ".join(decoded(column.row(row)) for row in range(200)).encode()
    for size in map(int, args.bytes.split(",")):
        tokens = {**facts["tokens"], "max_bytes": size, "max_tokens": size // 3}
        model = app.build(settings, Facts({**facts.values, "max_bytes": size, "tokens": tokens}))
        text = np.frombuffer(texts[:size], np.uint8).astype(np.int32)[None]
        whole, alone = model.pipeline(network), model.preprocess
        runs = {name: runner(file(lambda text, function=function: function({"text": text}), size), text)
                for name, function in (("whole file", whole), ("tokenizer", alone))}
        times = {name: [] for name in runs}
        for turn in range(args.rounds + 20):
            for name, run_once in runs.items():
                begun = time.perf_counter()
                run_once()
                if turn >= 20:
                    times[name].append(time.perf_counter() - begun)
        medians = {name: 1000 * np.median(taken) for name, taken in times.items()}
        ratio = np.array(times["whole file"]) / np.array(times["tokenizer"])
        print(f"{size} bytes: whole file {medians['whole file']:.2f} ms, tokenizer {medians['tokenizer']:.2f} ms: "
              f"{np.median(ratio):.2f} times")


if __name__ == "__main__":
    main()
