"""Texts: where they come from, how they are cut, and that padding changes no answer."""

import gzip

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.text.app import Settings, Text
from apps.text.augment import crop, drop_words, swap
from apps.text.data import load
from shared.data.text_bytes import decoded
from shared.data.word_vectors import read_vectors
from shared.errors import UserError
from shared.facts import Facts

APP = Text()


def texts(split):
    return [decoded(split.columns["text"].row(row)) for row in range(len(split))]


def read(data, facts=None, **options):
    return load(Settings(data=str(data), **options), Facts(facts) if facts else None)


def refused(action, *words):
    with pytest.raises(UserError) as error:
        action()
    assert all(str(word) in str(error.value) for word in words) and "\n" not in str(error.value), error.value


def test_the_sample_has_its_splits():
    dataset = read("sample")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 2100, "validation": 300,
                                                                             "test": 600}
    assert dataset.labels == ["negative", "positive"] and dataset.public


def test_tables_of_a_folder_are_its_splits(tmp_path):
    (tmp_path / "train.tsv").write_text("label\ttext_a\n10\t好\n9\tb\n", "utf-8")
    (tmp_path / "dev.tsv").write_text("label\ttext_a\n9\tc\n", "utf-8")
    dataset = read(tmp_path)
    assert dataset.labels == ["9", "10"] and sorted(dataset.splits) == ["train", "validation"]
    assert texts(dataset.splits["train"]) == ["好", "b"]
    assert dataset.splits["train"].columns["label"].tolist() == [1, 0]
    assert dataset.splits["train"].meta["file"][1] == f"{tmp_path / 'train.tsv'}:3"


def test_folders_and_files_of_classes_are_read(tmp_path):
    for split, label, name in (("train", "pos", "1"), ("train", "neg", "1"), ("test", "pos", "2")):
        place = tmp_path / "a" / split / label
        place.mkdir(parents=True)
        (place / f"{name}.txt").write_text(f"{split} {label}", "utf-8")
    dataset = read(tmp_path / "a")
    assert texts(dataset.splits["train"]) == ["train neg", "train pos"] and dataset.labels == ["neg", "pos"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "reviews.pos").write_bytes("good\ncaf\u00e9 \u0096\n".encode("cp1252", "replace"))
    (tmp_path / "b" / "reviews.neg").write_bytes(b"bad\n")
    dataset = read(tmp_path / "b")
    assert dataset.labels == ["neg", "pos"] and texts(dataset.splits["train"])[:2] == ["bad", "good"]
    assert any("windows-1252" in note for note in dataset.notes)


def test_classes_that_are_nearly_alike_and_empty_texts_are_noted(tmp_path):
    path = tmp_path / "made.csv"
    path.write_text("text,label\na,Pos\n  ,pos \nc,neg\n", "utf-8")
    notes = " ".join(read(path).notes)
    assert "'Pos' and 'pos '" in notes and "empty" in notes and f"{path}:3" in notes


def test_columns_are_found_or_asked_for(tmp_path):
    path = tmp_path / "made.csv"
    path.write_text("id,what,sentiment\n1,a,x\n2,b,y\n", "utf-8")
    refused(lambda: read(path), path, "--text-column")
    assert texts(read(path, text_column="what").splits["train"]) == ["a", "b"]
    refused(lambda: read(path, text_column="whatt"), "whatt", "line 1")
    refused(lambda: read(path, {"labels": ["x", "z"]}, text_column="what"), f"{path}:3", "'y'")


def test_no_data_are_refused(tmp_path):
    refused(lambda: read(tmp_path / "none"), "There is no")
    refused(lambda: read(tmp_path), "has no texts")
    (tmp_path / "a.txt").write_text("x")
    refused(lambda: read(tmp_path / "a.txt"), "no table")


def facts(**changes):
    settings = Settings(**{"data": "sample", "min_count": 1, "dimension": 8, "filters": 8, **changes})
    dataset = read("sample")
    return settings, APP.learn_facts(settings, dataset.splits["train"], dataset)


@pytest.mark.parametrize("text,read", [("", ""), ("short", "short"), ("x" * 70, "x" * 64), ("x" * 63 + "é", "x" * 63),
                                       ("語" * 30, "語" * 21)])
def test_long_texts_are_cut_between_characters_and_it_is_said(text, read):
    _, known = facts(max_bytes=64)
    raw = APP.read_input(text, known)
    [piece] = APP.cut(raw, {}, known)
    assert decoded(piece["text"]).rstrip("\0") == read and piece["text"].shape == (64,)
    answer = {"label": np.array(0), "probabilities": np.array([0.7, 0.3])}
    joined = APP.join(raw, iter([answer]), {}, known)
    seen = read[:known["tokens"]["max_tokens"]] if "語" in text else read  # each ideograph is a token
    assert int(joined["unread"]) == len(text.encode()) - len(seen.encode())


@pytest.mark.parametrize("model", ["cnn", "separable", "char", "attention"])
@pytest.mark.parametrize("pairs", [0, 32])
def test_padding_changes_no_answer(model, pairs):
    settings, known = facts(model=model, pairs=0 if model == "char" else pairs, depth=2)
    keras.utils.set_random_seed(0)
    made = APP.build(settings, known)
    network = made.network()
    if "pairs" in network.input:  # votes begin at 0
        votes = network.get_layer("votes")
        table, bias = (np.random.default_rng(0).normal(size=weight.shape) for weight in votes.get_weights())
        table[0] = 0
        votes.set_weights([table, bias])
    inputs = {name: array.numpy() for name, array in made.preprocess({"text": APP.golden(known)["text"]}).items()}
    longest = int(made.lengths(inputs).max())
    longest += longest % 2  # halved by `separable`
    short = {name: array[:, :longest] for name, array in inputs.items()}
    np.testing.assert_allclose(network(inputs), network(short), atol=1e-5)


def test_vectors_are_read_from_glove_and_word2vec(tmp_path):
    lines = ["the 1 2", "Cat 3 4", "cat 5 6", "dog 7 8"]
    for name, head, opener in (("a.txt", [], open), ("b.txt.gz", ["4 2"], gzip.open)):
        with opener(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write("\n".join([*head, *lines]) + "\n")
        found = read_vectors(tmp_path / name, {"cat", "dog", "cow"})
        assert {word: vector.tolist() for word, vector in found.items()} == {"cat": [3, 4], "dog": [7, 8]}


@pytest.mark.parametrize("text,words", [("a 1 2\nb 1\n", ["line 2", "1 numbers"]), ("a 1 x\n", ["line 1"]),
                                        ("a 1 nan\n", ["line 1", "finite"]), ("", ["no GloVe"])])
def test_broken_vectors_are_refused_by_line(tmp_path, text, words):
    path = tmp_path / "made.txt"
    path.write_text(text)
    refused(lambda: read_vectors(path, {"a", "b"}), path, *words)


def test_the_networks_words_begin_with_the_vectors(tmp_path):
    path = tmp_path / "made.txt"
    path.write_text("good 1 2 3\nbad 4 5 6\nunseen 7 8 9\n")
    settings, known = facts(embeddings=str(path), vectors="both", min_count=5)
    made = APP.build(settings, known)
    network = made.trainer(made.network(), APP.dataset(settings).splits["train"])
    for name, trainable in (("words", True), ("fixed_words", False)):
        layer = network.get_layer(name)
        places = [1 + settings.buckets + made.tokens.words.index(word) for word in ("good", "bad")]
        table = layer.get_weights()[0]
        given = np.array([[1, 2, 3], [4, 5, 6]])
        np.testing.assert_allclose(table[places] / table[places[0], 0], given, rtol=1e-5)
        np.testing.assert_allclose(table[places].std(), given.std() * 0.03 / np.sqrt((given**2).mean()), rtol=1e-5)
        assert layer.trainable == trainable
    assert "unseen" not in made.tokens.words and 0 < known["coverage"]["text"] < 1


@pytest.mark.parametrize("wrong,words", [({"widths": "3,x"}, ["--widths", "3,4,5"]),
                                         ({"vectors": "static"}, ["--embeddings"]),
                                         ({"embeddings": "none.txt"}, ["none.txt"]),
                                         ({"model": "char", "pairs": 9}, ["--pairs"]),
                                         ({"longest_run": 3}, ["--longest-run", "--pairs"])])
def test_settings_that_do_not_go_together_are_refused(wrong, words):
    refused(lambda: APP.check(Settings(**wrong)), *words)


IDS = tf.constant([[5, 6, 7, 8, 9, 0, 0], [5, 5, 5, 0, 0, 0, 0]] * 50, tf.int32)
KEYS = tf.range(100, dtype=tf.int32)
INPUTS = {"ids": IDS, "pairs": IDS + tf.where(IDS > 0, 10, 0)}


def test_dropped_words_become_unknown_and_their_pairs_go():
    made = {name: array.numpy() for name, array in drop_words(INPUTS, tf.cast(KEYS, tf.uint32), 0.3).items()}
    dropped = (made["ids"] == 1) & (IDS.numpy() > 0)
    assert 0.2 < dropped.sum() / np.count_nonzero(IDS) < 0.4 and (made["ids"][~dropped] == IDS.numpy()[~dropped]).all()
    assert not made["pairs"][dropped].any() and not made["pairs"][:, :-1][dropped[:, 1:]].any()


def test_crops_leave_a_run_of_the_text():
    made = crop(INPUTS, tf.cast(KEYS, tf.uint32), 0.7)["ids"].numpy()
    kept = (made > 0).sum(1)
    assert kept.min() >= 1 and kept[::2].max() == 5 and (made[made > 0] == IDS.numpy()[made > 0]).all()
    assert all((np.diff(np.flatnonzero(row)) == 1).all() for row in made)


def test_swaps_keep_the_words_and_the_padding():
    made = swap(INPUTS, tf.cast(KEYS, tf.uint32), 0.3)["ids"].numpy()
    np.testing.assert_array_equal(np.sort(made, 1), np.sort(IDS, 1))
    np.testing.assert_array_equal(made == 0, IDS == 0)
    assert (made != IDS.numpy()).any()


def test_files_of_a_folder_are_answered_whole_by_their_names(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("two\nlines", "utf-8")
    (tmp_path / "in" / "b.txt").write_bytes(b"\0")
    (tmp_path / "one.txt").write_text("two\nlines", "utf-8")
    [first, second] = APP.inputs(str(tmp_path / "in"))
    assert [first.name, second.name] == ["a.txt", "b.txt"]
    assert bytes(APP.read_input(first, Facts({}))["text"]) == b"two\nlines"
    refused(lambda: APP.read_input(second, Facts({})), second, "NUL")  # and the others of the folder are answered
    assert list(APP.inputs(str(tmp_path / "one.txt"))) == ["two", "lines"]


def test_two_tables_of_one_split_are_refused(tmp_path):
    for name in ("dev.csv", "validation.csv", "train.csv"):
        (tmp_path / name).write_text("text,label\na,x\nb,y\n")
    refused(lambda: read(tmp_path), tmp_path / "dev.csv", tmp_path / "validation.csv")


@pytest.mark.parametrize("model,table", [("cnn", "words"), ("char", "character_vectors")])
def test_the_projector_shows_each_words_own_vector(model, table):
    settings, known = facts(model=model)
    made = APP.build(settings, known)
    network = made.network()
    [(labels, vectors)] = made.embeddings(network).values()
    layer = network.get_layer(table)
    text = np.zeros((1, known["max_bytes"]), np.int32)
    word = "good" if model == "cnn" else "g"
    text[0, :len(word)] = list(word.encode())
    [ids] = made.preprocess({"text": text}).values()
    np.testing.assert_array_equal(vectors[labels.index(word)], layer(ids[:, :1])[0, 0])
