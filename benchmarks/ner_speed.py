"""Latency of two taggers, one core, one sentence of so many tokens a call, interleaved in one process: whole files
(confidences and spans included), and their encoders alone.

    python -m benchmarks.ner_speed RUN OTHER_RUN [--tokens 50] [--rounds 200]

Both are made from the runs for inputs of that length, in float32. The sentences are those of the shipped sample put
behind one another.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from apps import APPS
from apps.ner.app import Settings
from shared.app import find_app
from shared.data.plain_tokens import SEPARATOR
from shared.data.text_bytes import decoded
from shared.facts import Facts
from shared.run import Run
from shared.training.fit import load_network

BYTES_A_TOKEN = 16  # room


def runner(network, function, *inputs):
    """Calls a float32 `.tflite` of the function once; its inputs stay as they are."""
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", function, [tf.TensorSpec(array.shape, array.dtype) for array in inputs])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        interpreter = Interpreter(model_content=converter.convert(), num_threads=1)
    interpreter.allocate_tensors()
    for array in inputs:
        [place] = [each["index"] for each in interpreter.get_input_details()
                   if tuple(each["shape"]) == array.shape and each["dtype"] == array.dtype]
        interpreter.set_tensor(place, array)
    return interpreter.invoke


def both(path, texts, most):
    """The whole file's call and the encoder's."""
    app, run = find_app("ner", APPS), Run.open(path)
    settings, facts = run.settings(app), run.facts()
    tokens = {**facts["tokens"], "max_tokens": most}
    model = app.build(settings, Facts({**facts.values, "max_bytes": BYTES_A_TOKEN * most, "tokens": tokens}))
    network = load_network(model, run)
    text = np.zeros((1, BYTES_A_TOKEN * most), np.int32)
    plain = (SEPARATOR.join(texts[:most]) + SEPARATOR).encode()
    text[0, :len(plain)] = list(plain)
    vectors = network.get_layer("token_vectors").output
    encoder = keras.Model([network.input["ids"], vectors], network.get_layer("logits").output)
    given = np.random.default_rng(0).normal(size=(1, most, vectors.shape[-1])).astype(np.float32)
    ids = np.ones((1, most), np.int32)
    pipeline = model.pipeline(network)
    return (runner(network, lambda text: pipeline({"text": text}), text),
            runner(encoder, lambda ids, vectors: encoder([ids, vectors]), ids, given))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    column = find_app("ner", APPS).load(Settings(data="sample")).splits["test"].columns["text"]
    texts = "".join(decoded(column.row(row)) for row in range(100)).split(SEPARATOR)
    calls = [both(path, texts, args.tokens) for path in args.runs]
    for part, name in enumerate(("whole file", "encoder")):
        times = np.zeros((args.rounds, 2))
        for turn in range(-20, args.rounds):
            for which in (0, 1):
                begun = time.perf_counter()
                calls[which][part]()
                if turn >= 0:
                    times[turn, which] = 1000 * (time.perf_counter() - begun)
        first, second = np.median(times, 0)
        print(f"{name}, {args.tokens} tokens: {args.runs[0]} {first:.3f} ms, {args.runs[1]} {second:.3f} ms: "
              f"{np.median(times[:, 1] / times[:, 0]):.2f} times")


if __name__ == "__main__":
    main()
