from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.dataset import Dataset, Split
from shared.data.splits import complete, folds, limit, part
from shared.errors import UserError

COUNTS = [60, 25, 10, 3, 2]


def split(counts, speakers=0, shuffle=True):
    """So many examples of each class, each with a number of its own as its input."""
    labels = np.repeat(np.arange(len(counts)), counts)
    if shuffle:
        labels = np.random.default_rng(0).permutation(labels)
    numbers = np.arange(len(labels))
    names = [f"s{n}" for n in np.random.default_rng(1).integers(0, speakers or 1, len(labels))]
    return Split({"x": numbers, "label": labels}, {"speaker": names} if speakers else {})


def numbers(part):
    return sorted(part.columns["x"].tolist())


def per_class(part, classes):
    return np.bincount(part.columns["label"], minlength=classes)


def speakers(part):
    return set(part.meta["speaker"])


# part

@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.01, 0.9), st.integers(0, 100))
def test_a_part_and_the_rest_are_the_whole_and_every_class_keeps_its_share(counts, share, seed):
    whole = split(counts)
    rest, held = part(whole, share, seed)
    assert sorted([*rest, *held]) == list(range(len(whole)))
    assert (np.diff(rest) > 0).all() and (np.diff(held) > 0).all()
    for count, got in zip(counts, per_class(whole.select(held), len(counts)), strict=True):
        assert got == 0 if count == 1 else 1 <= got <= count - 1
        assert abs(got - share * count) <= 0.5 or got in (1, count - 1) or count == 1


def test_shares_of_classes_by_hand():
    assert per_class(split(COUNTS).select(part(split(COUNTS), 0.2, 0)[1]), 5).tolist() == [12, 5, 2, 1, 1]


def test_a_part_is_of_its_seed():
    held = part(split(COUNTS), 0.3, 5)[1].tolist()
    assert held == part(split(COUNTS), 0.3, 5)[1].tolist()
    assert held != part(split(COUNTS), 0.3, 6)[1].tolist()


def test_a_part_is_drawn_from_all_of_a_class():
    chosen = np.concatenate([part(split([50], shuffle=False), 0.2, seed)[1] for seed in range(40)])
    assert len(set(chosen)) == 50
    assert abs(chosen.mean() - 24.5) < 3


def test_examples_without_classes_are_parted_by_number():
    for columns in ({"x": np.arange(50)}, {"x": np.arange(50), "label": np.linspace(0, 1, 50)},
                    {"x": np.arange(50), "label": np.zeros((50, 4, 4), int)}):
        rest, held = part(Split(columns), 0.2, 0)
        assert (len(rest), len(held)) == (40, 10)


@settings(deadline=None)
@given(st.integers(2, 12), st.floats(0.05, 0.8), st.integers(0, 50))
def test_no_group_stands_on_both_sides(groups, share, seed):
    whole = split(COUNTS, groups)
    rest, held = (whole.select(indices) for indices in part(whole, share, seed, "speaker"))
    assert not speakers(rest) & speakers(held) and speakers(rest) and speakers(held)
    assert sorted(numbers(rest) + numbers(held)) == list(range(len(whole)))
    largest = max(whole.meta["speaker"].count(name) for name in speakers(whole))
    assert len(held) < share * len(whole) + largest
    assert len(held) >= share * len(whole) or len(speakers(rest)) == 1


def test_groups_are_chosen_by_seed():
    whole = split([100], 20)
    held = [frozenset(speakers(whole.select(part(whole, 0.3, seed, "speaker")[1]))) for seed in (1, 1, 2)]
    assert held[0] == held[1] != held[2]


# complete

def dataset(counts, speakers=0, **others):
    made = {"train": split(counts, speakers), **others}
    return Dataset("birds", made, [str(n) for n in range(len(counts))], ["as it came"],
                   group="speaker" if speakers else None)


def test_missing_splits_are_made_of_training_examples():
    whole = dataset([100, 50])
    done = complete(whole, validation=0.1, test=0.2, seed=3)
    assert {name: per_class(part, 2).tolist() for name, part in done.splits.items()} == {
        "train": [72, 36], "test": [20, 10], "validation": [8, 4]}
    assert sorted(sum((numbers(part) for part in done.splits.values()), [])) == list(range(150))
    assert replace(done, splits=whole.splits, notes=whole.notes) == whole


def test_notes_say_what_was_made():
    done = complete(dataset([100, 50]), 0.1, 0.2, 3)
    assert done.notes[0] == "as it came" and len(done.notes) == 3
    for note, parts in zip(done.notes[1:], (("birds", "test", "30 of", "150", "seed 3"),
                                            ("birds", "validation", "12 of", "120", "seed 3")), strict=True):
        assert all(word in note for word in parts), note


def test_given_splits_are_left_alone():
    given = split([4, 4])
    done = complete(dataset([100, 50], test=given), 0.1, 0.2, 3)
    assert done.splits["test"] is given and len(done.splits["validation"]) == 15 and len(done.notes) == 2
    whole = dataset([9, 9], test=given, validation=given)
    assert complete(whole, 0.1, 0.2, 3) == whole


def test_what_was_loaded_is_not_changed():
    whole = dataset([100, 50])
    complete(whole, 0.1, 0.2, 3)
    assert list(whole.splits) == ["train"] and len(whole.splits["train"]) == 150 and whole.notes == ["as it came"]


def test_made_splits_are_of_their_seed():
    one, same, other = (complete(dataset([100, 50]), 0.1, 0.2, seed).splits for seed in (1, 1, 2))
    for name in ("train", "validation", "test"):
        assert numbers(one[name]) == numbers(same[name]) != numbers(other[name])


def test_made_splits_keep_groups_whole():
    done = complete(dataset([200, 100], 30), 0.1, 0.2, 0)
    parts = [speakers(done.splits[name]) for name in ("train", "validation", "test")]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == 30
    assert "whole speakers" in done.notes[-1]


# folds

def test_folds_hold_each_example_out_once_and_every_class_in_its_share():
    whole = dataset([50, 20, 7])
    pairs = list(folds(whole, 5, 0))
    assert len(pairs) == 5
    assert sorted(sum((numbers(held) for _, held in pairs), [])) == list(range(77))
    for rest, held in pairs:
        assert sorted(numbers(rest) + numbers(held)) == list(range(77))
        assert np.abs(per_class(held, 3) - np.array([10, 4, 1.4])).max() < 1


def test_folds_keep_groups_whole():
    pairs = list(folds(dataset([50, 30], 12), 4, 0))
    assert sorted(sum((numbers(held) for _, held in pairs), [])) == list(range(80))
    for rest, held in pairs:
        assert not speakers(rest) & speakers(held)


def test_folds_are_of_their_seed():
    one, same, other = ([numbers(held) for _, held in folds(dataset([50, 20]), 3, seed)] for seed in (1, 1, 2))
    assert one == same != other


def test_folds_are_of_the_training_examples_and_leave_given_splits_alone():
    validation = Split({"x": np.arange(70, 90), "label": np.arange(20) % 2})
    test = Split({"x": np.arange(90, 99), "label": np.arange(9) % 2})
    held = [numbers(held) for _, held in folds(dataset([50, 20], validation=validation, test=test), 3, 0)]
    assert sorted(sum(held, [])) == list(range(70))


@pytest.mark.parametrize("count,groups", [(1, 0), (71, 0), (1, 12), (13, 12)])
def test_folds_that_cannot_be_made_are_a_user_error(count, groups):
    with pytest.raises(UserError, match="folds"):
        list(folds(dataset([50, 20], groups), count, 0))


# limit

def test_a_limit_is_of_each_split_and_every_class_keeps_its_share():
    small = limit(dataset([300, 100], test=split([6, 3])), 40, 0)
    assert per_class(small.splits["train"], 2).tolist() == [30, 10]
    assert per_class(small.splits["test"], 2).tolist() == [6, 3]
    assert numbers(small.splits["train"]) != list(range(40))


@pytest.mark.parametrize("counts,most", [([3] * 20, 30), ([10] * 10, 15), ([4] * 7, 11)])
def test_a_limit_loses_no_class_that_it_has_room_for(counts, most):
    small = limit(Dataset("sorted", {"train": split(counts, shuffle=False)}), most, 0).splits["train"]
    assert len(small) <= most
    assert per_class(small, len(counts)).min() >= 1


def test_a_limit_is_of_its_seed():
    one, same, other = (numbers(limit(dataset([300, 100]), 40, seed).splits["train"]) for seed in (1, 1, 2))
    assert one == same != other
