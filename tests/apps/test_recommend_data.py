"""Events to histories: splits, candidates, and the windows that are trained on."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from recommend_tables import APP, TABLE, built, loaded, ragged, rows_of, some, written

from apps.recommend import data
from apps.recommend.app import Settings
from apps.recommend.histories import joined
from apps.recommend.windows import stretches, windows
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.score import score
from shared.training.fit import predict_with

# Events to histories

def test_the_last_item_of_each_person_tests_and_the_one_before_validates(tmp_path):
    rows = ["b,y,30,Y,1", "a,x,1,X,1", "a,z,3,Z,1", "a,y,2,Y,1", "b,x,10,X,1", "b,z,20,Z,1", "a,w,9,W,1"]
    dataset = loaded(written(tmp_path / "t.csv", rows))
    names = ["", *dataset.labels]

    def named(split, column):
        return {user: [names[item] for item in row] for user, row in zip(
            dataset.splits[split].meta["user"], rows_of(dataset.splits[split].columns[column]), strict=True)}
    assert named("test", "history") == {"b": ["x", "z"], "a": ["x", "y", "z"]}
    assert named("test", "targets") == {"b": ["y"], "a": ["w"]}
    assert named("validation", "history") == {"b": ["x"], "a": ["x", "y"]}
    assert named("validation", "targets") == {"b": ["z"], "a": ["z"]}
    assert {user: row + named("train", "targets")[user] for user, row in named("train", "history").items()} == {
        "b": ["x"], "a": ["x", "y"]}
    assert dataset.titles == [label.upper() for label in dataset.labels]


def test_the_last_share_of_each_person_may_test(tmp_path):
    path = written(tmp_path / "t.csv", [f"a,i{n:02},{n},I,1" for n in range(40)])
    dataset = loaded(path, hold_out="share", test=0.2, validation=0.25)
    [test], [validation] = (rows_of(dataset.splits[name].columns["targets"]) for name in ("test", "validation"))
    assert test == list(range(33, 41)) and validation == list(range(25, 33))


def test_all_events_may_be_parted_by_their_times(tmp_path):
    rows = [f"u{person},i{(3 * person + step) % 11},{step * 10 + person},I,1" for person in range(5)
            for step in range(8)]
    rows += ["late,i1,76,I,1", "late,i2,79,I,1"]
    path = written(tmp_path / "t.csv", rows)
    dataset = loaded(path, hold_out="time", test=0.25, validation=0.2)
    times = {(row.split(",")[0], int(row.split(",")[1][1:])): int(row.split(",")[2]) for row in rows}
    numbers = {number: int(label[1:]) for number, label in enumerate(dataset.labels, 1)}
    at = {name: [times[user, numbers[item]] for user, row in zip(
        split.meta["user"], rows_of(split.columns["targets"] if name != "train" else joined(split)), strict=True)
        for item in row] for name, split in dataset.splits.items()}
    assert max(at["train"]) < min(at["validation"]) and max(at["validation"]) < min(at["test"])
    assert len(at["train"]) + len(at["validation"]) + len(at["test"]) == 40 and 8 <= len(at["test"]) <= 11
    assert any("1 of 6 people begin after all that trains" in note for note in dataset.notes)
    assert not any("what trains is later" in note for note in dataset.notes)
    with pytest.raises(UserError, match="has no column of times, by which --hold-out time"):
        loaded(written(tmp_path / "n.csv", ["a,x", "a,y", "a,z"], "user,item\n"), hold_out="time")


def test_it_is_said_where_others_later_events_train(tmp_path):
    rows = [f"u{person},i{step},{100 * person + step},I,1" for person in range(5) for step in range(8)]
    [note] = [note for note in loaded(written(tmp_path / "t.csv", rows)).notes if "what trains is later" in note]
    last = [100 * person + 7 for person in range(5)]
    trains = [100 * person + step for person in range(5) for step in range(6)]
    assert note.startswith(f"{100 * np.mean(np.array(trains) > np.median(last)):.0f} %")


def test_what_one_had_before_counts_once_and_few_events_only_train(tmp_path):
    rows = ["a,x,1,X,1", "a,y,2,Y,1", "a,x,3,X,1", "a,z,4,Z,1", "b,x,1,X,1", "b,y,2,Y,1"]
    dataset = loaded(written(tmp_path / "t.csv", rows))
    assert any("1 events repeat" in note for note in dataset.notes)
    assert any("1 of 2 people have too few events" in note for note in dataset.notes)
    assert len(dataset.splits["train"]) == 2 and len(dataset.splits["test"]) == 1
    assert sorted(rows_of(joined(dataset.splits["train"]))) == [[1], [1, 2]]


def test_seldom_items_and_low_ratings_are_left_out(tmp_path):
    path = written(tmp_path / "t.csv", [*some(), "u0,once,99,Once,5"])
    assert "once" in loaded(path).labels
    dataset = loaded(path, core=2, liked=2)
    assert "once" not in dataset.labels
    assert sum("rated below 2" in note for note in dataset.notes) == 1
    [whole] = [joined(dataset.splits["train"])]
    assert np.bincount(whole.values).max() <= 12


def test_a_model_reads_other_data_by_its_own_items_and_columns(tmp_path):
    first = loaded(written(tmp_path / "a.csv", some()))
    facts = APP.learn_facts(Settings(title_column="title"), first.splits["train"], first)
    rows = ["n,i8,1,Item 8,1", "n,new,2,New,1", "n,i3,3,Item 3,1", "n,i5,4,Item 5,1", "n,i7,5,Item 7,1"]
    dataset = data.load(Settings(data=str(written(tmp_path / "b.csv", rows))), facts)
    assert dataset.labels == first.labels and any("does not know" in note for note in dataset.notes)
    assert [dataset.labels[item - 1] for item in rows_of(dataset.splits["test"].columns["history"])[0]] == [
        "i8", "i3", "i5"]


@pytest.mark.parametrize("rows,first,says", [
    (["a,x,1"], "who,item,time\n", "names no column of users: line 1 has who, item, time; say which it is by "
                                   "--user-column"),
    (["a,x,1"], "user,thing,time\n", "names no column of items"),
    (["a,x,1,X,1", "a,,2,X,1"], TABLE, "line 3: the item is empty"),
    (["a,x,1,X,1", "a,y,soon,X,1"], TABLE, "line 3: time 'soon' is no number"),
    (["a,x,2020-01-01,X,1", "a,y,01.02.2020,X,1"], TABLE, "line 3: time '01.02.2020' is no date"),
    (["a,x,1,X,good"], TABLE, "line 2: rating 'good' is no number"),
    (["a,x,1,X,inf"], TABLE, "line 2: rating 'inf' is no number"),
    (["a,x,1,X,1", "a,y,2"], TABLE, "line 3 has 3 fields where line 1 names 5"),
    (["a,x,1,X,1", "b,x,1,X,1"], TABLE, "nobody has enough events"),
    (["a,x,1,X,1", "a,x,2,X,1", "a,x,3,X,1"], TABLE, "nobody has enough events"),
    ([], TABLE, "has no rows below its first line")])
def test_bad_tables_are_told_by_line(tmp_path, rows, first, says):
    with pytest.raises(UserError, match=says):
        loaded(written(tmp_path / "t.csv", rows, first))


def test_ids_of_all_kinds_quotes_and_dates_out_of_order_are_read(tmp_path):
    rows = ['7,"a,b",2020-01-03,"Say ""hi"", twice"', "7,12,2020-01-01 10:00,Twelve", "7,012,2020-01-02,Other twelve"]
    dataset = loaded(written(tmp_path / "t.csv", rows, "customer_id,product_id,date,name\n"))
    assert dataset.labels == ["012", "12", "a,b"] and dataset.titles[2] == 'Say "hi", twice'
    assert rows_of(dataset.splits["test"].columns["history"]) == [[2, 1]]


def test_tfds_sets_of_ratings_are_read_and_others_refused(tmp_path, write_tfds):
    import tensorflow_datasets as tfds
    text = tfds.features.Text()
    features = {"user_id": text, "movie_id": text, "movie_title": text, "timestamp": np.int64,
                "user_rating": np.float32, "movie_genres": tfds.features.Sequence(np.int64)}
    rows = [{"user_id": str(7 + row % 2), "movie_id": f"m{row}", "movie_title": f"Film {row}", "timestamp": 100 - row,
             "user_rating": 1.0 + row % 5, "movie_genres": list(range(row % 3))} for row in range(10)]
    write_tfds(tmp_path, "made_ratings", features, {"train": rows})
    write_tfds(tmp_path, "made_films", {"movie_id": text}, {"train": [{"movie_id": "1"}]})
    dataset = loaded("tfds:made_ratings", data_dir=str(tmp_path), liked=2)
    people = dict(zip(dataset.splits["test"].meta["user"], rows_of(dataset.splits["test"].columns["history"]),
                      strict=True))
    named = {user: [dataset.titles[item - 1] for item in row] for user, row in people.items()}
    assert named == {"7": ["Film 8", "Film 6", "Film 4"], "8": ["Film 9", "Film 7", "Film 3"]}
    with pytest.raises(UserError, match="has no 'user_id': name a set of ratings"):
        loaded("tfds:made_films", data_dir=str(tmp_path))


# Windows

HISTORIES = st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=23), min_size=1, max_size=4)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 4), st.randoms())
def test_each_item_is_what_came_next_wherever_stretches_are_cut(sizes, length, ahead, random):
    ends = np.cumsum(sizes)
    rows = [list(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]  # all items differ
    made, slack = stretches(ragged(rows), length, ahead)
    pairs = []
    for row, most in zip(made.tolist(), slack.tolist(), strict=True):
        cut = row[(first := random.randint(0, most)):first + length + 1]
        assert len(row[first:]) >= length + ahead
        pairs += [pair for pair in zip(cut[:-1], cut[1:], strict=True) if pair[1]]
    want = [pair for row in rows for pair in zip([0, *row[:-1]], row, strict=True)]
    assert set(pairs) == set(want)
    assert len(pairs) == len(want) or max(sizes) > length


@settings(deadline=None, max_examples=60)
@given(HISTORIES, st.integers(1, 6), st.integers(1, 3))
def test_there_is_a_window_of_each_item(rows, length, ahead):
    padded = [[0] * length + row + [0] * ahead for row in rows]
    want = [row[at:at + length + ahead] for row in padded for at in range(len(row) - length - ahead)]
    assert windows(ragged(rows), length, ahead).tolist() == want
    assert windows(ragged(rows), length, last=True).tolist() == [([0] * length + row)[-length - 1:] for row in rows]


def test_histories_change_places_a_little_and_padding_stays(tmp_path):
    made, *_ = built(written(tmp_path / "t.csv", some()), reorder=3.0, length=10)
    window = np.array([[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0]], np.int32)
    orders = set()
    for key in range(20):
        given = made.augment_raw({"window": tf.constant(window)}, tf.constant([key, key], tf.uint32))
        rows = np.concatenate([given["history"], given["next"][:, -1:]], 1)
        for row, before in zip(rows, window, strict=True):
            assert ((row > 0) == (before > 0)).all() and sorted(row) == sorted(before)
            assert np.abs(np.flatnonzero(row) - np.array([list(before).index(item) for item in row if item])).max() < 4
        orders.add(tuple(rows[0]))
    assert len(orders) > 10


def test_any_of_the_items_that_follow_may_be_learned(tmp_path):
    made, *_ = built(written(tmp_path / "t.csv", some()), ahead=3)
    window = np.array([[0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 0, 0]], np.int32)
    seen = [set() for _ in range(8)]
    for key in range(60):
        given = made.augment_raw({"window": tf.constant(window)}, tf.constant([key, 9 * key], tf.uint32))
        assert given["history"].numpy().tolist() == window[:, :4].tolist()
        for at, item in enumerate(given["next"].numpy().ravel()):
            seen[at].add(int(item))
    assert seen == [{1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {4, 5, 6}, {2, 3, 4}, {3, 4, 5}, {4, 5}, {5}]


# Candidates

def test_a_held_out_event_is_ranked_among_its_candidates(tmp_path):
    rows = [f"u{person},i{(person + step) % 8},{step}," for person in range(6) for step in range(5)]
    rows += ["u0,i6,9,i5 i7 i0 unknown", "u1,i7,9,"]  # u0 had i0 before
    path = written(tmp_path / "t.csv", rows, "user,item,time,candidates\n")
    made, network, _, _, dataset = built(path)
    test = dataset.splits["test"]
    excluded = dict(zip(test.meta["user"], rows_of(test.columns["exclude"]), strict=True))
    assert excluded["u0"] == [2, 3, 4, 5] and excluded["u1"] == []
    assert all(not row for row in rows_of(dataset.splits["validation"].columns["exclude"]))
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    [given] = answer([{"history": test.columns["history"].row(0), "exclude": test.columns["exclude"].row(0)}])
    assert set(given["items"].tolist()) == {6, 7, 8, -1}
    report = score(answer, test, APP.scorer(made.facts), explain=True)
    assert [row["model"] for row in report.tables["baselines"]] == ["this", "popularity", "cosine", "markov"]
    plain = written(tmp_path / "p.csv", [row[:row.rindex(",")] for row in rows], "user,item,time\n")
    small = APP.learn_facts(Settings(data=str(plain)), loaded(plain).splits["train"], loaded(plain))
    small.values["exclude"] = 4
    with pytest.raises(UserError, match="this model can leave out at most 4 of its 8 items"):
        data.load(Settings(data=str(path)), small)
