"""How much memory reading events takes: a table of so many rows is written, read and cut into histories.

    python -m benchmarks.recommend_memory [MILLIONS]

MILLIONS of rows, 10 where nothing is said, of 100,000 people; the items are drawn from a power law.
"""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

from apps.recommend.app import Recommend, Settings
from shared.memory import peak_memory_mb

PEOPLE, ITEMS, EXPONENT = 100_000, 50_000, 0.6


def main() -> None:
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else 10) * 1e6)
    each, random = rows // PEOPLE, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user", "item", "time", "rating"])
            for person in range(PEOPLE):
                items = (random.pareto(EXPONENT, each) * 10).astype(np.int64) % ITEMS
                writer.writerows((person, item, time, 1 + time % 5) for time, item in enumerate(items.tolist()))
        before = peak_memory_mb()
        settings = Settings(data=str(path))
        dataset = Recommend().dataset(settings)
        Recommend().learn_facts(settings, dataset.splits["train"], dataset)
    print(f"{rows:,} rows of {len(dataset.labels):,} items: at most {peak_memory_mb():.0f} MB in all, {before:.0f} MB "
          f"before reading")


if __name__ == "__main__":
    main()
