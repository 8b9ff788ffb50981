"""Tables and their encodings: what is read, what is noted, and that errors name the line."""

import csv
import json

import pytest

from shared.data.tables import guess, lines_of, open_rows, read_table, read_text
from shared.errors import UserError

ROWS = [["good, \"really\" good", "pos"], ["two\nlines", "neg"], ["酒店 – café", "pos"]]


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def refused(path, *words, wanted=()):
    with pytest.raises(UserError) as error:
        read_table(path, wanted)
    message = str(error.value)
    assert all(str(word) in message for word in (path, *words)) and "\n" not in message, message


@pytest.mark.parametrize("delimiter", ",;|\t")
def test_what_csv_writes_is_read(tmp_path, delimiter):
    path = tmp_path / "made.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([["text", "label"], *ROWS])
    table = read_table(path)
    assert (table.names, table.rows, table.lines) == (["text", "label"], ROWS, [2, 3, 5])
    assert bool(table.notes) == (delimiter != ",")
    assert table.column("label") == ["pos", "neg", "pos"]


def test_tsv_has_no_quotes(tmp_path):
    table = read_table(write(tmp_path / "made.tsv", 'label\ttext\n1\t"half a quote\n0\tb\r\n'))
    assert table.rows == [["1", '"half a quote'], ["0", "b"]]


def test_json_lines_are_read(tmp_path):
    rows = [{"text": "a\nb", "label": 1, "tags": ["x"]}, {"text": "é", "label": 0, "tags": []}]
    table = read_table(write(tmp_path / "made.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n"))
    assert table.column("text") == ["a\nb", "é"] and table.column("label") == ["1", "0"]


@pytest.mark.parametrize("name,content", [
    ("a.csv", "text,label\n\n\"x\ny\",1\r\nz,2\n"), ("a.csv", "a;b\n1;2\n"), ("a.tsv", "a\tb\n\"x\ty\r\n\n1\t2"),
    ("a.jsonl", "{\"a\": \"x\", \"b\": 1}\n\n{\"a\": \"y\\nz\", \"b\": [2]}"),
    ("a.csv", "é,b\n1,ü\n".encode("cp1252")),
    ("a.csv", "\ufeffa,b\n1,2\n"), ("a.csv", "a,b\n1,é\n".encode("utf-16"))])
def test_rows_one_at_a_time_are_those_of_the_table(tmp_path, name, content):
    path = write(tmp_path / name, content)
    table, rows = read_table(path), open_rows(path)
    assert (rows.names, rows.notes) == (table.names, table.notes)
    assert list(rows.rows) == list(zip(table.lines, table.rows, strict=True))


def test_rows_one_at_a_time_are_refused_when_they_come(tmp_path):
    rows = open_rows(write(tmp_path / "a.csv", "a,b\n1,2\n3\n"))
    assert next(rows.rows) == (2, ["1", "2"])
    with pytest.raises(UserError, match="line 3 has 1 fields"):
        next(rows.rows)
    for name, content in (("b.csv", ""), ("b.jsonl", "\n"), ("b.csv", "a\0b"), ("c.csv", "a,a\n"), ("none.csv", None)):
        with pytest.raises(UserError):
            open_rows(write(tmp_path / name, content) if content is not None else tmp_path / name)
    with pytest.raises(UserError, match="line 2 has no 'b', which line 1 has"):
        list(open_rows(write(tmp_path / "d.jsonl", '{"a": 1, "b": 2}\n{"a": 1}\n')).rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "gb18030"])
def test_encodings_are_known_and_said(tmp_path, encoding):
    chinese, french = "id,text\n1,酒店很好，很干净\n2,不好\n", "id,text\n1,très joli café à côté – “oui”\n"
    text = chinese if encoding == "gb18030" else french
    table = read_table(write(tmp_path / "made.csv", text, encoding))
    assert table.rows[0][1] == text.split("\n")[1][2:]
    assert bool(table.notes) == (encoding in ("cp1252", "gb18030"))


@pytest.mark.parametrize("data,encoding", [
    (b"caf\xe9 ol\xe9", "windows-1252"), (b"one \xf0 alone", "windows-1252"), (b"\x81 and \x93", "latin-1"),
    ("中文".encode("gb18030"), "gb18030"), ("中文𠮷字".encode("gb18030"), "gb18030")])
def test_guesses(data, encoding):
    assert guess(data) == encoding


def test_lines_end_at_line_feeds_alone():
    assert lines_of("a\x85b\r\nc\x0cd\n\n") == ["a\x85b", "c\x0cd", ""]


@pytest.mark.parametrize("name,content,words", [
    ("a.csv", "text,label\nx,1\ny\n", ["line 3", "1 fields", "names 2"]),
    ("a.csv", "text,label\nx,1\n\"y,0\nz,1\n", ["line 3", "quotation mark"]),
    ("a.csv", "text,text\nx,1\n", ["line 1", "twice"]), ("a.csv", "", ["empty"]),
    ("a.csv", "text,label\n", ["no rows"]),
    ("a.tsv", "text\tlabel\nx\t1\ty\n", ["line 2", "3 fields"]),
    ("a.jsonl", "{\"text\": \"x\"}\n{oops\n", ["line 2", "JSON"]), ("a.jsonl", "[1]\n", ["line 1", "object"]),
    ("a.jsonl", "{\"a\": \"x\"}\n{\"b\": \"x\"}\n", ["line 1", "'b'"]),
    ("a.csv", b"text,label\nx\0,1\n", ["line 2", "NUL"])])
def test_broken_tables_are_refused_by_line(tmp_path, name, content, words):
    refused(write(tmp_path / name, content), *words)


def test_missing_columns_and_files_are_refused(tmp_path):
    refused(write(tmp_path / "a.csv", "text,label\nx,1\n"), "'answer'", "text, label", wanted=["answer"])
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path / "none.csv")
