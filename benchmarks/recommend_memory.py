"""How much memory reading events takes, training on them, and scoring a large catalogue.

    python -m benchmarks.recommend_memory events [MILLIONS]
        A table of MILLIONS of rows, 10 where nothing is said, of 100,000 people, is written, read and cut into
        histories; the items are drawn from a power law.
    python -m benchmarks.recommend_memory training [MILLIONS]
        A network is trained on such a table for an epoch by sampled softmax, and scored on its validation split.
    python -m benchmarks.recommend_memory catalogue [ITEMS]
        A network of ITEMS items, a million where nothing is said, that is not trained, ranks all of them for 1,000
        people, and the lists are scored.
"""

import contextlib
import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

from apps.recommend.app import Recommend, Settings
from shared.data.dataset import Ragged, Split
from shared.facts import Facts
from shared.memory import peak_memory_mb

PEOPLE, ITEMS, EXPONENT = 100_000, 50_000, 0.6
ASKED, LENGTH = 1000, 50  # people, and items of a history


@contextlib.contextmanager
def table(rows: int) -> Iterator[Path]:
    """A table of so many rows, for as long as the context lasts."""
    each, random = rows // PEOPLE, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user", "item", "time", "rating"])
            for person in range(PEOPLE):
                items = (random.pareto(EXPONENT, each) * 10).astype(np.int64) % ITEMS
                writer.writerows((person, item, time, 1 + time % 5) for time, item in enumerate(items.tolist()))
        yield path


def events(rows: int) -> None:
    with table(rows) as path:
        before = peak_memory_mb()
        settings = Settings(data=str(path))
        dataset = Recommend().dataset(settings)
        Recommend().learn_facts(settings, dataset.splits["train"], dataset)
    print(f"{rows:,} rows of {len(dataset.labels):,} items: at most {peak_memory_mb():.0f} MB in all, {before:.0f} MB "
          f"before reading")


def training(rows: int) -> None:
    from shared.cli.terminal import progress
    from shared.run import Run
    from shared.training.fit import fit
    app = Recommend()
    with table(rows) as path:
        settings = Settings(data=str(path), loss="sampled", epochs=1)
        report = fit(app, settings, app.dataset(settings), Run.create(path.parent / "run", app, settings), print,
                     progress, verbose=2)
    print(f"{rows:,} rows trained on for an epoch: at most {peak_memory_mb():.0f} MB in all, "
          f"{report.about['cpu_minutes']:.1f} CPU-minutes")


def catalogue(count: int) -> None:
    from shared.evaluation.answering import answering
    from shared.evaluation.score import score
    from shared.training.fit import predict_with
    names = [str(number) for number in range(count)]
    facts = Facts({"labels": names, "titles": names, "length": LENGTH, "exclude": 1024, "top": 50, "most": 50},
                  {"counts": np.ones(count, np.int32)})
    app, random = Recommend(), np.random.default_rng(0)
    model = app.build(Settings(), facts)
    answer = answering(app, predict_with(model, model.network()), model.inputs, facts)
    histories = random.integers(1, count + 1, (ASKED, LENGTH + 1), np.int32)
    split = Split({"history": Ragged(histories[:, :-1].ravel(), np.arange(ASKED + 1) * LENGTH),
                   "targets": Ragged(histories[:, -1], np.arange(ASKED + 1)),
                   "exclude": np.zeros((ASKED, 1), np.int32)})
    score(answer, split, app.scorer(facts))
    print(f"{count:,} items ranked for {ASKED:,} people: at most {peak_memory_mb():.0f} MB in all")


def main() -> None:
    what, number = [*sys.argv[1:], "", ""][:2]
    if what not in ("events", "training", "catalogue"):
        sys.exit(__doc__)
    if what == "catalogue":
        catalogue(int(float(number or 1e6)))
    else:
        {"events": events, "training": training}[what](int(float(number or 10) * 1e6))


if __name__ == "__main__":
    main()
