"""Pairs in, ratings out: splits, biases, networks, answers and their figures."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from apps.recommend import rating_data
from apps.recommend.rating_app import Rate, Settings
from apps.recommend.rating_networks import PEOPLE, RatedVectors, Vectors
from apps.recommend.rating_report import RatingScorer
from shared.data.dataset import Split
from shared.data.stateless import keys
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.score import score
from shared.training.fit import predict_with

APP = Rate()
TABLE = "user,item,rating,time,title\n"


def written(path, rows, first=TABLE):
    path.write_text(first + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def some(people=20, items=12, seed=0):
    """Rows of a table: 3 of 4 pairs are rated, by two tastes."""
    rng = np.random.default_rng(seed)
    return [f"u{person},i{item},{3 + 2 * (1 if (person + item) % 2 else -1)},{rng.integers(99)},\"Item, {item}\""
            for person in range(people) for item in range(items) if rng.random() < 0.75]


def loaded(path, facts=None, **options):
    return APP.dataset(Settings(data=str(path), **options), facts)


def built(path, **options):
    keras.utils.set_random_seed(1)
    how = Settings(data=str(path), **{"dimension": 8, "filters": 4, "dropout": 0.0, "l2": 0.0, **options})
    dataset = APP.dataset(how)
    facts = APP.learn_facts(how, dataset.splits["train"], dataset)
    model = APP.build(how, facts)
    network = model.network()
    return model, network, model.trainer(network, dataset.splits["train"]), dataset


def triples(dataset, split):
    columns = dataset.splits[split].columns
    return [(dataset.users[user - 1], dataset.labels[item - 1], float(rating)) for user, item, rating in zip(
        *(columns[name] for name in ("user", "item", "rating")), strict=True)]


# Tables to splits

def test_every_rating_stands_in_one_split_of_its_share_drawn_by_the_seed(tmp_path):
    path = written(tmp_path / "t.csv", some(40, 20))
    dataset, again, other = loaded(path), loaded(path), loaded(path, seed=1)
    everything = sum((triples(dataset, name) for name in dataset.splits), [])
    want = [(row.split(",")[0], row.split(",")[1], float(row.split(",")[2])) for row in some(40, 20)]
    assert sorted(everything) == sorted(want)
    for name in ("validation", "test"):
        assert len(dataset.splits[name]) == pytest.approx(0.1 * len(want), abs=1)
    assert triples(dataset, "test") == triples(again, "test") != triples(other, "test")
    wide = loaded(path, test=0.25, validation=0.5)
    assert [len(wide.splits[name]) / len(want) for name in ("train", "validation", "test")] == pytest.approx(
        [0.25, 0.5, 0.25], abs=0.01)


def test_of_a_pair_rated_twice_the_later_rating_counts_and_it_is_said(tmp_path):
    rows = ["a,x,1,30,X", "a,x,5,10,X", "a,y,2,1,Y", "b,x,3,1,X", "b,y,4,1,Y"]
    dataset = loaded(written(tmp_path / "t.csv", rows))
    assert sorted(sum((triples(dataset, name) for name in dataset.splits), [])) == [
        ("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("b", "y", 4)]
    assert any(note.startswith("1 ratings are of a pair that is rated again later") for note in dataset.notes)
    untimed = loaded(written(tmp_path / "u.csv", ["a,x,1", "a,x,5", "a,y,2", "b,x,3"], "user,item,rating\n"))
    assert ("a", "x", 5) in sum((triples(untimed, name) for name in untimed.splits), [])


@pytest.mark.parametrize("rows,first,options,says", [
    (["a,x,1"], "user,item,time\n", {}, "has no column of ratings: name it by --rating-column"),
    (["a,x,1,1,X", "a,y,good,1,Y"], TABLE, {}, "t.csv line 3: rating 'good' is no number"),
    (["a,x,1,1,X", "a,y,nan,1,Y"], TABLE, {}, "t.csv line 3: rating 'nan' is no number"),
    (["a,x,1,1,X", "a,y,2,1,Y"], TABLE, {}, "rates 2 pair.s.: at least 3"),
    (["a,x,7,1,X", "a,y,2,1,Y", "b,y,0,1,Y"], TABLE, {"rating_range": "1,5"},
     r"2 rating\(s\) lie outside of --rating-range 1,5 \(the first: 7 by a of x\)")])
def test_what_is_no_table_of_ratings_is_told(tmp_path, rows, first, options, says):
    with pytest.raises(UserError, match=says):
        loaded(written(tmp_path / "t.csv", rows, first), **options)


def test_what_goes_not_together_is_refused():
    with pytest.raises(UserError, match="--data sample has no ratings, it is what customers bought"):
        loaded("sample")
    for options, says in (({"rating_range": "5"}, "--rating-range 5: give"), ({"rating_range": "5,1"}, "5,1: give"),
                          ({"rating_range": "1,inf"}, "1,inf: give"), ({"ema": 0.9}, "--ema with --model rating")):
        with pytest.raises(UserError, match=says):
            APP.check(Settings(**options))
    APP.check(Settings(ema=0.9, model="factors", rating_range="-1,1"))


def test_a_model_reads_other_tables_by_its_own_names_and_range(tmp_path):
    model, *_, dataset = built(written(tmp_path / "t.csv", some()), rating_range="1,5")
    rows = ["new,i1,2,1,I", "u3,i2,4,1,I", "u3,newer,5,1,N", "u1,i2,3,1,I"]
    other = loaded(written(tmp_path / "o.csv", rows), model.facts)
    assert other.labels == dataset.labels
    columns = [np.concatenate([split.columns[name] for split in other.splits.values()]) for name in ("user", "item")]
    named = {(["", *dataset.users][user], ["", *dataset.labels][item]) for user, item in zip(*columns, strict=True)}
    assert named == {("", "i1"), ("u3", "i2"), ("u3", ""), ("u1", "i2")}
    with pytest.raises(UserError, match="lie outside of --rating-range 1,5"):
        rating_data.load(Settings(data=str(written(tmp_path / "p.csv", [*rows, "u5,i5,6,1,I"]))), model.facts)


# Biases

def test_biases_are_those_of_a_ridge_regression():
    rng = np.random.default_rng(0)
    user, item = (1 + part.ravel() for part in np.mgrid[:9, :7])
    kept = rng.random(63) < 0.6
    user, item = user[kept], item[kept]
    rating = rng.integers(1, 6, len(user)).astype(np.float32)
    mean, of_user, of_item = rating_data.biases(Split({"user": user, "item": item, "rating": rating}), 9, 8)
    # Ridge has one penalty: columns are scaled, so that it is each one's own.
    weights = np.sqrt(np.repeat(rating_data.SEEN, [9, 8]))
    hot = np.concatenate([np.eye(10)[user][:, 1:], np.eye(9)[item][:, 1:]], 1) / weights
    want = Ridge(alpha=1.0, fit_intercept=False).fit(hot, rating - rating.mean()).coef_ / weights
    np.testing.assert_allclose(np.concatenate([of_user[1:], of_item[1:]]), want, atol=2e-3)
    assert of_item[8] == 0 and of_user[0] == of_item[0] == 0 and mean == pytest.approx(rating.mean())


# Networks

@pytest.mark.parametrize("model", ["rating", "factors", "concatenation"])
def test_every_network_learns_tastes_that_biases_cannot_tell(tmp_path, model):
    made, network, trainer, dataset = built(written(tmp_path / "t.csv", some(30, 16)), model=model, dimension=4)
    trainer.compile(keras.optimizers.Adam(0.02), **made.losses())
    columns = {name: tf.constant(column) for name, column in dataset.splits["train"].columns.items()}
    key = keys(0, 0, tf.range(len(dataset.splits["train"]), dtype=tf.int64))
    inputs, targets, _ = made.augment(made.preprocess(columns), made.target(columns), None, key)
    trainer.fit(inputs, targets, epochs=120, batch_size=64, verbose=0)
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    report = score(answer, dataset.splits["test"], APP.scorer(made.facts))
    rows = {row["model"]: row["rmse"] for row in report.tables["baselines"]}
    assert rows["this"] == report.metrics["rmse"] < 0.5 * rows["biases"] and rows["biases"] > 1.5


def test_items_are_made_of_all_ratings_but_that_of_the_pair_itself():
    users, items = np.array([1, 2, 3, 2, 3, 4]), np.array([1, 1, 1, 2, 2, 4])
    rng = np.random.default_rng(0)
    off, parts = rng.normal(size=6).astype(np.float32), rng.normal(size=(12, 20))
    layer = RatedVectors(5, 20, 0.5, 6, 0.0)
    layer.build()
    layer.parts.assign(parts)
    layer.remember(items, users, off)

    def want(item, chosen):
        root = np.sqrt(max(1, (items == item).sum()))
        return np.tanh((parts[users[chosen]] * off[chosen, None] + parts[6 + users[chosen]]).sum(0) / root)
    trained = layer(items, others=users, off=off, training=True).numpy()
    for row, item in enumerate(items):
        np.testing.assert_allclose(trained[row], want(item, (items == item) & (np.arange(6) != row)), atol=1e-5)
    assert float(layer.losses[0]) == pytest.approx(0.5 * (trained ** 2).sum(1).mean(), rel=1e-5)
    served = layer(np.arange(5), others=np.zeros(5, int), off=np.zeros(5)).numpy()
    np.testing.assert_allclose(served, [want(item, items == item) for item in range(5)], atol=1e-5)


def test_people_are_left_out_whole_and_at_random():
    users, items = np.repeat(np.arange(1, 201), 2), np.tile([1, 2], 200)
    layer = RatedVectors(3, 4, 0.0, 201, 0.25)
    layer.build()
    layer.parts.assign(np.full((402, 4), 0.005))
    layer.remember(items, users, np.ones(400, np.float32))
    asked = {"others": np.array([0, 0]), "off": np.zeros(2, np.float32), "training": True}
    one, other = (np.arctanh(layer(np.array([1, 2]), **asked).numpy()) * np.sqrt(200) / 0.01 for _ in range(2))
    np.testing.assert_allclose(one[0], one[1], rtol=1e-4)  # the same people of both items
    assert np.abs(one - other).max() > 1 and 150 < one.mean() < 250 and np.ptp(one) < 0.01
    np.testing.assert_allclose(np.arctanh(layer(np.array([1]), others=None, off=None).numpy()), 0.01 * np.sqrt(200),
                               rtol=1e-4)


def test_only_rows_in_use_are_penalised_and_only_in_training():
    layer = Vectors(9, 3, 0.25)
    numbers = np.array([4, 7, 4])
    rows = layer(numbers, training=True).numpy()
    assert float(layer.losses[0]) == pytest.approx(0.25 * (rows ** 2).sum(1).mean(), rel=1e-5)
    layer(numbers)
    assert not layer.losses


def test_answers_are_stretched_by_what_fits_best(tmp_path):
    path = written(tmp_path / "t.csv", some(40, 20))
    made, network, _, dataset = built(path, model="factors", rating_range="-99,99")
    network.get_layer(PEOPLE).table.assign(np.where(np.arange(41) % 2, 0.7, -0.7)[:, None] * np.ones(8))
    network.get_layer("items").table.assign(np.where(np.arange(21) % 3, 0.2, -0.3)[:, None] * np.ones(8))

    def answers():
        return answering(APP, predict_with(made, network), made.inputs, made.facts)
    validation, plain = dataset.splits["validation"], answers()
    found = made.calibrate(network, validation, plain)["slope"]
    errors = {}
    for slope in (found, found + 0.02, found - 0.02):
        made.facts.values["slope"] = slope
        errors[slope] = score(answers(), validation, APP.scorer(made.facts)).metrics["rmse"]
    assert errors[found] == min(errors.values()) and 0 < found < 3


@pytest.mark.parametrize("model", ["rating", "factors", "concatenation"])
def test_unknown_ones_are_answered_by_the_biases_that_are_known(tmp_path, model):
    made, network, _, dataset = built(written(tmp_path / "t.csv", some()), model=model)
    for weight in network.weights:  # far from what biases say
        weight.assign(np.random.default_rng(0).normal(size=weight.shape) + 1)
    made.facts.arrays["user_counts"][5] = 0  # as of one who stands in the test split alone
    made.facts.arrays["user_bias"][5] = 0
    people, items = len(dataset.users), len(dataset.labels)
    pairs = [(0, 3), (5, 3), (people + 1, 3), (-1, 3), (2, 0), (2, items + 1), (0, 0)]
    user, item = (tf.constant(column, tf.int32) for column in zip(*pairs, strict=True))
    given = made.pipeline(network)({"user": user, "item": item})["rating"].numpy()
    of_user, of_item = made.facts["user_bias"][2], made.facts["item_bias"][3]
    want = made.facts["mean"] + np.array([of_item] * 4 + [of_user] * 2 + [0.0])
    np.testing.assert_allclose(given, np.clip(want, 1, 5), atol=1e-6)


def test_answers_stay_in_the_range_which_is_that_of_training_or_as_said(tmp_path):
    path = written(tmp_path / "t.csv", some())
    for options, bounds in (({}, [1, 5]), ({"rating_range": "0,6"}, [0, 6])):
        made, network, *_ = built(path, model="factors", **options)
        assert made.facts["range"] == bounds
        network.get_layer("of_item").table.assign(np.linspace(-99, 99, len(made.facts["labels"]) + 1)[:, None])
        numbers = tf.constant([1, 12], tf.int32)
        assert made.pipeline(network)({"user": numbers, "item": numbers})["rating"].numpy().tolist() == bounds


def test_noise_is_normal_of_the_deviation_asked_for(tmp_path):
    made, *_ = built(written(tmp_path / "t.csv", some()), rating_noise=0.5)
    key = keys(0, 0, tf.range(20_000, dtype=tf.int64))
    inputs, noisy, _ = made.augment({}, tf.ones([20_000, 1]), None, key)
    assert (inputs["off"].numpy() == 1).all()  # what is left out of a sum is what stands in it
    noise = noisy.numpy()[:, 0] - 1
    assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(0.5, abs=0.01)
    assert np.mean(np.abs(noise) < 0.5) == pytest.approx(0.683, abs=0.01)


def test_tables_are_carried_to_a_further_run_only_where_rows_mean_the_same(tmp_path):
    made, network, *_ = built(written(tmp_path / "a.csv", some()))
    same, *_ = built(tmp_path / "a.csv", seed=1)
    other, *_ = built(written(tmp_path / "b.csv", [row.replace("u7,", "other,") for row in some()]))
    table = network.get_layer(PEOPLE)
    dense = next(layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
    assert same.carried(table, table, made) is not None and other.carried(table, table, made) is None
    assert other.carried(dense, dense, made) is not None


# What is asked

def test_pairs_are_named_by_ids_or_titles_commas_and_all(tmp_path):
    made, network, *_ = built(written(tmp_path / "t.csv", some()))
    facts = made.facts
    u3, i2 = facts["users"].index("u3") + 1, facts["labels"].index("i2") + 1
    for text in ("u3,i2", "u3, Item, 2", "u3; item, 2", '{"user": "u3", "item": "Item, 2"}'):
        raw = APP.read_input(text, facts)
        assert (int(raw["user"]), int(raw["item"])) == (u3, i2), text
    for text, says in (("u3,tem, 2", "no item 'tem, 2': is it 'Item, 2'"), ("u3,zzz", "give its id or title"),
                       ("u3", "give a person and an item as USER,ITEM"), ('{"user": 3}', "is no pair: write")):
        with pytest.raises(UserError, match=says):
            APP.read_input(text, facts)
    answer = answering(APP, predict_with(made, network), made.inputs, facts)
    raws = [APP.read_input(text, facts) for text in ("u3,i2", "stranger,i2")]
    known, stranger = answer(raws)
    assert APP.show(raws[0], known, facts) == f"{known['rating']:.2f}"
    assert "training knows no ratings of the person" in APP.show(raws[1], stranger, facts)
    made_json = json.loads(json.dumps(APP.to_json(raws[1], stranger, facts)))
    assert made_json == {"user": None, "item": "i2", "title": "Item, 2", "rating": pytest.approx(stranger["rating"]),
                         "unknown": ["person"]}


# Figures

def test_figures_are_those_of_scikit_learn_and_tables_tell_who_was_unknown(tmp_path):
    made, *_ = built(written(tmp_path / "t.csv", some()))
    facts, rng = made.facts, np.random.default_rng(0)
    user, item = rng.integers(0, 21, 200), rng.integers(0, 13, 200)
    truth, given = rng.integers(1, 6, 200).astype(np.float32), rng.uniform(1, 5, 200).astype(np.float32)
    scorer = RatingScorer(facts)
    for row in range(200):
        scorer.update({"user": user[row], "item": item[row], "rating": truth[row]}, {"rating": given[row]})
    report = scorer.report()

    def want(answers, chosen=slice(None)):
        return {"rmse": root_mean_squared_error(truth[chosen], answers[chosen]),
                "mae": mean_absolute_error(truth[chosen], answers[chosen])}
    biased = np.clip(facts["mean"] + facts["user_bias"][user] + facts["item_bias"][item], 1, 5)
    assert report.metrics == pytest.approx(want(given), rel=1e-6) and report.examples == 200
    rows = {row.pop("model"): row for row in report.tables["baselines"]}
    assert rows["biases"] == pytest.approx(want(biased), rel=1e-5)
    assert rows["constant"] == pytest.approx(want(np.full(200, facts["mean"])), rel=1e-5)
    for title, numbers in (("person", user), ("item", item)):
        first = report.tables[title][0]
        assert first[title] == "unknown to training" and first["support"] == (numbers == 0).sum() > 0
        assert first["rmse"] == pytest.approx(want(given, numbers == 0)["rmse"], rel=1e-6)
        assert sum(row["support"] for row in report.tables[title]) == 200
    off = [abs(row["answer"] - row["rating"]) for row in report.tables["worst"]]
    np.testing.assert_allclose(off, np.sort(np.abs(given - truth))[::-1][:20], rtol=1e-6)
