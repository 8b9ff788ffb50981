"""A shipped file against the Keras model it was made from, on a whole split: do labels and probabilities agree?

    python -m benchmarks.parity APP RUN FILE [--split test] [--data-dir DIR]

Prints, for each output, how many examples differ and the largest difference.
"""

import argparse

import numpy as np

from apps import APPS
from shared.app import find_app
from shared.evaluation.predictors import open_artifact
from shared.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("app")
    parser.add_argument("run")
    parser.add_argument("file")
    parser.add_argument("--split", default="test")
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    app = find_app(args.app, APPS)
    keras_model, shipped = open_artifact(args.run, app), open_artifact(args.file, app)
    settings = Run.open(args.run).settings(app)
    settings.data_dir = args.data_dir or settings.data_dir
    split = app.dataset(settings, keras_model.facts).splits[args.split]
    worst: dict[str, float] = {}
    different: dict[str, int] = {}
    for _, columns in split.batches(500):
        want, got = (predict({name: columns[name] for name in shipped.inputs}) for predict in (keras_model, shipped))
        for name in want:
            gap = np.abs(want[name].astype(np.float64) - got[name])
            worst[name] = max(worst.get(name, 0.0), float(gap.max()))
            different[name] = different.get(name, 0) + int((gap.reshape(len(gap), -1).max(1) > 1e-4).sum())
    for name in worst:
        print(f"{name:14} {different[name]} of {len(split):,} differ by more than 1e-4; largest {worst[name]:.2g}")


if __name__ == "__main__":
    main()
