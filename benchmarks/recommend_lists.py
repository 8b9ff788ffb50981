"""Do shipped files recommend what Keras does? Their first ten items for every person who tests.

    python -m benchmarks.recommend_lists RUN FILE.tflite [FILE.tflite ...] [--data DATA]

Prints for each file for how many people the ten are the same in the same order, but where scores lie within 1e-5; for
how many they are the same ten; how many of ten are in common on average; and hits among ten, in Keras and in the file.
"""

import argparse
from types import SimpleNamespace

import numpy as np

from apps import APPS
from shared.app import find_app
from shared.cli.evaluate import data_of, pick
from shared.evaluation.answering import answering
from shared.evaluation.predictors import open_artifact

TEN, TIE = 10, 1e-5


def in_order(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether the first ten are the same, but for items whose scores are tied."""
    scores = dict(zip(first["items"].tolist(), first["scores"], strict=True))
    return all(one == other or (other in scores and abs(score - scores[other]) <= TIE) for one, other, score in zip(
        first["items"][:TEN].tolist(), second["items"][:TEN].tolist(), first["scores"][:TEN], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--data")
    args = parser.parse_args()
    app = find_app("recommend", APPS)
    opened = [open_artifact(path, app) for path in (args.run, *args.files)]
    wanted = SimpleNamespace(data=args.data, data_dir=None, limit=0, max_bad=0.01)
    split = pick(app.dataset(data_of(app, opened[0], wanted), opened[0].facts), "test")
    answers = [answering(app, predictor, predictor.inputs, predictor.facts) for predictor in opened]
    rows: list[list[tuple[bool, bool, int, bool, bool]]] = [[] for _ in args.files]
    for indices, columns in split.batches(split.gathered(256)):
        examples = [{name: column[row] for name, column in columns.items()} for row in range(len(indices))]
        keras, *files = (list(answer(examples)) for answer in answers)
        for found, own in zip(rows, files, strict=True):
            for example, first, second in zip(examples, keras, own, strict=True):
                ten, other = first["items"][:TEN], second["items"][:TEN]
                common = len(np.intersect1d(ten, other))
                found.append((in_order(first, second), common == TEN, common,
                              np.isin(example["targets"], ten).any(), np.isin(example["targets"], other).any()))
    for path, found in zip(args.files, rows, strict=True):
        order, same, common, keras, file = np.mean(np.array(found, float), 0)
        print(f"{path}: of {len(found):,} people {100 * order:.2f} % the same order, {100 * same:.2f} % the same ten, "
              f"{common:.2f} of ten in common; hits among ten {keras:.4f} in Keras, {file:.4f} in the file")


if __name__ == "__main__":
    main()
