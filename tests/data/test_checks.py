import numpy as np
import pytest

from shared.data import checks
from shared.data.checks import check
from shared.data.dataset import Dataset, Ragged, Split
from shared.errors import UserError

LABELS = ["ant", "bee", "cat"]


def split(labels, first=0, **meta):
    """Examples that all differ, numbered from `first`."""
    numbers = np.arange(first, first + len(labels))
    return Split({"image": np.stack([numbers, 7 * numbers], -1), "label": np.array(labels, int)}, meta)


def dataset(train, validation=(0, 1), test=None, labels=LABELS):
    splits = {"train": split(train), "validation": split(validation, 1000)}
    return Dataset("zoo", splits if test is None else {**splits, "test": split(test, 2000)}, list(labels))


def test_a_good_data_set_gives_nothing_to_read():
    assert check(dataset([0, 1, 2, 0, 1], test=[2]), ["image"]) == []


@pytest.mark.parametrize("name", ["train", "validation"])
@pytest.mark.parametrize("absent", [True, False])
def test_an_empty_split_is_refused(name, absent):
    bad = dataset([0, 1])
    if absent:
        del bad.splits[name]
    else:
        bad.splits[name] = split([])
    with pytest.raises(UserError, match=f"zoo gives no {name} examples"):
        check(bad, ["image"])


def test_no_test_split_is_fine():
    assert check(dataset([0, 1, 2]), ["image"]) == []


def test_one_class_is_refused_by_its_name():
    with pytest.raises(UserError, match=r"one class only.*bee"):
        check(dataset([1, 1, 1], validation=[1]), ["image"])
    with pytest.raises(UserError, match=r"one class only.*3"):
        check(dataset([3, 3], validation=[3], labels=[]), ["image"])


@pytest.mark.parametrize("where", ["validation", "test"])
def test_classes_that_training_lacks_are_refused_by_name(where):
    with pytest.raises(UserError, match=rf"{where} split of zoo.*\(cat\)"):
        check(dataset([0, 1, 0], **{"test": [0], where: [0, 1, 2]}), ["image"])


@pytest.mark.parametrize("labels", [LABELS, []])
@pytest.mark.parametrize("number", [5, -1])
def test_numbers_without_a_class_are_refused(labels, number):
    with pytest.raises(UserError, match=rf"test split.*{number}"):
        check(dataset([0, 1, 2], test=[0, number], labels=labels), ["image"])


def test_a_class_without_training_examples_is_noted():
    notes = check(dataset([0, 2, 0], validation=[0, 2]), ["image"])
    assert len(notes) == 1 and "No training examples of bee" in notes[0]


def test_uneven_classes_are_noted_with_their_sizes():
    assert check(dataset([0] * 50 + [1] * 20 + [2] * 5), ["image"]) == []
    notes = check(dataset([0] * 20 + [1] * 51 + [2] * 5), ["image"])
    assert len(notes) == 1 and "51 of bee, 5 of cat" in notes[0] and "--class-weights" in notes[0]


def test_a_class_without_examples_is_not_the_smallest():
    _, uneven = check(dataset([0] * 51 + [2] * 5, validation=[0, 2]), ["image"])
    assert "51 of ant, 5 of cat" in uneven


def test_what_has_no_classes_is_not_asked_for_them():
    plain = Dataset("numbers", {name: Split({"image": np.arange(6) + at, "label": np.linspace(0, 1, 6)})
                                for name, at in (("train", 0), ("validation", 10))})
    assert check(plain, ["image"]) == []
    for part in plain.splits.values():
        del part.columns["label"]
    assert check(plain, ["image"]) == []


# Duplicates

def copied(*places, meta=False, size=600):
    """A data set in which for each (from, index, to, index) one example was copied."""
    splits = {}
    for name, at in (("train", 0), ("validation", 5000), ("test", 9000)):
        files = {"file": [f"{name}/{n}.png" for n in range(size)]} if meta else {}
        splits[name] = split(np.arange(size) % 3, at, **files)
    for source, i, target, j in places:
        splits[target].columns["image"][j] = splits[source].columns["image"][i]
    return Dataset("zoo", splits, LABELS)


@pytest.mark.parametrize("source,target", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_the_same_example_in_two_splits_is_noted_by_index(source, target):
    notes = check(copied((source, 3, target, 5), (source, 500, target, 599)), ["image"])
    assert len(notes) == 1
    assert f"2 example(s) of {target} also stand in {source}" in notes[0]
    assert "example 3" in notes[0] and "example 5" in notes[0]


def test_large_indices_are_named_too():
    notes = check(copied(("train", 580, "test", 599)), ["image"])
    assert len(notes) == 1 and "example 580" in notes[0] and "example 599" in notes[0]


def test_the_same_example_in_two_splits_is_noted_by_file():
    notes = check(copied(("train", 3, "test", 5), meta=True), ["image"])
    assert len(notes) == 1 and "train/3.png" in notes[0] and "test/5.png" in notes[0]


def test_each_pair_of_splits_has_its_own_note():
    zoo = copied(("train", 1, "validation", 1), ("train", 2, "test", 2), ("validation", 7, "test", 8))
    notes = check(zoo, ["image"])
    assert len(notes) == 3 and all("1 example(s)" in note for note in notes)


def test_a_repeat_within_one_split_is_no_leak():
    assert check(copied(("train", 1, "train", 2)), ["image"]) == []


def test_examples_are_the_same_when_all_raw_columns_are():
    def two(first, second):
        return Split({"left": np.array(first), "right": np.array(second), "label": np.array([0, 1])})
    zoo = Dataset("zoo", {"train": two([[1], [2]], [[3], [4]]), "validation": two([[1], [2]], [[4], [5]])}, LABELS[:2])
    assert check(zoo, ["left", "right"]) == []
    assert "2 example(s)" in check(zoo, ["left"])[0]


def test_rows_of_any_length_are_compared_without_their_padding():
    def rows(*lists):
        return Split({"image": Ragged(np.concatenate(lists), np.cumsum([0, *map(len, lists)])),
                      "label": np.arange(len(lists)) % 2})
    zoo = Dataset("zoo", {"train": rows([1, 2], [3, 4, 5, 6, 7]), "validation": rows([8, 9, 9], [1, 2])}, LABELS[:2])
    notes = check(zoo, ["image"])
    assert len(notes) == 1 and "1 example(s) of validation also stand in train" in notes[0]


def test_very_large_sets_are_not_searched(monkeypatch):
    zoo = copied(("train", 1, "test", 2))
    monkeypatch.setattr(checks, "MOST", 1799)
    assert check(zoo, ["image"]) == []
    monkeypatch.setattr(checks, "MOST", 1800)
    assert len(check(zoo, ["image"])) == 1
