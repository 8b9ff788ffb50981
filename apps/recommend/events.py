"""Who had what, when: rows of a table as arrays."""

import csv
import lzma
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from shared.data.tables import SUFFIXES, Table, read_table
from shared.errors import UserError

COLUMNS = {
    "user": ("user", "user_id", "userid", "customer", "customer_id", "customerid", "uid", "session", "session_id",
             "visitor", "reader", "account"),
    "item": ("item", "item_id", "itemid", "movie", "movie_id", "movieid", "product", "product_id", "productid", "sku",
             "stockcode", "asin", "book", "book_id", "isbn", "track", "track_id", "song", "article", "news_id"),
    "time": ("time", "timestamp", "unix_timestamp", "date", "datetime", "invoicedate", "rank", "created_at"),
    "rating": ("rating", "user_rating", "stars", "score", "overall"),
    "title": ("title", "movie_title", "description", "name", "item_name", "product_name", "item_title")}
NEEDED = ("user", "item")


@dataclass
class Events:
    """Rows in the order of their source.

    Args:
        users, items: numbers into the names, int32 `[n]`.
        times: seconds, or whatever orders them, float64 `[n]`; None: the order of the rows.
        ratings: float32 `[n]`, where there are any.
        user_names, item_names: as the source writes them.
        titles: what people call an item, by its name.
        notes: what a person should know of how they were read.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    ratings: np.ndarray | None
    user_names: list[str]
    item_names: list[str]
    titles: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: np.ndarray) -> "Events":
        """Those of some rows alone, in the order given."""
        def pick(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]
        return Events(self.users[rows], self.items[rows], pick(self.times), pick(self.ratings), self.user_names,
                      self.item_names, self.titles, self.notes)


def numbered(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """A number for each name, int32, in the order of first appearance; and the names."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32), list(numbers)


def find_columns(table: Table, asked: dict[str, str | None]) -> dict[str, str]:
    """The table's names of our columns: those asked for, else by their usual names.

    Raises:
        UserError: one that was asked for, or that is needed, is not there.
    """
    folded = {name.casefold().replace(" ", "_"): name for name in table.names}
    found: dict[str, str] = {}
    for ours, usual in COLUMNS.items():
        name = asked.get(ours)
        if name and name not in table.names:
            raise UserError(f"{table.path} has no column '{name}': line 1 names {', '.join(table.names[:10])}.")
        name = name or next((folded[one] for one in usual if one in folded), None)
        if name is None and ours in NEEDED:
            raise UserError(f"{table.path} names no column of {ours}s: line 1 has {', '.join(table.names[:10])}; say "
                            f"which it is by --{ours}-column.")
        if name and name not in found.values():
            found[ours] = name
    return found


def from_table(table: Table, asked: dict[str, str | None]) -> Events:
    """Raises UserError for cells that are empty, or no number or date where one must be; the line is named."""
    columns = find_columns(table, asked)
    texts = {}
    for ours in NEEDED:
        texts[ours] = [cell.strip() for cell in table.column(columns[ours])]
        if "" in texts[ours]:
            raise UserError(f"{table.path} line {table.lines[texts[ours].index('')]}: the {columns[ours]} is empty.")
    (users, user_names), (items, item_names) = numbered(texts["user"]), numbered(texts["item"])
    times = ratings = None
    notes = list(table.notes)
    if "time" in columns:
        times = as_times(table, columns["time"])
    else:
        notes.append(f"{table.path} has no column of times: its rows are taken to be in order.")
    if "rating" in columns:
        ratings = np.array([number(table, columns["rating"], row, cell)
                            for row, cell in enumerate(table.column(columns["rating"]))], np.float32)
    titles = dict(zip(texts["item"], table.column(columns["title"]), strict=True)) if "title" in columns else {}
    return Events(users, items, times, ratings, user_names, item_names, titles, notes)


def number(table: Table, column: str, row: int, cell: str) -> float:
    """Raises UserError where a cell is no finite number."""
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{table.path} line {table.lines[row]}: {column} '{cell[:40]}' is no number.")
    return value


def as_times(table: Table, column: str) -> np.ndarray:
    """Numbers as they are; dates of ISO 8601 as seconds."""
    cells, made = table.column(column), []
    dates = bool(cells) and not is_number(cells[0])
    for row, cell in enumerate(cells):
        if not dates:
            made.append(number(table, column, row, cell))
            continue
        try:
            when = datetime.fromisoformat(cell.strip())
        except ValueError as error:
            raise UserError(f"{table.path} line {table.lines[row]}: {column} '{cell[:40]}' is no date: write "
                            f"2011-12-09 or 2011-12-09 12:50, or numbers in all rows.") from error
        made.append((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    return np.array(made, np.float64)


def is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def read_events(path: Path, asked: dict[str, str | None]) -> Events:
    """Raises UserError where `path` is no table of events."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the table of events in it.")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is no table: --data takes {', '.join(SUFFIXES)} files, tfds:NAME and sample.")
    return from_table(read_table(path), asked)


def sample() -> Events:
    """What 1,000 customers of a gift shop bought; CC BY 4.0, see sample/README.md."""
    path = Path(__file__).parent / "sample" / "online_retail_1000.csv.xz"
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    return from_table(Table(path, names, rows, list(range(2, len(rows) + 2))), {})
