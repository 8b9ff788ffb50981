"""Histories in, ranked lists out: networks, answers, and what is asked."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from recommend_tables import APP, built, loaded, some, written
from scipy.special import log_softmax

from apps import APPS
from apps.recommend.app import Settings, raw_of
from apps.recommend.asking import by_scores, explained
from apps.recommend.model import SCORED
from shared.cli.main import main
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.export.convert import convert, operations
from shared.export.saved_model import write_saved_model
from shared.facts import Facts
from shared.files import arrays_to_bytes
from shared.training.fit import predict_with

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


@pytest.mark.parametrize("model", ["nextitnet", "caser"])
def test_the_loss_is_the_mean_cross_entropy_of_what_came_next_where_something_did(tmp_path, model):
    made, _, trainer, *_ = built(written(tmp_path / "t.csv", some()), length=4, model=model, dropout=0.0)
    trainer.compile("sgd", **made.losses())
    x = made.preprocess({"history": tf.constant([[0, 0, 1, 2], [3, 4, 5, 6]]), "exclude": tf.zeros([2, 1], tf.int32)})
    y, weight = np.array([[0, 3, 4, 5], [7, 0, 1, 2]]), np.array([[0, 1, 1, 0.5], [1, 0, 1, 1]], np.float32)
    if model == "caser":
        y, weight = y[:, -1], weight[:, -1]
    vectors = trainer(x)
    loss = trainer.compute_loss(x, tf.constant(y), vectors, tf.constant(weight), training=True)
    scores = np.asarray(vectors) @ np.asarray(trainer.items.table).T + np.asarray(trainer.items.bias)
    each = -np.take_along_axis(log_softmax(scores, -1), y[..., None], -1)[..., 0]
    assert float(loss) == pytest.approx(np.average(each, weights=weight), rel=1e-5)


def test_no_step_of_nextitnet_sees_a_later_item(tmp_path):
    made, _, trainer, _, _ = built(written(tmp_path / "t.csv", some()), length=8)
    items = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.int32)
    changed = np.where(np.arange(8) < 5, items, 9)
    none = tf.zeros([1, 1], tf.int32)
    one, other = (trainer(made.preprocess({"history": tf.constant(ids, tf.int32), "exclude": none})).numpy()
                  for ids in (items, changed))
    np.testing.assert_allclose(one[0, :5], other[0, :5], atol=1e-5)
    assert np.abs(one[0, 5:] - other[0, 5:]).max() > 1e-3


def test_horizontal_convolutions_of_caser_see_the_last_items_vertical_ones_all(tmp_path):
    made, network, *_ = built(written(tmp_path / "t.csv", some()), model="caser", length=6, recent=2)
    histories = tf.constant([[1, 2, 3, 4, 5, 6], [7, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7, 6]], tf.int32)
    inputs = made.preprocess({"history": histories, "exclude": tf.zeros([3, 1], tf.int32)})
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    kernels = {tuple(layer.kernel.shape[:2]): layer for layer in convolutions}
    assert sorted(kernels) == [(1, 1), (2, 1), (6, 1)]
    first, early, late = network(inputs)["scores"].numpy()
    assert np.abs(first - early).max() > 1e-4
    kernels[6, 1].set_weights([np.zeros_like(weight) for weight in kernels[6, 1].get_weights()])
    first, early, late = network(inputs)["scores"].numpy()
    np.testing.assert_allclose(first, early, atol=1e-6)
    assert np.abs(first - late).max() > 1e-4


def test_ratings_are_learned_of_the_items_that_come_next_and_are_not_in_the_file(tmp_path):
    rows = [f"u{person},i{(person + step) % 7},{step},I,{1 + (person + step) % 7 % 3}" for person in range(20)
            for step in range(6)]
    path = written(tmp_path / "t.csv", rows)
    made, network, trainer, examples, dataset = built(path, rating_weight=1.0, dropout=0.0)
    columns = made.augment_raw({name: tf.constant(column) for name, column in examples.columns.items()},
                               tf.cast(tf.range(len(examples)), tf.uint32))
    x, y, weight = made.augment(made.preprocess(columns), made.target(columns), made.weight(columns), tf.zeros([1]))
    used = y["items"].numpy() > 0
    number = np.array([0, *(int(label[1:]) for label in dataset.labels)])
    want = 1 + number[y["items"].numpy()[used]] % 3  # of each item by its name
    np.testing.assert_allclose(y["ratings"].numpy()[used][:, 0] + made.facts["rating_mean"], want, atol=1e-6)
    assert made.facts["rating_mean"] == pytest.approx(want.mean())
    trainer.compile(keras.optimizers.Adam(0.05), **made.losses())
    trainer.fit(x, y, sample_weight=weight, epochs=60, verbose=0)
    given = trainer(x)["ratings"].numpy()[used][:, 0] + made.facts["rating_mean"]
    assert np.sqrt(np.mean((given - want) ** 2)) < 0.2 < want.std()
    assert network.count_params() < trainer.count_params()
    assert list(made.pipeline(network)({"history": columns["history"][:1], "exclude": columns["exclude"][:1]})) == [
        "items", "scores"]


@pytest.mark.parametrize("wrong", [{"model": "caser"}, {"ahead": 2}, {"reorder": 1.0}, {"loss": "bpr"}])
def test_ratings_beside_go_with_what_comes_next_alone(wrong):
    with pytest.raises(UserError, match="--rating-weight goes with"):
        APP.check(Settings(rating_weight=0.5, **wrong))


def test_ratings_beside_need_ratings(tmp_path):
    path = written(tmp_path / "t.csv", [row.rsplit(",", 1)[0] for row in some()], "user,item,time,title\n")
    with pytest.raises(UserError, match="needs ratings"):
        built(path, rating_weight=0.5)


@pytest.mark.parametrize("model", ["nextitnet", "caser"])
def test_answers_are_all_items_ranked_without_what_one_had(tmp_path, model):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model)
    raw = {"history": np.array([[0, 3, 1, 7]], np.int32), "exclude": np.array([[0] * 15 + [5]], np.int32)}
    inputs = made.preprocess({name: tf.constant(ids) for name, ids in raw.items()})
    scores = network(inputs)["scores"].numpy()[0]
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


@pytest.mark.parametrize("model", ["nextitnet", "caser", "two_tower"])
def test_first_items_are_scored_again_where_scores_are_rounded(tmp_path, model):
    made, network, *_ = built(written(tmp_path / "t.csv", [f"{row},old" for row in some()],
                                      "user,item,time,title,rating,genre\n"),
                              model=model)
    inputs = made.preprocess({"history": tf.constant([[0, 3, 1, 7]]), "exclude": tf.constant([[0] * 15 + [5]])})
    outputs = network(inputs)
    for table in (network, made.for_int8(network)):  # the same vectors, rounded item by item where they are integers
        rounded = {**outputs, "scores": tf.zeros_like(outputs["scores"])}
        given, want = (made.postprocess(scores, inputs, table) for scores in (rounded, outputs))
        np.testing.assert_array_equal(given["items"], want["items"])
        np.testing.assert_allclose(given["scores"], want["scores"], atol=1e-6)  # all of them are among the first
        assert (np.diff(want["scores"]) <= 0).all()
    for name, value in made.for_int8(network)(inputs).items():
        np.testing.assert_allclose(value, outputs[name], atol=1e-5)


def test_int8_files_are_integer_but_for_sums_and_the_scores_of_the_first_items(tmp_path):
    made, network, *_ = built(written(tmp_path / "t.csv", some()))
    columns = {"history": np.random.default_rng(0).integers(0, 10, (20, 4)).astype(np.int32),
               "exclude": np.zeros((20, made.facts["exclude"]), np.int32)}
    (tmp_path / "ranges").write_bytes(arrays_to_bytes({
        f"{key}/{name}": column for key, given in made.ranges(network, columns).items()
        for name, column in given.items()}))
    write_saved_model(made, made.for_int8(network), tmp_path / "saved", APP.name, made.facts)
    assert convert(tmp_path / "saved", "int8", tmp_path / "a.tflite", tmp_path / "ranges") is None
    counts = operations(tmp_path / "a.tflite")
    assert counts["CONV_2D:int8"] == 2 and "CONV_2D" not in counts
    assert counts["FULLY_CONNECTED:int8"] == counts["FULLY_CONNECTED"] == 1  # of all scores; of the history's vector
    assert counts["GATHER:int8"] == 3  # vectors of the history, of the first items, and of those asked for by `score`
    assert "ADD:int8" not in counts and "TOPK_V2:int8" not in counts


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
                          ({"attention": 2, "model": "caser"}, "--attention means nothing to --model caser"),
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


def test_a_history_may_be_given_by_its_flag(capsys):
    shipped = str(next((Path(__file__).parents[2] / "saved_models/recommend/reference").glob("*.tflite")))
    said = []
    for given in (["85123A, 22423"], ["--history", "85123A, 22423"], ["85123A, 22423", "--history", "22423"]):
        assert main(["recommend", "predict", *given, "--artifact", shipped], APPS) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].startswith("85123A, 22423: ")
    assert said[2].startswith(said[0]) and len(said[2].splitlines()) == 2
    assert main(["recommend", "predict", "--help"], APPS) == 0
    assert "histories, as ids or titles" in capsys.readouterr().out
