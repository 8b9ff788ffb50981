"""Histories in, ranked lists out: splits, windows, baselines, networks, answers and their figures."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_similarity

from apps.recommend import baselines, data
from apps.recommend.app import Recommend, Settings, raw_of
from apps.recommend.asking import by_scores, explained
from apps.recommend.data import joined
from apps.recommend.model import SCORED, stretches, windows
from apps.recommend.report import RankingScorer, at_cut
from shared.data.dataset import Ragged
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.score import score
from shared.facts import Facts
from shared.training.fit import predict_with

APP = Recommend()
TABLE = "user,item,time,title,rating\n"


def ragged(rows):
    return Ragged(np.array(sum(rows, []), np.int32), np.cumsum([0, *map(len, rows)]))


def written(path, rows, first=TABLE):
    path.write_text(first + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def loaded(path, **options):
    return APP.dataset(Settings(data=str(path), **options))


def some(people=12, items=9, seed=0):
    """Rows of a table: each person had 4 to 8 different items, by time."""
    rng = np.random.default_rng(seed)
    return [f"u{person},i{item},{time},Item {item},{1 + (person + item) % 5}" for person in range(people)
            for time, item in enumerate(rng.permutation(items)[:rng.integers(4, items)])]


def built(path, **options):
    keras.utils.set_random_seed(1)
    how = Settings(data=str(path), **{"dimension": 8, "dilations": "1,2", "length": 4, "top": 10, **options})
    dataset = APP.dataset(how)
    facts = APP.learn_facts(how, dataset.splits["train"], dataset)
    model = APP.build(how, facts)
    examples = model.examples(dataset.splits["train"])
    network = model.network()
    return model, network, model.trainer(network, examples), examples, dataset


def rows_of(column):
    return [column.row(row).tolist() for row in range(len(column))]


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


# Baselines

def test_cosine_is_that_of_the_people_who_had_two_items():
    rng = np.random.default_rng(0)
    rows = [rng.permutation(8)[:rng.integers(2, 8)].tolist() for _ in range(30)]
    rows = [[item + 1 for item in row] for row in rows]
    had = np.zeros((30, 9))
    for person, row in enumerate(rows):
        had[person, row] = 1
    want = cosine_similarity(had.T)
    np.fill_diagonal(want, 0)
    np.testing.assert_allclose(baselines.table("cosine", ragged(rows), 8)[0], want, atol=1e-6)


def test_the_chain_counts_what_followed():
    rows = [[1, 2, 3], [2, 3, 1, 4]]
    counts, popular = np.zeros((5, 5)), np.bincount(sum(rows, []), minlength=5)
    for row in rows:
        for at, item in enumerate(row):
            for step, later in enumerate(row[at + 1:at + 6], 1):
                counts[item, later] += 1 / step
    want = counts / (counts.sum(1, keepdims=True) + 10) / np.sqrt(popular + 10)
    np.testing.assert_allclose(baselines.table("markov", ragged(rows), 4)[0], want, atol=1e-6)


@pytest.mark.parametrize("model,decay", [("markov", 0.7), ("cosine", 0.8), ("popularity", 0.0)])
def test_a_baseline_ranks_as_its_table_says(tmp_path, model, decay):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model, length=3)
    table, plain = baselines.table(model, joined(dataset.splits["train"]), len(dataset.labels))
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    history = [4, 2, 7]
    [given] = answer([raw_of(history)])
    scores = plain + sum(decay ** age * table[item] for age, item in enumerate(history[::-1]))
    scores[[0, *history]] = -np.inf
    items = given["items"][given["items"] > 0]
    assert len(items) == len(dataset.labels) - len(history)
    np.testing.assert_allclose(scores[items], np.sort(scores)[::-1][:len(items)], atol=1e-6)


@pytest.mark.parametrize("model", ["markov", "cosine", "popularity"])
def test_reports_of_runs_tell_what_each_baseline_would_find(tmp_path, model):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model, length=0)
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    report = score(answer, dataset.splits["test"], APP.scorer(made.facts), explain=True)
    rows = {row.pop("model"): row for row in report.tables["baselines"]}
    assert rows.keys() == {"this", "markov", "cosine", "popularity"}
    assert rows[model] == pytest.approx(rows["this"])
    assert rows["this"]["ndcg_at_10"] == pytest.approx(report.metrics["ndcg_at_10"])
    assert "baselines" not in score(answer, dataset.splits["test"], APP.scorer(APP.shipped(made.facts)),
                                    explain=True).tables


# Networks

@pytest.mark.parametrize("model,options", [
    ("nextitnet", {}), ("caser", {}), ("nextitnet", {"attention": 2}), ("caser", {"loss": "bpr"}),
    ("nextitnet", {"loss": "sampled"}), ("nextitnet", {"loss": "bpr"}), ("nextitnet", {"loss": "bce"})])
def test_every_network_learns_what_comes_next(tmp_path, model, options):
    rows = [f"u{person},i{(person + step) % 7},{step},I,1" for person in range(20) for step in range(6)]
    path = written(tmp_path / "t.csv", rows)
    made, network, trainer, examples, _ = built(path, model=model, dropout=0.0, negatives=8, **options)
    trainer.compile(keras.optimizers.Adam(0.02), **made.losses())
    columns = made.augment_raw({name: tf.constant(column) for name, column in examples.columns.items()},
                               tf.cast(tf.range(len(examples)), tf.uint32))
    x, y, weight = made.preprocess(columns), made.target(columns), made.weight(columns)
    for _ in range(8):
        trainer.fit(x, y, sample_weight=weight, epochs=10, verbose=0, batch_size=32)
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    given = [int(one["items"][0]) for one in answer([raw_of([1, 2]), raw_of([3, 4]), raw_of([5, 6])])]
    assert given == [3, 5, 7]


def test_no_step_of_nextitnet_sees_a_later_item(tmp_path):
    made, _, trainer, _, _ = built(written(tmp_path / "t.csv", some()), length=8)
    items = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.int32)
    changed = np.where(np.arange(8) < 5, items, 9)
    none = tf.zeros([1, 1], tf.int32)
    one, other = (trainer(made.preprocess({"history": tf.constant(ids, tf.int32), "exclude": none})).numpy()
                  for ids in (items, changed))
    np.testing.assert_allclose(one[0, :5], other[0, :5], atol=1e-5)
    assert np.abs(one[0, 5:] - other[0, 5:]).max() > 1e-3


@pytest.mark.parametrize("model", ["nextitnet", "caser"])
def test_answers_are_all_items_ranked_without_what_one_had(tmp_path, model):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model)
    raw = {"history": np.array([[0, 3, 1, 7]], np.int32), "exclude": np.array([[0] * 15 + [5]], np.int32)}
    inputs = made.preprocess({name: tf.constant(ids) for name, ids in raw.items()})
    scores = network(inputs).numpy()[0]
    given = {name: value.numpy()[0] for name, value in made.pipeline(network)(
        {name: tf.constant(ids) for name, ids in raw.items()}).items()}
    scores[[0, 1, 3, 5, 7]] = -np.inf
    order = np.argsort(-scores)[:len(dataset.labels) - 4]
    assert given["items"].tolist() == order.tolist() + [-1] * 4
    chances = np.exp(scores - scores.max())
    np.testing.assert_allclose(given["scores"][:5], (chances / chances.sum())[order], atol=1e-6)


def test_long_histories_and_numbers_that_are_no_items_are_taken(tmp_path):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()))
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    count, room = len(dataset.labels), made.facts["exclude"]
    long = raw_of([1] + [2] * (room + made.facts["length"]) + [3])  # the first one is beyond what a file excludes
    [given, empty] = answer([long, raw_of([])])
    assert set(given["items"].tolist()) == set(range(1, count + 1)) - {1, 2, 3} | {-1}
    assert (np.diff(given["scores"]) <= 0).all()
    assert "no history" in APP.show(raw_of([]), empty, made.facts)
    beyond = {"history": tf.constant([[count + 1, -3, 1, 2]]), "exclude": tf.zeros([1, room], tf.int32)}
    plain = {**beyond, "history": tf.constant([[0, 0, 1, 2]])}
    for name, value in made.pipeline(network)(beyond).items():
        np.testing.assert_array_equal(value, made.pipeline(network)(plain)[name])


# What is asked

def test_the_signature_score_answers_for_every_item(tmp_path):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()))
    raw = {"history": np.array([[0, 3, 1, 7]], np.int32), "exclude": np.array([[0] * 15 + [5]], np.int32)}

    class Score:
        facts, inputs = made.facts, made.signatures(network)["score"].inputs

        def __call__(self, raw):
            given = made.signatures(network)["score"].function({name: tf.constant(ids) for name, ids in raw.items()})
            return {name: value.numpy() for name, value in given.items()}
    want = made.pipeline(network)({name: tf.constant(ids) for name, ids in raw.items()})
    given = by_scores(Score())(raw)
    np.testing.assert_array_equal(given["items"], want["items"])
    np.testing.assert_allclose(given["scores"], want["scores"], atol=1e-6)
    asked = np.zeros((1, SCORED), np.int32)
    asked[0, :4] = [3, 5, 2, len(dataset.labels) + 1]
    scores = Score()({**raw, "items": asked})["scores"][0]
    assert scores[2] > 0 and not scores[[0, 1, 3]].any() and not scores[4:].any()


def test_what_moved_an_answer_is_told_by_leaving_it_out():
    facts = Facts({"labels": list("abcd"), "titles": list("ABCD"), "length": 2})
    likely = {(1, 2): 0.6, (2,): 0.2, (1,): 0.5}  # of item 3; the history of 4 is too old to be read

    def answer_rows(rows):
        for row in rows:
            assert set(row["history"]) | set(row["exclude"]) == {4, 1, 2}
            chance = likely[tuple(row["history"][row["history"] != 4][-2:])]
            yield {"items": np.array([3, -1]), "scores": np.array([chance, 0])}
    raw = raw_of([4, 1, 2])
    said, rows = explained(raw, next(answer_rows([raw])), answer_rows, facts)
    assert [(row["item"], round(np.exp(row["moved"]), 3)) for row in rows] == [("a", 3.0), ("b", 1.2)]
    assert said == "\n    C, because of A (x 3.00); B (x 1.20)"
    assert explained(raw_of([]), {"items": np.array([3])}, answer_rows, facts) == ("", [])


def test_items_are_named_by_id_or_title_or_refused_with_the_nearest(tmp_path):
    made, *_ = built(written(tmp_path / "t.csv", some()))
    assert APP.read_input("i1, item 3 ,i8", made.facts)["history"].tolist() == [2, 4, 9]
    assert APP.read_input("", made.facts)["history"].tolist() == []
    with pytest.raises(UserError, match="knows no item 'itm 3': is it 'item 3'"):
        APP.read_input("i1,itm 3", made.facts)
    with pytest.raises(UserError, match="knows no item 'EM 3': is it 'Item 3'"):
        APP.read_input("EM 3", made.facts)


def test_what_goes_not_together_is_refused(tmp_path):
    path = written(tmp_path / "t.csv", ["a,x,1", "a,y,2", "a,z,3"], "user,item,time\n")
    for options, says in (({"dilations": "1,,2"}, "--dilations 1,,2"),
                          ({"attention": 3}, "--attention 3 does not divide --dimension 64"),
                          ({"model": "two_tower", "loss": "bpr"}, "--loss bpr with --model two_tower"),
                          ({"model": "markov", "from_run": "r"}, "--from")):
        with pytest.raises(UserError, match=says):
            APP.check(Settings(**options))
    with pytest.raises(UserError, match="--liked needs ratings"):
        loaded(path, liked=3)
    with pytest.raises(UserError, match="no events that count"):
        loaded(path, core=9)
    with pytest.raises(UserError, match="is no table"):
        loaded(tmp_path / "t.dat")
    with pytest.raises(UserError, match="has no column 'film': line 1 names user, item, time"):
        loaded(path, item_column="film")


# Figures

@settings(deadline=None, max_examples=100)
@given(st.permutations(list(range(1, 13))), st.sets(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 12))
def test_figures_are_those_of_an_independent_count(order, targets, cut):
    made = at_cut(np.isin(order, list(targets)), len(targets), cut)
    right = [item in targets for item in order[:cut]]
    precisions = [sum(right[:place + 1]) / (place + 1) for place in range(cut) if right[place]]
    assert made["hit"] == any(right)
    assert made["precision"] == pytest.approx(sum(right) / cut)
    assert made["recall"] == pytest.approx(sum(right) / len(targets))
    assert made["map"] == pytest.approx(sum(precisions) / min(len(targets), cut))
    assert made["mrr"] == pytest.approx(1 / (right.index(True) + 1) if any(right) else 0)
    relevance = [[float(item in targets) for item in range(1, 13)]]
    scores = [[-order.index(item) for item in range(1, 13)]]
    assert made["ndcg"] == pytest.approx(ndcg_score(relevance, scores, k=cut))


def test_a_report_tells_of_popular_and_seldom_items_and_of_the_catalogue():
    scorer = RankingScorer(["A", "B", "C", "D"], np.array([6, 3, 1, 0]))
    meta = {"meta": {"user": "u"}}
    for target, items in ((1, [1, 2]), (3, [1, 3]), (4, [1, 2])):
        scorer.update({"history": np.array([2]), "targets": np.array([target]), "exclude": np.zeros(1, int), **meta},
                      {"items": np.array([*items, -1]), "scores": np.array([0.6, 0.4, 0.0])})
    report = scorer.report()
    assert report.metrics["hit_at_5"] == pytest.approx(2 / 3) and report.metrics["coverage_at_10"] == 3 / 4
    assert report.metrics["popularity_at_10"] == pytest.approx(3 / 6)
    assert {row["item"]: row["hit_at_10"] for row in report.tables["cold"]} == {"in training": 1,
                                                                                "never in training": 0}
    assert report.figures["found"].lines["found"][:3] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert report.tables["examples"][1] == {"person": "u", "had": "B", "recommended": "A; C", "next": "C", "place": 2}
