"""Makes the tables that apps/recommend/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_recommend movielens SOURCE FILE.csv
        SOURCE: the folder of https://files.grouplens.org/datasets/movielens/ml-1m.zip (Harper and Konstan 2015;
        research use, not to be passed on), with `movies.dat` and `ratings.dat`; or with `ratings.csv` in its place,
        whose columns are user, movie, rating and rank, the place of the rating among those of the person.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ["user", "item", "time", "rating", "title"]


def lines(path: Path) -> Iterator[list[str]]:
    """Fields between `::`, in Latin-1."""
    with path.open(encoding="latin-1") as file:
        for line in file:
            yield line.rstrip("\r\n").split("::")


def movielens(source: Path) -> Iterator[list[str]]:
    titles = {row[0]: row[1] for row in lines(source / "movies.dat")}
    if (source / "ratings.dat").is_file():
        for user, movie, rating, time in lines(source / "ratings.dat"):
            yield [user, movie, time, rating, titles[movie]]
        return
    with (source / "ratings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield [row["user"], row["movie"], row["rank"], row["rating"], titles[row["movie"]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("movielens",))
    parser.add_argument("source", type=Path)
    parser.add_argument("table", type=Path, metavar="FILE.csv")
    args = parser.parse_args()
    if args.table.exists():
        sys.exit(f"{args.table} exists already: name a new file.")
    needed = [args.source / "movies.dat", args.source / "ratings.dat"]
    if (args.source / "ratings.csv").is_file():
        needed.pop()
    if lacking := [path for path in needed if not path.is_file()]:
        sys.exit(f"There is no {lacking[0]}: see --help for where the set comes from.")
    count = 0
    with args.table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in movielens(args.source):
            writer.writerow(row)
            count += 1
    print(f"{count:,} ratings; use them by --data {args.table}")


if __name__ == "__main__":
    main()
