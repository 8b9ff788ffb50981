"""Texts of TensorFlow Datasets, written here as TFRecords and read offline."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from apps.text.app import Settings, Text
from apps.text.data import load
from shared.data.checks import check
from shared.data.text_bytes import decoded
from shared.errors import UserError
from shared.facts import Facts

NAMES = ["neg", "pos"]
TEXT, LABEL = tfds.features.Text(), tfds.features.ClassLabel(names=NAMES)
NUMBER = tfds.features.Scalar(np.int64)


@pytest.fixture
def prepare(write_tfds, tmp_path):
    """Writes a set `tiny`; `splits` gives rows, values in the order of `features`. A function that loads it."""
    def write(features, splits):
        write_tfds(tmp_path, "tiny", features, {split: [dict(zip(features, row, strict=True)) for row in rows]
                                                for split, rows in splits.items()})

        def read(facts=None, **options):
            settings = Settings(data="tfds:tiny", data_dir=str(tmp_path), **options)
            return load(settings, Facts(facts) if facts else None)
        return read
    return write


def content(split):
    return [(decoded(split.columns["text"].row(row)), int(split.columns["label"][row])) for row in range(len(split))]


def refused(action, *words):
    with pytest.raises(UserError) as error:
        action()
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value), error.value


def test_texts_and_classes_are_those_written(prepare):
    splits = {"train": [("good", 1), ("bad", 0), ("", 1)], "test": [("so so", 0)], "unsupervised": [("?", 0)]}
    dataset = prepare({"text": TEXT, "label": LABEL}, splits)()
    assert {name: content(split) for name, split in dataset.splits.items()} == {
        name: splits[name] for name in ("train", "test")}
    assert (dataset.name, dataset.labels, dataset.public) == ("tfds:tiny", NAMES, True)
    assert dataset.splits["train"].meta["file"] == ["train 0", "train 1", "train 2"]
    assert dataset.notes == ["1 text(s) of train are empty, the first: train 2."]


@pytest.mark.parametrize("given", ["validation", "dev", "valid"])
def test_validation_splits_have_several_names(prepare, given):
    dataset = prepare({"text": TEXT, "label": LABEL}, {"train": [("a", 0)], given: [("b", 1)]})()
    assert sorted(dataset.splits) == ["train", "validation"]


def test_features_of_unusual_names_are_found_by_type(prepare):
    features = {"number": NUMBER, "utterance": TEXT, "intent": LABEL}
    assert content(prepare(features, {"train": [(7, "a", 1), (8, "b", 0)]})().splits["train"]) == [("a", 1), ("b", 0)]


def test_of_two_texts_and_two_classes_the_usual_ones_are_taken(prepare):
    other = tfds.features.ClassLabel(names=["x", "y", "z"])
    read = prepare({"author": TEXT, "fine": other, "review": TEXT, "label": LABEL},
                   {"train": [("ann", 2, "good", 1), ("bob", 0, "bad", 0)]})
    assert content(read().splits["train"]) == [("good", 1), ("bad", 0)]
    asked = read(text_column="author", label_column="fine")
    assert content(asked.splits["train"]) == [("ann", 2), ("bob", 0)] and asked.labels == ["x", "y", "z"]


def test_of_two_unusual_ones_the_right_one_is_asked_for(prepare):
    read = prepare({"premise": TEXT, "hypothesis": TEXT, "coarse": LABEL, "fine": LABEL},
                   {"train": [("a", "b", 0, 1), ("c", "d", 1, 0)]})
    refused(read, "tfds:tiny", "premise", "hypothesis", "--text-column")
    refused(lambda: read(text_column="premise"), "tfds:tiny", "coarse", "fine", "--label-column")
    asked = {"text_column": "hypothesis", "label_column": "fine"}
    assert content(read(**asked).splits["train"]) == [("b", 1), ("d", 0)]
    # A trained model knows which it was, so that `evaluate` need not be told.
    assert content(read({"labels": NAMES, **asked}).splits["train"]) == [("b", 1), ("d", 0)]


@pytest.mark.parametrize("asked,has", [
    ({"text_column": "txet"}, {"text", "title"}), ({"text_column": "label"}, {"text", "title"}),
    ({"label_column": "labels"}, {"label"}), ({"label_column": "text"}, {"label"})])
def test_a_feature_that_is_not_there_is_refused_with_what_there_is(prepare, asked, has):
    read = prepare({"text": TEXT, "title": TEXT, "label": LABEL}, {"train": [("a", "b", 0)]})
    [(name, value)] = asked.items()
    with pytest.raises(UserError) as error:
        read(**asked)
    flag, _, offered = str(error.value).partition(": tfds:tiny offers ")
    # TFDS keeps no order of features.
    assert flag == f"--{name.replace('_', '-')} {value}" and set(offered.removesuffix(".").split(", ")) == has


@pytest.mark.parametrize("features", [{"text": TEXT}, {"label": LABEL}, {"label": NUMBER, "text": TEXT},
                                      {"label": LABEL, "text": NUMBER}],
                         ids=["no class", "no text", "a number as class", "a number as text"])
def test_a_set_without_text_or_class_is_refused_before_it_is_downloaded(prepare, monkeypatch, features):
    read = prepare(features, {"train": [tuple("a" if kind is TEXT else 0 for kind in features.values())]})
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda *_: pytest.fail("downloaded"))
    refused(read, "tfds:tiny", "no text or no class", *features)


def test_hidden_labels_of_a_test_split_are_left_out(prepare):
    read = prepare({"text": TEXT, "label": LABEL},
                   {"train": [(f"text {n}", n % 2) for n in range(20)], "test": [("a", -1), ("b", 1), ("c", -1)]})
    test = read().splits["test"]
    assert content(test) == [("b", 1)] and test.meta["file"] == ["test 1"]


def test_a_test_split_of_hidden_labels_alone_is_made_from_training(prepare, tmp_path):
    prepare({"text": TEXT, "label": LABEL},
            {"train": [(f"text {n}", n % 2) for n in range(20)], "test": [("a", -1), ("b", -1)]})
    dataset = Text().dataset(Settings(data="tfds:tiny", data_dir=str(tmp_path)))
    test = content(dataset.splits["test"])
    assert len(test) == 4 and all(text.startswith("text ") for text, _ in test)
    assert any("has no test split" in note for note in dataset.notes) and check(dataset, ["text"]) == []


def test_texts_of_all_scripts_come_as_they_are(prepare):
    texts = ["Größe, élan", "我很喜欢", "ужасно", "😀👍🏽", "\u200fשלום", "a\u0301 b\u0300", "two\nlines"]
    features = {"text": TEXT, "label": tfds.features.ClassLabel(names=["schön", "悪い"])}
    dataset = prepare(features, {"train": [(text, n % 2) for n, text in enumerate([*texts, "a\0b"])]})()
    # NUL is what rows are filled with, and becomes a space.
    assert [text for text, _ in content(dataset.splits["train"])] == [*texts, "a b"]
    assert dataset.labels == ["schön", "悪い"]


def test_classes_come_in_the_order_of_the_trained_model(prepare):
    read = prepare({"text": TEXT, "label": LABEL}, {"train": [("a", 0), ("b", 1)]})
    assert content(read({"labels": ["pos", "neg"]}).splits["train"]) == [("a", 1), ("b", 0)]
    refused(lambda: read({"labels": ["pos", "bad"]}), "train 0", "'neg'", "pos, bad")
