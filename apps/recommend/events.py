"""Who had what, when: rows of a table as arrays."""

import csv
import lzma
import math
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Optional

import numpy as np

from apps.recommend import attributes
from shared.data.tables import SUFFIXES, Rows, open_rows
from shared.errors import UserError
from shared.settings import FitSettings, setting

COLUMNS = {
    "user": ("user", "user_id", "userid", "customer", "customer_id", "customerid", "uid", "session", "session_id",
             "visitor", "reader", "account"),
    "item": ("item", "item_id", "itemid", "movie", "movie_id", "movieid", "product", "product_id", "productid", "sku",
             "stockcode", "asin", "book", "book_id", "isbn", "track", "track_id", "song", "article", "news_id"),
    "time": ("time", "timestamp", "unix_timestamp", "date", "datetime", "invoicedate", "rank", "created_at"),
    "rating": ("rating", "user_rating", "stars", "score", "overall"),
    "title": ("title", "movie_title", "description", "name", "item_name", "product_name", "item_title"),
    "candidates": ("candidates",)}
NEEDED = ("user", "item")


@dataclass(kw_only=True)
class ColumnSettings(FitSettings):
    """Which columns of a table are read, of every app that reads events."""

    user_column: Optional[str] = setting(None, "column of people [found by its name]", metavar="NAME")
    item_column: Optional[str] = setting(None, "column of items [found by its name]", metavar="NAME")
    time_column: Optional[str] = setting(None, "column of times, numbers or dates [found by its name]", metavar="NAME")
    rating_column: Optional[str] = setting(None, "column of ratings [found by its name]", metavar="NAME")
    title_column: Optional[str] = setting(None, "column of what people call an item [found by its name]",
                                          metavar="NAME")


@dataclass
class Events:
    """Rows in the order of their source.

    Args:
        users, items: numbers into the names, int32 `[n]`.
        times: seconds, or whatever orders them, float64 `[n]`; None: the order of the rows.
        ratings: float32 `[n]`, where there are any.
        user_names, item_names: as the source writes them.
        titles: what people call an item, by its name.
        attributes: what else is known of one: cells by its name, by column.
        offers, offer: lists of items, and for each event the list from which it was chosen, int32 `[n]`, -1: from all;
            None where that holds for all events.
        notes: what a person should know of how they were read.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    ratings: np.ndarray | None
    user_names: list[str]
    item_names: list[str]
    titles: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    offers: list[list[str]] = field(default_factory=list)
    offer: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: np.ndarray) -> "Events":
        """Those of some rows alone, in the order given."""
        def pick(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]
        return Events(self.users[rows], self.items[rows], pick(self.times), pick(self.ratings), self.user_names,
                      self.item_names, self.titles, self.attributes, self.offers, pick(self.offer), self.notes)


class Numbers:
    """A number for each name, in the order of first appearance."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.column = array("i")

    def add(self, name: str) -> None:
        self.column.append(self.of.setdefault(name, len(self.of)))

    def taken(self) -> tuple[np.ndarray, list[str]]:
        """Numbers, int32, and the names."""
        return np.array(self.column, np.int32), list(self.of)


def find_columns(table: Rows, asked: dict[str, str | None]) -> dict[str, int]:
    """Where the table has our columns: those asked for, else by their usual names.

    Raises:
        UserError: one that was asked for, or that is needed, is not there.
    """
    folded = {name.casefold().replace(" ", "_"): name for name in table.names}
    found: dict[str, int] = {}
    for ours, usual in COLUMNS.items():
        name = asked.get(ours)
        if name and name not in table.names:
            raise UserError(f"{table.path} has no column '{name}': line 1 names {', '.join(table.names[:10])}.")
        name = name or next((folded[one] for one in usual if one in folded), None)
        if name is None and ours in NEEDED:
            raise UserError(f"{table.path} names no column of {ours}s: line 1 has {', '.join(table.names[:10])}; say "
                            f"which it is by --{ours}-column.")
        if name and table.names.index(name) not in found.values():
            found[ours] = table.names.index(name)
    return found


def from_rows(table: Rows, asked: dict[str, str | None]) -> Events:
    """Reads row by row: of ten million events no more is kept than their numbers.

    Raises:
        UserError: a cell is empty, or no number or date where one must be; the line is named.
    """
    at = find_columns(table, asked)
    further = attributes.chosen(table.names, [*at.values()], asked.get("attributes"), table.path)
    cells: dict[str, list[str]] = {}  # of each item's first row
    users, items, times, ratings = Numbers(), Numbers(), array("d"), array("f")
    titles: dict[str, str] = {}
    offers: list[list[str]] = []
    offer = array("i")
    read = number  # of times; dates where the first one is no number
    for line, row in table.rows:
        for ours, numbers in (("user", users), ("item", items)):
            name = row[at[ours]].strip()
            if not name:
                raise UserError(f"{table.path} line {line}: the {table.names[at[ours]]} is empty.")
            numbers.add(name)
        if "time" in at:
            cell = row[at["time"]]
            if not times and not is_number(cell):
                read = date
            times.append(read(table, line, at["time"], cell))
        if "rating" in at:
            ratings.append(number(table, line, at["rating"], row[at["rating"]]))
        if "title" in at:
            titles.setdefault(name, row[at["title"]])
        if "candidates" in at:
            among = row[at["candidates"]].split()
            offer.append(len(offers) if among else -1)
            offers += [among] if among else []
        if further and name not in cells:
            cells[name] = [row[column] for column in further]
    if not users.column:
        raise UserError(f"{table.path} has no rows below its first line.")
    notes = list(table.notes)
    if "time" not in at:
        notes.append(f"{table.path} has no column of times: its rows are taken to be in order.")
    (user_column, user_names), (item_column, item_names) = users.taken(), items.taken()
    return Events(user_column, item_column, np.array(times) if "time" in at else None,
                  np.array(ratings) if "rating" in at else None, user_names, item_names, titles,
                  {table.names[column]: {item: row[number] for item, row in cells.items()}
                   for number, column in enumerate(further)},
                  offers, np.array(offer, np.int32) if offers else None, notes)


def number(table: Rows, line: int, column: int, cell: str) -> float:
    """Raises UserError where a cell is no finite number."""
    if not is_number(cell):
        raise UserError(f"{table.path} line {line}: {table.names[column]} '{cell[:40]}' is no number.")
    return float(cell)


def date(table: Rows, line: int, column: int, cell: str) -> float:
    """Seconds of a date of ISO 8601, of no time zone UTC. Raises UserError where it is none."""
    try:
        when = datetime.fromisoformat(cell.strip())
    except ValueError as error:
        raise UserError(f"{table.path} line {line}: {table.names[column]} '{cell[:40]}' is no date: write 2011-12-09 "
                        f"or 2011-12-09 12:50, or numbers in all rows.") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def read_events(path: Path, asked: dict[str, str | None]) -> Events:
    """Raises UserError where `path` is no table of events."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the table of events in it.")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is no table: --data takes {', '.join(SUFFIXES)} files, tfds:NAME and sample.")
    return from_rows(open_rows(path), asked)


def sample() -> Events:
    """What 1,000 customers of a gift shop bought; CC BY 4.0, see sample/README.md."""
    path = Path(__file__).parent / "sample" / "online_retail_1000.csv.xz"
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    return from_rows(Rows(path, names, enumerate(rows, 2)), {})
