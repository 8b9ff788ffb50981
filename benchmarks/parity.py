"""Two artifacts of one model on a whole split, such as a run and its file, or float32 and int8: do they agree?

    python -m benchmarks.parity APP ARTIFACT ARTIFACT [--split test] [--data DATA] [--data-dir DIR]

Prints, for each answer, the share of equal numbers (of whole numbers; of others those within 1e-4) and the largest
difference. The data are those that the first was trained on where it is a run, else name them.
"""

import argparse
from types import SimpleNamespace

import numpy as np

from apps import APPS
from shared.app import find_app
from shared.cli.evaluate import data_of, pick
from shared.evaluation.answering import answering
from shared.evaluation.predictors import open_artifact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("app")
    parser.add_argument("artifacts", nargs=2)
    parser.add_argument("--split", default="test")
    parser.add_argument("--data")
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    app = find_app(args.app, APPS)
    both = [open_artifact(path, app) for path in args.artifacts]
    wanted = SimpleNamespace(data=args.data, data_dir=args.data_dir, limit=0, max_bad=0.01)
    split = pick(app.dataset(data_of(app, both[0], wanted), both[0].facts), args.split)
    answers = [answering(app, predictor, predictor.inputs, predictor.facts) for predictor in both]
    equal: dict[str, int] = {}
    total: dict[str, int] = {}
    worst: dict[str, float] = {}
    for indices, columns in split.batches(split.gathered(64)):
        rows = [{name: column[row] for name, column in columns.items()} for row in range(len(indices))]
        for first, second in zip(*(answer(rows) for answer in answers), strict=True):
            for name in first.keys() & second.keys():
                if first[name].shape != second[name].shape:  # another number of entities: none of them counts as equal
                    total[name] = total.get(name, 0) + max(first[name].size, second[name].size)
                    continue
                gap = np.abs(first[name].astype(np.float64) - second[name])
                near = gap == 0 if np.issubdtype(first[name].dtype, np.integer) else gap <= 1e-4
                equal[name] = equal.get(name, 0) + int(near.sum())
                total[name] = total.get(name, 0) + gap.size
                worst[name] = max(worst.get(name, 0.0), float(gap.max(initial=0)))
    for name in sorted(total):
        share = 100 * equal.get(name, 0) / max(1, total[name])
        print(f"{name:14} {share:.4f} % of {total[name]:,} numbers equal on {len(split):,} examples; largest "
              f"difference {worst.get(name, 0):.2g}")


if __name__ == "__main__":
    main()
