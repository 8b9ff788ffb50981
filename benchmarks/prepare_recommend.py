"""Makes the tables that apps/recommend/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_recommend movielens SOURCE FILE.csv
        SOURCE: the folder of https://files.grouplens.org/datasets/movielens/ml-1m.zip (Harper and Konstan 2015;
        research use, not to be passed on), with `movies.dat` and `ratings.dat`; or with `ratings.csv` in its place,
        whose columns are user, movie, rating and rank, the place of the rating among those of the person.

    python -m benchmarks.prepare_recommend movielens SOURCE FILE.csv --last NCF [--candidates | --rehearse]
        NCF: the folder `Data` of https://github.com/hexiangnan/neural_collaborative_filtering (He et al. 2017), with
        `ml-1m.test.negative`, which counts people and movies from 0 on as ratings.dat has them. The item that it tests
        a person by comes last among those of the person's last second, where any may; with --candidates, the 99 that
        it is ranked among stand beside it. With --rehearse, what it tests is left out, and another one of the last
        second that is then left, drawn by a fixed seed, comes last: to choose settings by, as they will be tested.
"""

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ["user", "item", "time", "rating", "title", "genres"]
NEGATIVE = "ml-1m.test.negative"


def lines(path: Path) -> Iterator[list[str]]:
    """Fields between `::`, in Latin-1."""
    with path.open(encoding="latin-1") as file:
        for line in file:
            yield line.rstrip("\r\n").split("::")


def movielens(source: Path) -> Iterator[tuple[list[str], str]]:
    """Rows, and the second of each, empty where that is unknown."""
    films = {row[0]: row[1:] for row in lines(source / "movies.dat")}  # title, and genres with bars between
    if (source / "ratings.dat").is_file():
        for user, movie, rating, time in lines(source / "ratings.dat"):
            yield [user, movie, time, rating, *films[movie]], time
        return
    with (source / "ratings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield ([row["user"], row["movie"], row["rank"], row["rating"], *films[row["movie"]]],
                   row.get("timestamp") or "")


def ncf(source: Path, test: Path, rehearse: bool) -> Iterator[list[str]]:
    """Rows with one more field, the candidates of a row that tests; it comes last."""
    given = list(movielens(source))
    people, movies = (list(dict.fromkeys(row[column] for row, _ in given)) for column in (0, 1))
    held = {}
    with (test / NEGATIVE).open(encoding="utf-8") as file:
        for line in file:
            pair, *others = line.split()
            user, movie = map(int, pair.strip("()").split(","))
            held[people[user], movies[movie]] = " ".join(movies[int(other)] for other in others)
    if rehearse:
        given = [(row, second) for row, second in given if (row[0], row[1]) not in held]
        held = drawn_last(given)
    latest: dict[str, int] = {}
    for (user, _, time, *_), _ in given:
        latest[user] = max(latest.get(user, 0), int(time))
    last = []
    for row, _ in given:
        if (key := (row[0], row[1])) in held:
            last.append([*row[:2], str(latest[row[0]]), *row[3:], held[key]])
        else:
            yield [*row, ""]
    yield from last


def drawn_last(given: list[tuple[list[str], str]]) -> dict[tuple[str, str], str]:
    """Person and movie of one row of each person's last second, drawn; without candidates."""
    rows: dict[str, list[tuple[int, str, str]]] = {}
    for (user, movie, time, *_), second in given:
        rows.setdefault(user, []).append((int(time), second, movie))
    draw, chosen = random.Random(0), {}
    for user, own in rows.items():
        _, second, movie = sorted(own, key=lambda row: row[0])[-1]
        among = [other for _, at, other in own if at == second] if second else [movie]
        chosen[user, draw.choice(among)] = ""
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("movielens",))
    parser.add_argument("source", type=Path)
    parser.add_argument("table", type=Path, metavar="FILE.csv")
    parser.add_argument("--last", type=Path, metavar="NCF")
    parser.add_argument("--candidates", action="store_true")
    parser.add_argument("--rehearse", action="store_true")
    args = parser.parse_args()
    if (args.candidates or args.rehearse) and not args.last:
        sys.exit("--candidates and --rehearse are about the items of --last: name its folder too.")
    if args.candidates and args.rehearse:
        sys.exit("--rehearse leaves out the items that have --candidates: choose one of them.")
    if args.table.exists():
        sys.exit(f"{args.table} exists already: name a new file.")
    needed = [args.source / "movies.dat", args.source / "ratings.dat"]
    if (args.source / "ratings.csv").is_file():
        needed.pop()
    if args.last:
        needed.append(args.last / NEGATIVE)
    if lacking := [path for path in needed if not path.is_file()]:
        sys.exit(f"There is no {lacking[0]}: see --help for where the set comes from.")
    rows = ncf(args.source, args.last, args.rehearse) if args.last else (row for row, _ in movielens(args.source))
    count = 0
    with args.table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = [*COLUMNS, "candidates"] if args.candidates else COLUMNS
        writer.writerow(names)
        for row in rows:
            writer.writerow(row[:len(names)])
            count += 1
    print(f"{count:,} ratings; use them by --data {args.table}")


if __name__ == "__main__":
    main()
