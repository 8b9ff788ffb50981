"""Sentences with named entities: columns, JSON lines, TFDS sets, samples; what is mended, noted, refused."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from apps.ner.app import Settings
from apps.ner.data import load, split_of
from apps.ner.sentences import Marked, Oddities, Place, as_raw, joint, to_tokens
from shared.data import plain_tokens
from shared.data.tag_schemes import entities, tag_names
from shared.errors import UserError
from shared.facts import Facts

ROOT = Path(__file__).parents[2]
US = "\x1f"
IOB2 = "Anna B-PER\nLee I-PER\nsings O\n\nBonn B-LOC\n"


def write(path, content, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(data, facts=None, **options):
    settings = SimpleNamespace(**{"data": str(data), "data_dir": None} | options)
    return load(settings, Facts(facts) if facts else None)


def content(dataset, split="train"):
    """(text, tags by name) of each sentence."""
    columns, names = dataset.splits[split].columns, tag_names(dataset.labels)
    return [(columns["text"].row(row).tobytes().decode(), " ".join(names[tag] for tag in columns["tags"].row(row)))
            for row in range(len(columns["text"]))]


def own(words):
    return "".join(word + US for word in words.split(" "))


def refused(action, *words):
    with pytest.raises(UserError) as error:
        action()
    sentence = str(error.value)
    assert all(str(word) in sentence for word in words) and "\n" not in sentence, sentence
    assert sentence.endswith(".") and not sentence.endswith(".."), sentence


# Columns

def test_columns_become_texts_of_own_tokens_and_numbers_of_tags(tmp_path):
    path = write(tmp_path / "made.conll", IOB2)
    dataset = read(path)
    assert content(dataset) == [(own("Anna Lee sings"), "B-PER E-PER O"), (own("Bonn"), "S-LOC")]
    split = dataset.splits["train"]
    assert dataset.labels == ["LOC", "PER"] and not dataset.public
    assert split.meta["file"] == [f"{path}:1", f"{path}:5"]
    tags = split.columns["tags"][np.array([0, 1])]
    assert tags.dtype == np.int32 and tags.tolist() == [[5, 7, 0], [4, -1, -1]]
    assert split.columns["text"].values.dtype == np.uint8 and split.columns["text"].fill == 0


@pytest.mark.parametrize("scheme,tags", [
    ("IOB1", "I-A I-A B-A O I-B"), ("IOB2", "B-A I-A B-A O B-B"), ("BIOES", "B-A E-A S-A O S-B"),
    ("BMES", "B-A E-A S-A O S-B\nw\tB-A\nw\tM-A\nw\tE-A"), ("BILOU", "B-A L-A U-A O U-B")])
def test_every_scheme_is_converted(tmp_path, scheme, tags):
    first, *more = tags.split("\n")
    path = write(tmp_path / "x.bio", "".join(f"w\t{tag}\n" for tag in first.split()) + "\n".join(more))
    for options in ({}, {"scheme": scheme}, {"facts": {"scheme": scheme, "labels": ["A", "B"]}}):
        dataset = read(path, **options)
        assert content(dataset)[0][1].startswith("B-A E-A S-A O S-B")
        assert any(f"read as {scheme}" in note for note in dataset.notes) and len(dataset.notes) == 1


@pytest.mark.parametrize("raw", [
    IOB2.replace("\n", "\r\n"), b"\xef\xbb\xbf" + IOB2.encode(), IOB2.replace(" ", "\t"), IOB2.replace(" ", "   "),
    IOB2.replace(" ", " \t ").replace(" \t ", "\t"), "\n\n \n" + IOB2 + "\n\t\n\n", IOB2.rstrip("\n"),
    IOB2.replace("\n", " \n"), "-DOCSTART- O\n\n" + IOB2, "-DOCSTART- -X- -X- O\n" + IOB2,
    "# sent_id = 1\n# text = Anna Lee sings\n" + IOB2, "# O X\n" + IOB2, IOB2.encode("utf-16")],
    ids=["CRLF", "BOM", "tabs", "spaces", "mixed", "blank lines", "no last line end", "space at the end", "docstart",
         "docstart of four", "comments", "short comment", "UTF-16"])
def test_files_may_be_written_in_many_ways(tmp_path, raw):
    assert content(read(write(tmp_path / "x.conll", raw))) == [(own("Anna Lee sings"), "B-PER E-PER O"),
                                                               (own("Bonn"), "S-LOC")]


def test_a_number_sign_that_has_a_tag_is_a_token(tmp_path):
    path = write(tmp_path / "x.conll", "# O\n1 O\n\na O\n# B-X\n\n# text = b\nb B-X\n")
    dataset = read(path)
    assert content(dataset) == [(own("# 1"), "O O"), (own("a #"), "O S-X"), (own("b"), "S-X")]
    assert dataset.splits["train"].meta["file"] == [f"{path}:1", f"{path}:4", f"{path}:8"]
    assert content(read(write(tmp_path / "y.conll", "#\tB-X\n"))) == [(own("#"), "S-X")]


def test_only_line_feeds_end_lines_and_only_spaces_part_columns(tmp_path):
    words = ["a\x85b", "a\u2028b", "a\x0cb", "\u3000", "a\xa0b", "a\x1cb"]
    dataset = read(write(tmp_path / "x.conll", "".join(f"{word} O\n" for word in words) + "x B-X\n"))
    assert content(dataset) == [("".join(word + US for word in [*words, "x"]), "O " * 6 + "S-X")]


def test_tokens_with_spaces_stand_in_files_of_tabs(tmp_path):
    assert content(read(write(tmp_path / "x.tsv", "New York\tB-X\n \tO\n")))[0][0] == f"New York{US} {US}"


CONLL = "EU NNP I-NP I-ORG\nrejects VBZ I-VP O\n"


def test_of_several_columns_the_last_is_taken_and_said(tmp_path):
    path = write(tmp_path / "eng.train", CONLL)
    dataset = read(path)
    assert content(dataset)[0][1] == "S-ORG O" and any("Columns 3 and 4 of 4" in note for note in dataset.notes)
    for asked in ({"tag_column": "3"}, {"facts": {"tag_column": "3", "labels": ["NP", "VP"]}}):
        dataset = read(path, **asked)
        assert content(dataset)[0][1] == "S-NP S-VP" and len(dataset.notes) == 1
    assert len(read(path, tag_column="last").notes) == 1


@pytest.mark.parametrize("text", ["Anna B-PER NNP\nsings O VB\n", "B-PER Anna\nO sings\n",
                                  "1 Anna B-PER -\n2 sings O -\n"],
                         ids=["tag before the last", "tag first", "tokens numbered"])
def test_columns_are_found_by_what_they_hold(tmp_path, text):
    assert content(read(write(tmp_path / "x.txt", text))) == [(own("Anna sings"), "S-PER O")]


def test_numbers_may_be_the_tokens(tmp_path):
    assert content(read(write(tmp_path / "x.txt", "1 O\n2 B-X\n")))[0][0] == own("1 2")


@pytest.mark.parametrize("text,line,words,options", [
    ("a O\nb\nc O\n", 2, ["1 column", "2 of most", "blank line"], {}),
    ("a\tO\nb\tNN\tO\nc\tO\n", 2, ["3 column", "one tab"], {}),
    ("a O\nb O\n\nc d O\n", 4, ["3 column", "spaces"], {}),
    ("a O\n\nb O\n# x\n\n", 4, ["'x'", "B-PER", "mend it"], {}),
    ("a\n\nb\n", 1, ["1 column", "a token and its tag"], {}),
    ("a O\nb X-PER\n", 2, ["'X-PER'", "B-PER", "--tag-column"], {}),
    ("a NN O\nb VB PER\n", 2, ["'PER'", "column 3 of 3"], {}),
    ("a x\nb y\n", 1, ["'x'", "column 2"], {}),
    ("a O NN\nb B-X VB\n", 1, ["'NN'", "column 3 of 3"], {"tag_column": "last"}),
    ("a O NN\n\nb B-X VB\n", 1, ["'a'", "column 1 of 3"], {"tag_column": "1"}),
    ("a O\nb B-X\n", 1, ["--tag-column 3", "2 columns"], {"tag_column": "3"}),
    ("a O\nb B-X\n", 1, ["--tag-column ner", "2 columns"], {"tag_column": "ner"}),
    ("a O\nb B-X\n", 1, ["--tag-column 0"], {"tag_column": "0"}),
    ("a B-X\nb I-X\n\nc M-X\n", 4, ["'M-X'", "B-, I-", "mend it"], {}),
    ("a B-X\nb I-X\n\nc E-X\n", 4, ["'E-X' is no tag of IOB2", "--scheme"], {"scheme": "bio"}),
    ("", 1, ["empty", "tag on each line"], {}), (" \n\t\n\r\n", 1, ["blank"], {}),
    ("-DOCSTART- O\n\n", 1, ["empty"], {}),
    ("\na O\n\nb O\n", 2, ["no entity"], {}), ("a " + "x" * 500, 1, ["'" + "x" * 40 + "…'"], {})])
def test_columns_that_cannot_be_understood_are_refused(tmp_path, text, line, words, options):
    path = write(tmp_path / "x.conll", text)
    refused(lambda: read(path, **options), f"{path}:{line}", *words)


def test_an_unknown_scheme_is_refused_with_the_known(tmp_path):
    refused(lambda: read(write(tmp_path / "x.conll", IOB2), scheme="BIX"), "--scheme", "'BIX'", "BIOES", "BILOU")


def test_tags_without_begin_are_mended_and_counted(tmp_path):
    path = write(tmp_path / "x.conll", IOB2 + "\nin O\nNew I-LOC\nYork I-LOC\nX I-PER\n")
    dataset = read(path)
    assert content(dataset)[2][1] == "O B-LOC E-LOC S-PER"
    [note] = [note for note in dataset.notes if "conlleval" in note]
    assert note.startswith("2 tag(s) are not as IOB2") and f"first: {path}:8." in note


def test_long_sentences_and_tokens_are_kept(tmp_path):
    long = "ü" * 500
    path = write(tmp_path / "x.conll", f"{long} B-X\n" + "a I-X\n" * 4999)
    [(text, tags)] = content(read(path))
    assert text == long + US + f"a{US}" * 4999 and tags == "B-X " + "I-X " * 4998 + "E-X"


def test_separators_within_tokens_become_spaces_and_are_noted(tmp_path):
    path = write(tmp_path / "x.conll", f"a O\nb{US}c B-X\n\tO\n".replace(" ", "\t"))
    dataset = read(path)
    assert content(dataset) == [(f"a{US}b c{US} {US}", "O S-X O")]
    assert [note for note in dataset.notes if "U+001F" in note and "1 token(s)" in note and f"{path}:2" in note]
    assert [note for note in dataset.notes if "empty" in note and f"{path}:3" in note]


def test_every_token_of_a_corpus_is_one_of_the_graph(tmp_path):
    """Marks, spaces, joiners, signs: whatever a token is made of, its text has as many tokens as tags."""
    words = ["\u0301", " ", "\u200d", "a b", "?!", "👍🏽x", "我们", "\u200b", "\xad", "", US, "\0", "\ud800", "é" * 99]
    path = write(tmp_path / "x.jsonl", lines({"tokens": words, "tags": ["B-X"] * len(words)},
                                             *({"tokens": [word], "tags": ["O"]} for word in words)))
    for text, tags in content(read(path)):
        spans = list(plain_tokens.spans(text, US))
        assert len(spans) == len(tags.split()) == text.count(US)
        assert [end for _, end in spans] == [at for at, one in enumerate(text) if one == US]


# Splits

@pytest.mark.parametrize("name,split", [
    ("eng.train", "train"), ("eng.testa", "validation"), ("eng.testb", "test"), ("train.char.bmes", "train"),
    ("wnut17train.conll", "train"), ("emerging.dev.conll", "validation"), ("emerging.test.annotated", "test"),
    ("train.txt", "train"), ("valid.txt", "validation"), ("VAL.tsv", "validation"), ("en_ewt-ud-test.iob2", "test"),
    ("devel.tsv", "validation"), ("train_dev.tsv", None), ("latest.conll", None), ("evaluation.txt", None),
    ("ner.conll", None), ("x-validation-1.bio", "validation"), ("test2.bio", "test")])
def test_splits_are_found_by_parts_of_names(name, split):
    assert split_of(name) == split


def test_a_folder_gives_its_splits_and_says_which_files(tmp_path):
    for name in ("eng.train", "eng.testa", "eng.testb", "train_dev.tsv"):
        write(tmp_path / name, f"{name} B-X\n")
    write(tmp_path / "README.train.md", "# train")
    write(tmp_path / ".train.swp", b"\0")
    dataset = read(tmp_path)
    assert {split: content(dataset, split)[0][0] for split in dataset.splits} == {
        "train": f"eng.train{US}", "validation": f"eng.testa{US}", "test": f"eng.testb{US}"}
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.notes[0] == ("train: eng.train; validation: eng.testa; test: eng.testb; "
                                "left out: train_dev.tsv.")


def test_folders_may_be_splits_of_several_files(tmp_path):
    for name in ("train/b.conll", "train/a.conll", "test/c.jsonl"):
        write(tmp_path / name, lines({"text": "c", "spans": [[0, 1, "X"]]}) if "jsonl" in name else f"{name} B-X\n")
    dataset = read(tmp_path)
    assert [text for text, _ in content(dataset)] == [f"train/a.conll{US}", f"train/b.conll{US}"]
    assert content(dataset, "test") == [("c", "S-X")]


def test_an_only_file_is_for_training_or_what_its_name_says(tmp_path):
    write(tmp_path / "one" / "corpus.bio", "a B-X\n")
    assert list(read(tmp_path / "one").splits) == ["train"]
    dataset = read(write(tmp_path / "eng.testb", "a B-X\n"))
    assert list(dataset.splits) == ["test"] and "test split" in dataset.notes[0]


@pytest.mark.parametrize("files,words", [
    ([], ["nothing to read", "train.conll"]), (["README.md", "x.zip"], ["nothing to read"]),
    (["a.conll", "b.conll"], ["no file that is a split", "train.conll"]),
    (["train.word.conll", "train.char.conll"], ["both the train split", "train.char.conll", "take one"])])
def test_folders_that_give_nothing_or_too_much_are_refused(tmp_path, files, words):
    for name in files:
        write(tmp_path / name, "a B-X\n")
    refused(lambda: read(tmp_path), tmp_path, *words)


def test_what_is_not_there_is_refused(tmp_path):
    refused(lambda: read(tmp_path / "none"), "none", "sample:zh", "tfds:NAME")
    refused(lambda: read("sample:de"), "sample:de", "sample:zh")


# Types

def test_types_of_all_splits_are_labels_and_those_that_training_lacks_are_named(tmp_path):
    write(tmp_path / "train.conll", "a B-PER\n")
    write(tmp_path / "dev.conll", "a B-LOC\n")
    write(tmp_path / "test.conll", "a B-PER\n\nx O\nb B-ART\n")
    dataset = read(tmp_path)
    assert dataset.labels == ["ART", "LOC", "PER"]
    [note] = [note for note in dataset.notes if "Training has no" in note]
    assert f"ART ({tmp_path / 'test.conll'}:4), LOC ({tmp_path / 'dev.conll'}:1)" in note and "PER" not in note


def test_types_come_in_the_order_of_the_trained_model(tmp_path):
    path = write(tmp_path / "x.conll", IOB2)
    dataset = read(path, {"labels": ["PER", "ART", "LOC"]})
    assert dataset.labels == ["PER", "ART", "LOC"] and content(dataset)[1][1] == "S-LOC"
    assert dataset.splits["train"].columns["tags"].row(0).tolist() == [1, 3, 0]
    refused(lambda: read(path, {"labels": ["PER", "GPE"]}), f"{path}:5", "'LOC'", "PER, GPE", "rename")
    assert content(read(write(tmp_path / "o.conll", "a O\n"), {"labels": ["PER"]})) == [(own("a"), "O")]


# JSON lines

TEXT = "Angela Merkel besuchte Peking."


@pytest.mark.parametrize("row", [
    {"entities": [{"start": 0, "end": 13, "label": "PER"}, {"start": 23, "end": 29, "label": "LOC"}]},
    {"label": [[23, 29, "LOC"], [0, 13, "PER"]]}, {"labels": [[0, 13, "PER"], [23, 29, "LOC"]]},
    {"id": 1, "entities": [{"id": 7, "label": "PER", "start_offset": 0, "end_offset": 13},
                           {"id": 8, "label": "LOC", "start_offset": 23, "end_offset": 29}], "relations": []},
    {"tokens": [{"text": "Angela", "start": 0, "end": 6, "id": 0}], "spans": [
        {"start": 0, "end": 13, "token_start": 0, "token_end": 1, "label": "PER"},
        {"start": 23, "end": 29, "token_start": 3, "token_end": 3, "label": "LOC"}]},
    {"label": [{"start": 0, "end": 13, "text": "Angela Merkel", "labels": ["PER"]},
               {"start": 23, "end": 29, "text": "Peking", "labels": ["LOC"]}]},
    {"entities": [[0, 14, "PER"], [22, 29, "LOC"]]}], ids=["entities", "lists", "labels", "doccano", "Prodigy",
                                                            "Label Studio", "spaces at the edges"])
def test_spans_of_characters_become_tags_of_the_graphs_tokens(tmp_path, row):
    dataset = read(write(tmp_path / "x.jsonl", lines({"text": TEXT} | row)))
    assert content(dataset) == [(TEXT, "B-PER E-PER O S-LOC O")] and dataset.notes == []


def test_offsets_are_characters_whatever_their_bytes(tmp_path):
    text = "👍🏽 我 Größe Zoë a\u0301b"
    at = text.index("Zoë")
    dataset = read(write(tmp_path / "x.jsonl", lines({"text": text, "spans": [[at, at + 3, "X"]]})))
    assert content(dataset) == [(text, "O O O S-X O")]


def test_spans_within_tokens_are_widened_and_counted(tmp_path):
    path = write(tmp_path / "x.jsonl", lines({"text": "a b", "spans": [[0, 1, "X"]]},
                                             {"text": "Berliner Mauer", "spans": [[0, 6, "X"], [10, 14, "Y"]]}))
    dataset = read(path)
    assert content(dataset)[1][1] == "S-X S-Y"
    [note] = dataset.notes
    assert note.startswith("2 entity(ies)") and "widened" in note and note.endswith(f"first: {path}:2.")


def test_widened_spans_are_those_tokens_that_they_touch():
    """Against characters painted one by one."""
    random = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(random.choice(list("ab 1-我"), 12))
        start, end = sorted(random.choice(13, 2, replace=False).tolist())
        tokens = list(plain_tokens.spans(text))
        touched = [at for at, (a, b) in enumerate(tokens) if set(range(a, b)) & set(range(start, end))]
        if touched:
            odd = Oddities()
            found = to_tokens(text, [(start, end, "X")], Place("f", 1), odd)
            assert found.spans == [(touched[0], touched[-1] + 1, "X")] and found.count == len(tokens)
            cut = {start, end} & {at for a, b in tokens for at in range(a + 1, b)}
            assert bool(odd) == bool(cut)


def test_empty_texts_work(tmp_path):
    path = write(tmp_path / "x.jsonl", lines({"text": "", "entities": []}, {"text": "a", "entities": [[0, 1, "X"]]},
                                             {"text": " ", "entities": None}, {"tokens": [], "tags": []}))
    dataset = read(path)
    assert content(dataset) == [("", ""), ("a", "S-X"), (" ", ""), ("", "")]
    assert any("3 text(s) of train are without a token" in note and f"{path}:1" in note for note in dataset.notes)


def test_tokens_and_tags_of_json_come_as_those_of_columns(tmp_path):
    for names in (("tokens", "tags"), ("tokens", "ner_tags"), ("words", "labels"), ("tokens", "ner")):
        rows = [dict(zip(names, (["Anna", "Lee"], ["B-PER", "I-PER"]), strict=True))]
        assert content(read(write(tmp_path / "x.jsonl", lines(*rows)))) == [(own("Anna Lee"), "B-PER E-PER")]
    both = {"text": "A b", "tokens": ["A", "b"], "tags": ["B-X", "O"], "fine": ["O", "B-Y"]}
    path = write(tmp_path / "y.jsonl", lines(both))
    assert content(read(path)) == [(own("A b"), "S-X O")]
    assert content(read(path, tag_column="fine")) == [(own("A b"), "O S-Y")]


def test_a_split_column_parts_one_file(tmp_path):
    rows = [{"text": "a", "spans": [[0, 1, "X"]], "split": split} for split in ("dev", "train", "test", "train")]
    assert {name: len(split) for name, split in read(write(tmp_path / "x.jsonl", lines(*rows))).splits.items()} == {
        "train": 2, "validation": 1, "test": 1}


@pytest.mark.parametrize("row,words", [
    ({"text": "ab cd", "spans": [[0, 2, "X"], [1, 5, "Y"]]}, ["0 to 2", "1 to 5", "overlap", "keep one"]),
    ({"text": "ab cd", "spans": [[3, 5, "X"], [3, 5, "X"]]}, ["3 to 5", "overlap"]),
    ({"text": "abcd", "spans": [[0, 2, "X"], [2, 4, "Y"]]}, ["share the token 'abcd'", "space"]),
    ({"text": "ab", "spans": [[1, 1, "X"]]}, ["1 to 1", "empty"]),
    ({"text": "ab", "spans": [[2, 1, "X"]]}, ["2 to 1", "empty"]),
    ({"text": "ü", "spans": [[0, 2, "X"]]}, ["0 to 2", "outside", "1 characters", "not in bytes"]),
    ({"text": "ab", "spans": [[-1, 1, "X"]]}, ["-1 to 1", "outside"]),
    ({"text": "a  b", "spans": [[1, 3, "X"]]}, ["1 to 3", "spaces", "take it out"]),
    ({"text": "ab", "spans": [[0.0, 1, "X"]]}, ["whole numbers", "label"]),
    ({"text": "ab", "spans": [[True, 1, "X"]]}, ["whole numbers"]),
    ({"text": "ab", "spans": [["0", "1", "X"]]}, ["whole numbers"]),
    ({"text": "ab", "spans": [[0, 1]]}, ["start and end"]), ({"text": "ab", "spans": [{"start": 0}]}, ["label"]),
    ({"text": "ab", "spans": [[0, 1, ""]]}, ["label"]), ({"text": "ab", "spans": [[0, 1, ["X", "Y"]]]}, ["label"]),
    ({"text": "ab", "spans": {"X": 1}}, ["a list"]), ({"text": "ab"}, ["missing", "'entities'"]),
    ({"text": 3, "spans": []}, ["no text", "'text'"]), ({"spans": []}, ["no text"]), ([1], ["one object"]),
    ({"tokens": ["a"], "tags": ["O", "O"]}, ["1 tokens have 2 tags"]), ({"tokens": ["a"], "tags": [3]}, ["names"]),
    ({"tokens": ["a"], "tags": ["X-P"]}, ["'X-P'", "B-PER"]), ({"tokens": ["a"]}, ["--tag-column"]),
    ({"text": "a", "spans": [], "split": "tran"}, ["'tran'", "validation"])])
def test_objects_that_cannot_be_understood_are_refused_by_line(tmp_path, row, words):
    path = write(tmp_path / "x.jsonl", lines({"text": "a", "spans": [[0, 1, "X"]]}) + "\n" + lines(row))
    refused(lambda: read(path), f"{path}:3", *words)


def test_files_that_are_no_json_lines_are_refused(tmp_path):
    good = lines({"text": "a", "spans": []})
    path = write(tmp_path / "x.jsonl", good + "{'text': 1}\n")
    refused(lambda: read(path), f"{path}:2", "no JSON")
    path = write(tmp_path / "deep.jsonl", "[" * 100_000 + "\n")
    refused(lambda: read(path), f"{path}:1", "no JSON")
    path = write(tmp_path / "blank.jsonl", " \r\n\n")
    refused(lambda: read(path), f"{path}:1", "blank")


def test_json_lines_may_have_windows_ends_and_a_mark(tmp_path):
    raw = b"\xef\xbb\xbf" + lines({"text": "a\u2028b\x85c", "spans": [[0, 1, "X"]]}).replace("\n", "\r\n").encode()
    assert len(content(read(write(tmp_path / "x.jsonl", raw)))) == 1


# The samples

@pytest.mark.parametrize("name,counts,longest,first", [
    ("sample", {"train": (4706, 161613, 5073, 4633, 3267), "validation": (903, 31704, 991, 947, 570),
                "test": (1326, 46712, 1449, 1433, 911)}, [86, 81, 144], own("Schoolly D 's")),
    ("sample:zh", {"train": (3997, 156297, 2148, 1112, 2858), "validation": (500, 20000, 245, 133, 375),
                   "test": (500, 19206, 205, 129, 429)}, [182, 135, 156], own("看 似 简"))])
def test_the_samples_have_their_published_counts(name, counts, longest, first):
    dataset = read(name)
    names, found = tag_names(dataset.labels), {}
    for split, part in dataset.splits.items():
        tags = part.columns["tags"]
        types = Counter(kind for row in range(len(part))
                        for *_, kind in entities([names[tag] for tag in tags.row(row)]))
        found[split] = (len(part), len(tags.values), *(types[kind] for kind in ("PER", "ORG", "LOC")))
    assert found == counts and dataset.public and dataset.labels == ["LOC", "ORG", "PER"]
    assert [int(np.diff(part.columns["tags"].offsets).max()) for part in dataset.splits.values()] == longest
    assert content(dataset)[0][0].startswith(first)


def test_the_samples_stay_small_and_carry_their_attribution():
    folder = ROOT / "apps" / "ner" / "sample"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_200_000
    said = (folder / "README.md").read_text("utf-8")
    assert all(word in said for word in ("Wikigold (c)", "CrossNER (c) 2020 Zihan Liu", "CC BY-SA 4.0", "Mayhew"))
    assert "Copyright (c) 2020 Zihan Liu" in (folder / "LICENSE.CrossNER").read_text("utf-8")


def test_reading_needs_no_tensorflow(tmp_path):
    path = write(tmp_path / "x.jsonl", lines({"text": TEXT, "entities": [[0, 13, "PER"]]}))
    code = ("import sys; from types import SimpleNamespace; from apps.ner.data import load; "
            f"load(SimpleNamespace(data={str(path)!r}, data_dir=None)); "
            "assert not {'tensorflow', 'keras'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# TensorFlow Datasets

NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture
def prepare(write_tfds, tmp_path):
    """Writes a set `tiny`; `kinds` gives None for texts, or the names of classes, of each sequence."""
    import tensorflow_datasets as tfds

    def write(kinds, splits):
        features = {name: tfds.features.Sequence(tfds.features.ClassLabel(names=names) if names else
                                                 tfds.features.Text()) for name, names in kinds.items()}
        write_tfds(tmp_path, "tiny", features, {split: [dict(zip(kinds, row, strict=True)) for row in rows]
                                                for split, rows in splits.items()})
        return lambda **options: read("tfds:tiny", data_dir=str(tmp_path), **options)
    return write


def test_a_set_like_conll2003(prepare):
    kinds = {"tokens": None, "pos": ["NN", "VB"], "chunks": ["O", "B-NP", "I-NP"], "ner": NER}
    reads = prepare(kinds, {"train": [(["Anna", "Lee", "naps"], [0, 0, 1], [1, 2, 0], [1, 2, 0])],
                            "dev": [(["Bonn"], [0], [1], [3])], "test": [(["Zoë", ""], [0, 0], [1, 0], [1, 0])]})
    dataset = reads()
    assert {split: content(dataset, split) for split in dataset.splits} == {
        "train": [(own("Anna Lee naps"), "B-PER E-PER O")], "validation": [(own("Bonn"), "S-LOC")],
        "test": [(f"Zoë{US} {US}", "S-PER O")]}
    assert dataset.public and dataset.splits["validation"].meta["file"] == ["dev 0"]
    assert any("no entities of LOC (dev 0)" in note for note in dataset.notes)
    assert content(reads(tag_column="chunks"))[0][1] == "B-NP E-NP O"
    assert content(reads(facts={"labels": ["NP"], "tag_column": "chunks"}))[0][1] == "B-NP E-NP O"
    refused(lambda: reads(tag_column="pos"), "--tag-column pos", "chunks, ner")
    refused(lambda: reads(facts={"labels": ["PER"]}), "dev 0", "'LOC'")


def test_a_set_like_wikiann(prepare):
    reads = prepare({"tokens": None, "tags": NER, "langs": None, "spans": None},
                    {"train": [(["Bonn", "am", "Rhein"], [3, 4, 4], ["de"] * 3, ["LOC: Bonn am Rhein"])]})
    assert content(reads()) == [(own("Bonn am Rhein"), "B-LOC I-LOC E-LOC")]


def test_sets_of_unusual_names_are_found_by_type_or_asked_for(prepare):
    reads = prepare({"forms": None, "a": NER, "b": NER}, {"train": [(["x"], [1], [3])]})
    refused(reads, "a, b", "--tag-column")
    assert content(reads(tag_column="b")) == [(own("x"), "S-LOC")]


@pytest.mark.parametrize("kinds", [{"tokens": None, "upos": ["NOUN", "VERB"]}, {"ner": NER}, {"tokens": None}],
                         ids=["no tags", "no tokens", "tokens alone"])
def test_sets_without_entities_are_refused(prepare, kinds):
    reads = prepare(kinds, {"train": [tuple(["x"] if names is None else [0] for names in kinds.values())]})
    refused(reads, "tfds:tiny", "no sequence", *kinds)


def test_sentences_whose_tags_are_hidden_are_left_out(prepare):
    reads = prepare({"tokens": None, "ner_tags": NER},
                    {"train": [(["x"], [1])], "test": [(["y"], [-1]), (["z"], [3])]})
    assert content(reads(), "test") == [(own("z"), "S-LOC")]


def test_sentences_become_raw_texts_with_the_same_entities():
    place = Place("file", 1)
    words = ["The", "U.S.", "Navy", "met", "Mr.", "O'Neil"]
    row = Marked("".join(word + "\x1f" for word in words), [(1, 3, "ORG"), (5, 6, "PER")], 6, place)
    made = as_raw(row, " ")
    tokens = plain_tokens.words(made.text)
    assert made.text == "The U.S. Navy met Mr. O'Neil" and made.count == len(tokens)
    assert [(" ".join(tokens[start:end]), kind) for start, end, kind in made.spans] == [
        ("u . s . navy", "ORG"), ("o ' neil", "PER")]
    assert as_raw(made, " ") is made


def test_chinese_is_joined_without_spaces_and_what_cannot_be_said_stays():
    place = Place("file", 1)
    row = Marked("".join(word + "\x1f" for word in "我在北京2008年"), [(2, 4, "LOC"), (4, 8, "TIME")], 9, place)
    assert joint([row]) == "" and joint([Marked("a\x1fb\x1f", [], 2, place)]) == " "
    made = as_raw(row, "")
    assert made.text == "我在北京2008年" and made.spans == [(2, 4, "LOC"), (4, 5, "TIME")]
    split = Marked("2\x1f0\x1f", [(0, 1, "A"), (1, 2, "B")], 2, place)
    assert as_raw(split, "") is split  # both entities would be one token


def test_a_share_of_training_is_learned_as_raw_text():
    whole, mixed, raw = (load(Settings(data="sample", as_raw=share)).splits for share in (0, 0.5, 1))

    def own(split):
        return np.mean([0x1F in split.columns["text"].row(row) for row in range(len(split))])
    assert own(whole["train"]) == 1 and 0.45 < own(mixed["train"]) < 0.55 and own(raw["train"]) < 0.05
    assert own(mixed["validation"]) == own(raw["test"]) == 1
