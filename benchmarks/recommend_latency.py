"""Latency of shipped files by the size of the catalogue, on one core: a network that is not trained, made into files.

    python -m benchmarks.recommend_latency [--items 3700,100000] [--rounds 300] [FLAGS OF FIT]

The default network, histories of 100 items. Prints the median milliseconds of a call, and the size, without names.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

from apps import APPS
from shared.app import find_app
from shared.cli.parser import parse
from shared.evaluation.latency import latencies
from shared.evaluation.predictors import TFLitePredictor
from shared.export.convert import convert
from shared.export.saved_model import write_saved_model
from shared.facts import Facts
from shared.files import arrays_to_bytes
from shared.metadata import pack

LENGTH, EXAMPLES, VARIANTS = 100, 50, ("float32", "dynamic", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="3700,100000")
    parser.add_argument("--rounds", type=int, default=300)
    args, flags = parser.parse_known_args()
    app = find_app("recommend", APPS)
    settings = parse("fit", "", app.Settings, flags)
    for count in map(int, args.items.split(",")):
        names = [str(number) for number in range(count)]
        facts = Facts({"labels": names, "titles": names, "length": LENGTH, "exclude": 1024, "top": 50, "most": 50},
                      {"counts": np.ones(count, np.int32)})
        model = app.build(settings, facts)
        network = model.network()
        random = np.random.default_rng(0)
        raw = {"history": random.integers(1, count, (EXAMPLES, LENGTH), np.int32),
               "exclude": random.integers(0, count, (EXAMPLES, 1024), np.int32)}
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            record = write_saved_model(model, network, place / "float", app.name, facts)
            write_saved_model(model, model.for_int8(network), place / "int8", app.name, facts)
            ranges = {f"{key}/{name}": column for key, given in model.ranges(network, raw).items()
                      for name, column in given.items()}
            (place / "ranges.npz").write_bytes(arrays_to_bytes(ranges))
            for variant in VARIANTS:
                file, integer = place / f"{variant}.tflite", variant == "int8"
                if reason := convert(place / ("int8" if integer else "float"), variant, file,
                                     place / "ranges.npz" if integer else None):
                    print(f"{count:,} items, {variant}: {reason}")
                    continue
                size = file.stat().st_size
                file.write_bytes(pack(file.read_bytes(), {**record, "variant": variant}, facts))
                times = latencies(TFLitePredictor(file, threads=1), args.rounds)
                print(f"{count:,} items, {variant}: {np.median(times):.3f} ms, {size:,} bytes")


if __name__ == "__main__":
    main()
