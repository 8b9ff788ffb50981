"""Text files as text, and tables (CSV, TSV, JSON lines) as named columns: what is wrong is told with its line."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
LONGEST = 16 << 20  # characters of a field


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
    first = text.split("\n", 1)[0]
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(DELIMITERS, key=first.count)
    notes = [] if delimiter == "," or tabs or not first.count(delimiter) else [
        f"{path} was read as delimited by {DELIMITERS[delimiter]}."]
    if tabs:
        numbered = [(number, line.split("\t")) for number, line in enumerate(lines_of(text), 1) if line]
    else:
        numbered = _quoted(path, text, delimiter)
    if not numbered:
        raise UserError(f"{path} is empty.")
    names = [name.strip() for name in numbered[0][1]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} line 1 names the column '{twice[0]}' twice.")
    for number, row in numbered[1:]:
        if len(row) != len(names):
            hint = "" if tabs else ("; put a field that contains the delimiter or a quotation mark in quotes, and "
                                    "double the marks inside")
            raise UserError(f"{path} line {number} has {len(row)} fields where line 1 names {len(names)}{hint}.")
    return Table(path, names, [row for _, row in numbered[1:]], [number for number, _ in numbered[1:]], notes)


def _quoted(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for row in reader:
            if row:
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        why = "a quotation mark is opened and not closed" if "end of data" in str(error) else str(error)
        raise UserError(f"{path} line {line}: {why}.") from error
    return rows
