"""Text files as text, and tables (CSV, TSV, JSON lines) as named columns: what is wrong is told with its line."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from shared.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
LONGEST = 16 << 20  # characters of a field
PIECE = 1 << 20  # bytes that are looked at at once


@dataclass
class Table:
    """Rows of one file.

    Args:
        path: of the file.
        names: of the columns.
        rows: values as text, in the order of `names`.
        lines: the line on which each row begins.
        notes: what a person should know of how it was read.
    """

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    notes: list[str] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        at = self.names.index(name)
        return [row[at] for row in self.rows]


def read_text(path: Path) -> tuple[str, list[str]]:
    """The file's text and notes. UTF-8, or what else it seems to be: GB18030, windows-1252 or Latin-1.

    Raises:
        UserError: the file cannot be read, or is not text (it holds NUL bytes).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = decode(data, "utf-16", path)
        if (at := text.find("\0")) >= 0:  # UTF-32 begins alike
            line = text.count("\n", 0, at) + 1
            raise UserError(f"{path} is no UTF-16 text: it has a NUL on line {line}; save it as UTF-8.")
        return text, []
    if (at := data.find(0)) >= 0:
        raise UserError(f"{path} is no text: it has a NUL byte on line {data.count(10, 0, at) + 1}.")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data.count(10, 0, error.start) + 1
    encoding = guess(data)
    note = f"{path} is no UTF-8 (line {line}) and was read as {encoding}: save it as UTF-8 if characters look wrong."
    return decode(data, encoding, path), [note]


def decode(data: bytes, encoding: str, path: Path) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} says that it is {encoding} but is not: save it as UTF-8.") from error


def guess(data: bytes) -> str:
    """GB18030 where bytes beyond ASCII come in company, as two or four of them make a character; else windows-1252,
    or Latin-1 where that has no such byte. In western text accented letters mostly stand alone."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    together = sum(size for size in runs if size > 1)
    if together > 0.5 * sum(runs):
        try:
            data.decode("gb18030")
            return "gb18030"
        except UnicodeDecodeError:
            pass
    return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", data) else "windows-1252"


def lines_of(text: str) -> list[str]:
    """Lines by line feed alone: other breaks (U+0085, form feed) stand inside of texts."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def read_table(path: Path, wanted: Sequence[str] = ()) -> Table:
    """Reads `.jsonl` (one object a line), or a table whose first line names its columns.

    The delimiter is the one that the first line has; `.tsv` files have no quotes, others have those of RFC 4180.

    Args:
        path: of the file.
        wanted: columns that there must be.

    Raises:
        UserError: the file is no such table; the message names the line.
    """
    text, notes = read_text(path)
    read = _read_json if path.suffix.lower() in (".jsonl", ".ndjson") else _read_delimited
    table = read(path, text)
    table.notes = [*notes, *table.notes]
    if lacking := [name for name in wanted if name not in table.names]:
        raise UserError(f"{path} has no column '{lacking[0]}': line 1 names {', '.join(table.names[:10])}.")
    if not table.rows:
        raise UserError(f"{path} has no rows below its first line.")
    return table


def json_objects(text: str, where: Callable[[int], str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object on each line that is not blank, and the line's number; `where` names a line in an error."""
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where(number)}: no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise UserError(f"{where(number)}: each line must be one object {{…}}.")
        yield number, row


def _read_json(path: Path, text: str) -> Table:
    found = [(number, {name: value if isinstance(value, str) else json.dumps(value)
                       for name, value in row.items() if value is not None})
             for number, row in json_objects(text, lambda number: f"{path} line {number}")]
    if not found:
        raise UserError(f"{path} is empty.")
    names = list(dict.fromkeys(name for _, row in found for name in row))
    for number, row in found:
        if lacking := [name for name in names if name not in row]:
            raise UserError(f"{path} line {number} has no '{lacking[0]}', which other lines have.")
    return Table(path, names, [[row[name] for name in names] for _, row in found], [number for number, _ in found])


def _read_delimited(path: Path, text: str) -> Table:
    found = _delimited(path, lambda newline: io.StringIO(text, newline=newline))
    numbered = list(found.rows)
    return Table(path, found.names, [row for _, row in numbered], [number for number, _ in numbered], found.notes)


@dataclass
class Rows:
    """Rows of one file, read as they are asked for; what is wrong with one is raised then.

    Args:
        path: of the file.
        names: of the columns.
        rows: the line on which each begins, and its values as text, in the order of `names`; to be taken once.
        notes: what a person should know of how it was read.
    """

    path: Path
    names: list[str]
    rows: Iterator[tuple[int, list[str]]]
    notes: list[str] = field(default_factory=list)


def open_rows(path: Path) -> Rows:
    """As `read_table` reads them, but one at a time, whatever the size of the file. Objects of `.jsonl` files have the
    columns of the first one. What is no UTF-8 is read whole.

    Raises:
        UserError: the file is no such table; the message names the line.
    """
    try:
        with path.open("rb") as file:
            decoder, sound = codecs.getincrementaldecoder("utf-8")(), True
            while sound and (piece := file.read(PIECE)):
                sound = 0 not in piece and decoder.decode(piece) is not None
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        sound = False
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    if not sound:  # which says why, or finds another encoding
        table = read_table(path)
        return Rows(path, table.names, iter(zip(table.lines, table.rows, strict=True)), table.notes)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _objects(path)
    return _delimited(path, lambda newline: path.open(encoding="utf-8-sig", newline=newline))


def _objects(path: Path) -> Rows:
    def objects() -> Iterator[tuple[int, dict[str, str]]]:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                for _, row in json_objects(line, lambda _, number=number: f"{path} line {number}"):  # type: ignore
                    yield number, {name: value if isinstance(value, str) else json.dumps(value)
                                   for name, value in row.items() if value is not None}

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, row in objects():
            if lacking := [name for name in names if name not in row]:
                raise UserError(f"{path} line {number} has no '{lacking[0]}', which line {line} has.")
            yield number, [row[name] for name in names]

    line, first = next(objects(), (0, {}))
    if not first:
        raise UserError(f"{path} is empty.")
    names = list(first)
    return Rows(path, names, rows())


def _delimited(path: Path, opened: Callable[[str], TextIO]) -> Rows:
    """Rows of what `opened` gives, which is told how lines end (`newline` of Python's `open`)."""
    with opened("\n") as file:
        first = file.readline(LONGEST)
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(DELIMITERS, key=first.count)
    notes = [] if delimiter == "," or tabs or not first.count(delimiter) else [
        f"{path} was read as delimited by {DELIMITERS[delimiter]}."]
    numbered = _plain(opened) if tabs else _quoted(path, opened, delimiter)
    names = [name.strip() for name in next(numbered, (1, []))[1]]
    if not names:
        raise UserError(f"{path} is empty.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} line 1 names the column '{twice[0]}' twice.")
    hint = "" if tabs else ("; put a field that contains the delimiter or a quotation mark in quotes, and double the "
                            "marks inside")

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, row in numbered:
            if len(row) != len(names):
                raise UserError(f"{path} line {number} has {len(row)} fields where line 1 names {len(names)}{hint}.")
            yield number, row
    return Rows(path, names, rows(), notes)


def _plain(opened: Callable[[str], TextIO]) -> Iterator[tuple[int, list[str]]]:
    with opened("\n") as file:
        for number, line in enumerate(file, 1):
            if line := line.removesuffix("\n").removesuffix("\r"):
                yield number, line.split("\t")


def _quoted(path: Path, opened: Callable[[str], TextIO], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST)
    line = 1
    with opened("") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            why = "a quotation mark is opened and not closed" if "end of data" in str(error) else str(error)
            raise UserError(f"{path} line {line}: {why}.") from error
