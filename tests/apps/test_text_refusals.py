"""Bad texts: data that are refused or noted, and that `predict` answers whatever a person gives it."""

import contextlib
import functools
import gzip
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import shared.cli.predict
import shared.evaluation.figures
from apps import APPS
from apps.text.app import Settings, Text
from apps.text.data import in_order, load
from shared.cli.main import main
from shared.data.checks import check
from shared.data.tables import read_table, read_text
from shared.data.text_bytes import decoded, read_of
from shared.data.word_vectors import read_vectors
from shared.errors import UserError
from shared.evaluation.predictors import open_artifact

APP = Text()
ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000


def write(path, content, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def texts(split):
    return [decoded(split.columns["text"].row(row)) for row in range(len(split))]


def read(data, **options):
    return load(Settings(data=str(data), **options))


def refused(action, *words):
    with pytest.raises(UserError) as error:
        action()
    sentence = str(error.value)
    assert all(str(word) in sentence for word in words) and "\n" not in sentence, sentence


def examined(data, **options):
    """All that `fit` says of data before it trains."""
    dataset = APP.dataset(Settings(data=str(data), **options))
    return [*dataset.notes, *check(dataset, APP.raw)]


# Tables

@pytest.mark.parametrize("content,words", [
    ("text\na\n", ["text alone", "--label-column"]), ("label,id,what\nx,1,a\n", ["label, id, what", "--text-column"]),
    ("text,a,b\nx,1,2\n", ["text, a, b", "--label-column"]), ("text,label\na,\n", ["line 2", "'label'", "empty"]),
    ("text,label,split\na,x,train\nb,y,tran\n", ["line 3", "'tran'", "validation"])])
def test_tables_that_lack_something_are_refused(tmp_path, content, words):
    path = write(tmp_path / "made.csv", content)
    refused(lambda: read(path), path, *words)


@pytest.mark.parametrize("content,line", [
    ('text,label\na,x\n"b" c,y\n', 3),  # goes on behind the closing mark
    ('text,label\na,x\n"b,y\nc,"x"\n', 3),  # closed by the opening mark of another field
    ('text,label\na,x\n"b\n\n",y,z\nc,x\n', 3)])  # a ragged row is named by the line on which it begins
def test_quotes_that_do_not_match_are_refused_by_the_line_of_the_row(tmp_path, content, line):
    path = write(tmp_path / "made.csv", content)
    refused(lambda: read(path), f"{path} line {line}")


@pytest.mark.parametrize("name,content,words", [
    ("a.csv", "", ["empty"]), ("a.csv", "\n\n", ["empty"]), ("a.csv", b"\xef\xbb\xbf", ["empty"]),
    ("a.tsv", "", ["empty"]), ("a.jsonl", "", ["empty"]), ("a.jsonl", "\n  \n", ["empty"]),
    ("a.csv", "text,label\n", ["no rows"]), ("a.tsv", "text\tlabel\n\n", ["no rows"])])
@pytest.mark.parametrize("columns", [{}, {"text_column": "text", "label_column": "label"}], ids=["found", "asked"])
def test_tables_without_rows_are_refused(tmp_path, name, content, words, columns):
    path = write(tmp_path / name, content)
    refused(lambda: read(path, **columns), path, *words)


@pytest.mark.parametrize("name,content,words", [
    ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["line 3", "NUL"]), ("a.tsv", b"text\tlabel\na\0\tx\n", ["line 2"]),
    ("a.jsonl", b'{"text": "a", "label": "x"}\n\0\n', ["line 2", "NUL"]),
    ("a.csv", b"\xff\xfe\0", ["utf-16", "UTF-8"]),
    ("a.csv", "text,label\na,x\n".encode("utf-32"), ["line 1", "NUL", "UTF-8"]),  # begins as UTF-16 does
    ("a.csv", "text,label\na\0,x\n".encode("utf-16"), ["line 2", "NUL"])])
def test_binary_tables_are_refused(tmp_path, name, content, words):
    path = write(tmp_path / name, content)
    refused(lambda: read(path), path, *words)


def test_bytes_that_are_no_text_but_could_be_are_noted(tmp_path):
    noise = np.random.default_rng(0).integers(128, 256, 500, np.uint8).tobytes()
    path = write(tmp_path / "made.csv", b"text,label\na,x\n" + noise + b",y\n")
    dataset = read(path)
    assert dataset.labels == ["x", "y"] and len(dataset.splits["train"]) == 2
    [note] = dataset.notes
    assert f"{path} is no UTF-8 (line 3)" in note and "save it as UTF-8" in note


@pytest.mark.parametrize("name", ["a.csv", "a/pos.txt"])
def test_mixed_encodings_in_one_file_are_noted_with_the_first_bad_line(tmp_path, name):
    other = "Ein schöner Tag, größer".encode() + b",x\n"
    path = write(tmp_path / name, b"text,label,more\n" + other + "caf\u00e9 ol\u00e9,y,z\n".encode("cp1252"))
    text, [note] = read_text(path)
    assert f"{path} is no UTF-8 (line 3)" in note and "windows-1252" in note
    assert "café olé" in text
    if path.suffix == ".txt":
        write(path.parent / "neg.txt", "b\n")
        assert read(path.parent).notes == [note]
    else:
        assert read_table(path).notes == [note]


@pytest.mark.parametrize("name,row", [("a.csv", "{},{}\n"), ("a.tsv", "{}\t{}\n"),
                                      ("a.jsonl", '{{"text": "{}", "label": "{}"}}\n')])
def test_a_line_of_a_megabyte_is_read_whole(tmp_path, name, row):
    rows = [("short", "x"), ("longer " * (MEGABYTE // 7), "y"), ("last", "x")]
    head = "" if name.endswith("jsonl") else row.format("text", "label")
    path = write(tmp_path / name, head + "".join(row.format(*pair) for pair in rows))
    dataset = read(path)
    assert texts(dataset.splits["train"]) == [text for text, _ in rows]
    assert dataset.splits["train"].columns["label"].tolist() == [0, 1, 0]
    facts = APP.learn_facts(Settings(min_count=1), dataset.splits["train"], dataset)
    assert facts["max_bytes"] == 4096  # one giant makes no model of giants


def test_a_line_of_a_megabyte_does_not_make_all_others_as_long(tmp_path):
    rows = [f"text {n},{n % 2}" for n in range(300)]
    path = write(tmp_path / "made.csv", "\n".join(["text,label", *rows, "x" * MEGABYTE + ",0"]) + "\n")
    code = ("import tracemalloc; from apps.text.app import Settings, Text; from shared.data.checks import check; "
            f"dataset = Text().dataset(Settings(data={str(path)!r})); tracemalloc.start(); check(dataset, Text.raw); "
            "print(tracemalloc.get_traced_memory()[1])")  # in a process of its own, where nobody else allocates
    most = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(most) < 20 * MEGABYTE
    whole = read(path).splits["train"]
    assert whole.gathered(256, room=10 * MEGABYTE) == 9 and whole.gathered(4) == 4


@pytest.mark.parametrize("content,words", [
    (f'{{"text": {"[" * 100_000}}}\n', ["line 1", "JSON"]), ('{"text": "a", "label": null}\n', ["--label-column"]),
    ('{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n', ["line 2", "'label'"])])
def test_json_that_lacks_something_or_is_nested_without_end_is_refused(tmp_path, content, words):
    path = write(tmp_path / "made.jsonl", content)
    refused(lambda: read(path), path, *words)


def test_nul_and_half_characters_that_json_escapes_become_harmless(tmp_path):
    path = write(tmp_path / "made.jsonl", '{"text": "a\\u0000b", "label": "x"}\n{"text": "\\ud83d", "label": "y"}\n')
    assert texts(read(path).splits["train"]) == ["a b", "?"]


# Files and folders of classes

def test_binary_text_files_are_refused(tmp_path):
    write(tmp_path / "a" / "neg" / "1.txt", "fine")
    path = write(tmp_path / "a" / "pos" / "1.txt", b"one\ntwo\0")
    refused(lambda: read(tmp_path / "a"), path, "line 2", "NUL")
    write(tmp_path / "b" / "neg.txt", "fine\n")
    path = write(tmp_path / "b" / "pos.txt", b"one\ntwo\nthree\0")
    refused(lambda: read(tmp_path / "b"), path, "line 3", "NUL")


def test_a_class_without_texts_is_refused_and_an_empty_text_noted(tmp_path):
    write(tmp_path / "a" / "good.txt", "fine\n")
    path = write(tmp_path / "a" / "bad.txt", " \n\n")
    refused(lambda: read(tmp_path / "a"), path, "empty")
    write(tmp_path / "b" / "good" / "1.txt", "fine")
    path = write(tmp_path / "b" / "bad" / "1.txt", "")
    assert any("1 text(s) of train are empty" in note and str(path) in note for note in read(tmp_path / "b").notes)


# Classes

@pytest.mark.parametrize("labels,said", [(["Pos", "pos"], ["'Pos' and 'pos'"]), (["a  b", "a b "], ["'a  b'"]),
                                         (["STRASSE", "straße"], ["straße"]), (["pos", "neg"], [])])
def test_classes_that_differ_by_case_or_spaces_are_noted_before_training(tmp_path, labels, said):
    rows = [f"text {n},{labels[n % 2]}" for n in range(20)]
    notes = [note for note in examined(write(tmp_path / "made.csv", "\n".join(["text,label", *rows])))
             if "case or spaces" in note]
    assert len(notes) == len(said) and all(word in note for note, word in zip(notes, said, strict=True))


def test_labels_of_hyphens_and_endless_digits_are_names():
    endless = "1" * 5000  # more digits than Python turns into a number
    assert sorted(["b", "--5", "10", "-2", endless, "9"], key=in_order) == ["-2", "9", "10", "--5", endless, "b"]


def told(capsys, *arguments, status=2):
    """Runs a command in this process; gives what it told, a sentence a line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments], APPS) == status
    out, err = capsys.readouterr()
    assert not out and "Traceback" not in err
    return err.splitlines()


def test_a_single_class_is_refused_by_fit_before_anything_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "made.csv", "text,label\n" + "".join(f"text {n},good\n" for n in range(20)))
    *notes, sentence = told(capsys, "text", "fit", "--data", "made.csv")
    assert "made.csv has one class only in training (good)" in sentence
    assert all("held out by seed" in note for note in notes)
    assert [path.name for path in tmp_path.iterdir()] == ["made.csv"]


def test_texts_that_stand_in_two_splits_are_counted_with_the_first_pair(tmp_path):
    write(tmp_path / "train.csv", "text,label\na,x\n\"two\nlines\",y\nb,x\nc,y\n")
    write(tmp_path / "dev.tsv", "label\ttext\nx\td\ny\te\n")
    write(tmp_path / "test.csv", "text,label\nf,x\nb,y\nc,y\n")
    notes = [note for note in examined(tmp_path) if "also stand in" in note]
    assert len(notes) == 1 and "2 example(s) of test also stand in train" in notes[0]
    assert f"{tmp_path / 'train.csv'}:5 and {tmp_path / 'test.csv'}:3" in notes[0]  # behind a row of two lines


# Word vectors

@pytest.mark.parametrize("content,words", [
    ("a 1 2\nb 1 2 3\n", ["line 2", "3 numbers", "there are 2"]), ("2 3\na 1 2\n", ["line 2", "2 numbers", "are 3"]),
    ("a 1 2\nb 1 2\n\nb 1 2\n", ["line 3", "0 numbers"]), ("a 1 2\nb\n", ["line 2", "0 numbers"]),
    ("a 1 2\nb 1  2\n", ["line 2", "3 numbers"]), ("a 1 2\nb 1 inf\n", ["line 2", "finite"]),
    ("a 1 2\nb 1 \0\n", ["line 2", "numbers"]), (b"a 1 2\nb 1 2\n\xe9 1 2\n", ["line 3", "UTF-8"]),
    ("a\nb\n", ["no GloVe"]), ("a 1\nb 2\n", ["no GloVe"])])
def test_broken_vectors_are_refused_by_line(tmp_path, content, words):
    path = write(tmp_path / "made.txt", content)
    refused(lambda: read_vectors(path, {"a", "b"}), path, *words)


def test_words_with_spaces_inside_as_glove_has_them_are_passed_over(tmp_path):
    path = write(tmp_path / "made.txt", "a 1 2\n. . 3 4\nat name@domain.com 5 6\nb 7 8\n")
    assert {word: vector.tolist() for word, vector in read_vectors(path, {"a", "b", "."}).items()} == {
        "a": [1, 2], "b": [7, 8]}


@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: b"x" + packed[1:],
                                    lambda packed: packed[:40] + bytes(30) + packed[70:]],
                         ids=["truncated", "no gzip", "overwritten"])
def test_damaged_packed_vectors_are_refused(tmp_path, damage):
    lines = "".join(f"word{n} {math.sin(n)} {math.cos(n)}\n" for n in range(200))
    path = write(tmp_path / "made.txt.gz", damage(gzip.compress(lines.encode())))
    refused(lambda: read_vectors(path, {"word1"}), path, "cannot be read")


def test_vectors_of_none_of_the_words_make_no_fault(tmp_path):
    vectors = write(tmp_path / "vectors.txt", "elsewhere 1 2 3\n")
    dataset = read(write(tmp_path / "made.csv", "text,label\none,x\ntwo,y\n"))
    facts = APP.learn_facts(Settings(embeddings=str(vectors)), dataset.splits["train"], dataset)
    assert facts["coverage"] == {"vocabulary": 0, "text": 0} and facts["tokens"]["words"] == []


# What `predict` answers

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, and its pipeline as a .tflite; both are opened once for all tests, and figures are left blank."""
    from matplotlib.figure import Figure
    folder = tmp_path_factory.mktemp("text")
    run, out, err = folder / "run", io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.evaluation.figures, "draw", lambda figure: Figure((2, 2)))
        patch.setattr(shared.cli.predict, "open_artifact", functools.cache(open_artifact))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["text", "fit", "--data", "sample", "--limit", "40", "--epochs", "1", "--dimension", "4",
                           "--filters", "2", "--widths", "1", "--max-bytes", "64", "--learning-rate", "0.1",
                           "--run", str(run)], APPS)
        assert status == 0, err.getvalue()
        facts = json.loads((run / "facts.json").read_text("utf-8"))
        yield SimpleNamespace(run=run, tflite=tflite(run, folder), facts=facts)


def tflite(path, folder):
    """A run's float32 .tflite without the proof that `export` makes, which takes longer than all of these tests."""
    import tensorflow as tf

    from shared.export.saved_model import write_saved_model
    from shared.metadata import pack
    from shared.run import Run
    from shared.training.fit import load_network
    run = Run.open(path)
    model = APP.build(run.settings(APP), run.facts())
    record = write_saved_model(model, load_network(model, run), folder / "saved", "text", run.facts())
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    made = folder / "text.tflite"
    made.write_bytes(pack(content, {**record, "variant": "float32"}, run.facts()))
    return made


@pytest.fixture
def answers(trained, capfd, monkeypatch):
    """Runs `predict` by the run and by the .tflite; gives its objects after having seen that they are sound and the
    two agree, and its lines for people."""
    def ask(*inputs, stdin=b""):
        def printed(artifact, *flags):
            # As a terminal under UTF-8 gives it: strict
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8", "strict"))
            capfd.readouterr()
            status = main(["text", "predict", *map(str, inputs), "--artifact", str(artifact), *flags], APPS)
            out, err = capfd.readouterr()
            assert status == 0 and "Traceback" not in err, err
            return out
        by_run, by_file = ([json.loads(line) for line in printed(artifact, "--json").split("\n")[:-1]]
                           for artifact in (trained.run, trained.tflite))
        for one, other in zip(by_run, by_file, strict=True):
            shares = np.array(list(one["probabilities"].values()))
            assert list(one["probabilities"]) == ["negative", "positive"]
            assert np.isfinite(shares).all() and abs(shares.sum() - 1) < 1e-5
            assert one["label"] == max(one["probabilities"], key=one["probabilities"].get) == other["label"]
            np.testing.assert_allclose(shares, list(other["probabilities"].values()), atol=1e-5)
            assert one["input"] == other["input"] and one["unread_bytes"] == other["unread_bytes"] >= 0
        return by_run, printed(trained.tflite)
    return ask


ODD = {"empty": "", "spaces": "  \t  ", "unknown words": "qwyx zzyzx 4711", "nul": "good\0bad",
       "right to left": "\u202bשלום עולם\u202c مرحبا", "like YAML": "{a: [1, null]}",
       "emoji": "😀👍🏽👨\u200d👩\u200d👧\u200d👦🏳️\u200d🌈1️⃣",
       "combining marks": "a\u0301\u0327o\u0308 e" + "\u0300" * 20, "only marks": "\u0301\u0301",
       "breaks": "a\x85b\x0cc\u2028d", "byte order mark": "\ufeffgood", "half a character": "good \udcc3",
       "half a pair": "good \ud83d"}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_texts_are_answered(answers, text):
    [row], shown = answers(text)
    assert row["input"] == text and row["unread_bytes"] == 0
    assert f": {row['label']} " in shown and "not read" not in shown


def test_texts_without_known_words_are_told_from_each_other_by_nothing(answers):
    rows, _ = answers("", "   ", "\u200b")
    assert rows[0]["probabilities"] == rows[1]["probabilities"] == rows[2]["probabilities"]


def test_a_known_word_moves_the_answer(answers, trained):
    # or all of the tests above would pass on a network that does not look
    rows, _ = answers("", " ".join(trained.facts["tokens"]["words"][-5:]))
    assert rows[0]["probabilities"] != rows[1]["probabilities"]


@pytest.mark.parametrize("text", ["good film " * (MEGABYTE // 10), "x" * MEGABYTE, "語" * (MEGABYTE // 3) + "x"],
                         ids=["words", "one word", "ideographs"])
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_of_a_line_of_a_megabyte_the_beginning_is_answered_and_the_rest_is_told(answers, trained, tmp_path, text, way):
    path = write(tmp_path / "long.txt", text + "\nshort\n")
    rows, shown = answers(path if way == "file" else "-", stdin=path.read_bytes())
    most = {"語": 3 * trained.facts["tokens"]["max_tokens"], "x": 64, "g": 64}[text[0]]
    read = min(most, 63 if text[0] == "語" else 64)  # 64 bytes hold 21 characters of 3
    assert rows[0]["input"] == text and rows[0]["unread_bytes"] == MEGABYTE - read
    assert f"(its last {MEGABYTE - read} bytes were not read)" in shown
    [short], _ = answers(text.encode()[:read].decode())
    assert short["probabilities"] == rows[0]["probabilities"] and short["unread_bytes"] == 0
    assert [row["unread_bytes"] for row in rows[1:]] == [0]


def test_of_broken_bytes_no_more_are_unread_than_there_are(answers, trained):
    tokens = trained.facts["tokens"]["max_tokens"]
    assert tokens < 61
    # Each of these bytes is a token, but for the two that begin a character of three; at byte 63 they begin again.
    broken = {b"\xff" * 64: tokens, b"\xff" * 200: tokens, b"\x80" * 200: tokens,
              b"\xe8\xaa " * 40: min(63, 3 * tokens)}
    rows, _ = answers("-", stdin=b"\n".join(broken))
    assert [row["unread_bytes"] for row in rows] == [len(raw) - read for raw, read in broken.items()]


def test_runs_of_bytes_that_begin_no_character_are_cut_as_they_come():
    assert read_of(np.full(100, 0x80), 64) == 61 and read_of(np.full(100, 0x80), 2) == 0
    assert read_of(np.frombuffer("é".encode() * 50, np.uint8), 63) == 62


MIXED = "größer\n".encode() + "caf\u00e9 ol\u00e9\n".encode("cp1252") + "酒店".encode("gb18030") + b"\n"
NOISE = bytes(value for value in np.random.default_rng(1).integers(1, 256, 400).tolist() if value not in (10, 13))


@pytest.mark.parametrize("content,lines", [(MIXED, 3), (NOISE, 1), (NOISE + b"\n" + MIXED, 4)],
                         ids=["mixed encodings", "binary", "both"])
def test_files_that_are_no_utf_8_are_answered_line_by_line(answers, tmp_path, content, lines):
    rows, shown = answers(write(tmp_path / "made.txt", content))
    assert len(rows) == lines and shown.count(" %  ") >= lines


def test_bytes_of_standard_input_that_are_no_utf_8_stay_what_they_were(answers):
    rows, _ = answers("-", stdin=MIXED + b"a\0b\n\n" + NOISE + b"\n")
    assert [row["input"].encode("utf-8", "surrogateescape") for row in rows] == [*MIXED.splitlines(), b"a\0b", NOISE]


def test_a_file_with_nul_is_refused_by_line_and_the_other_answered(trained, tmp_path, capsys):
    bad, good = write(tmp_path / "bad.txt", b"one\ntwo\0\n"), write(tmp_path / "good.txt", "fine\n")
    assert main(["text", "predict", str(bad), str(good), "--artifact", str(trained.tflite)], APPS) == 2
    out, err = capsys.readouterr()
    assert out.startswith("fine: ") and out.count("\n") == 1
    assert err.splitlines() == [f"{bad} is no text: it has a NUL byte on line 2."]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_process_answers_broken_bytes_wherever_they_come_from(trained, tmp_path, encoding):
    # Arguments, standard input and output as the system gives them; and an output that knows few characters.
    code, argument = "from apps.__main__ import main; main()", "caf\udce9 😀"
    done = subprocess.run(
        [sys.executable, "-c", code, "text", "predict", os.fsencode(argument), "-", "--artifact", str(trained.tflite),
         "--json"], input=MIXED, capture_output=True, cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.decode(encoding).splitlines()]
    assert rows[0]["input"] == argument and len(rows) == 4
