"""Items that nobody had: their attributes, how they are held out, the tower that ranks them, what it must beat."""

import keras
import numpy as np
import pytest
import recommend_tables
import tensorflow as tf
from recommend_tables import APP, loaded, rows_of
from sklearn.metrics.pairwise import cosine_similarity

from apps.recommend import attributes, cold, towers
from apps.recommend.app import Settings, raw_of
from apps.recommend.histories import joined
from shared.errors import UserError
from shared.evaluation.answering import answering
from shared.evaluation.predictors import TFLitePredictor
from shared.evaluation.score import score
from shared.export.convert import convert, operations
from shared.export.saved_model import write_saved_model
from shared.files import write_atomically
from shared.metadata import pack
from shared.training.fit import predict_with

GENRES = ("war", "love", "crime")


def written(path, rows, first="user,item,time,title,genres"):
    return recommend_tables.written(path, rows, first + "\n")


def of_taste(people=60, items=30, seed=0):
    """Rows of a table: each person has ten items, all of one of three genres."""
    random = np.random.default_rng(seed)
    return [f"u{person:02},i{item:02},{time},Tale {item} of {GENRES[item % 3]},{GENRES[item % 3]}|tale"
            for person in range(people)
            for time, item in enumerate(random.permutation(np.arange(person % 3, items, 3)))]


def built(path, **options):
    return recommend_tables.built(path, **{"model": "two_tower", "hold_out": "items", "length": 8, **options})


def prepared(model, examples):
    columns = model.augment_raw({name: tf.constant(column) for name, column in examples.columns.items()},
                                tf.cast(tf.range(len(examples)), tf.uint32))
    return model.preprocess(columns), model.target(columns), model.weight(columns)


# Attributes

def test_attributes_are_found_by_usual_names_or_named_and_kept_of_an_items_first_row(tmp_path):
    rows = ["a,x,1,X,War|Love ; Old,1999,red,Ann", "a,y,2,Y,,2001,blue,", "b,x,1,X,Crime,1,green,Bo",
            "b,y,2,Y,War,2001,red,Cy", "b,z,3,Z,war,1999,red,", "a,z,3,Z,war,1999,red,"]
    path = written(tmp_path / "t.csv", rows, "user,item,time,title,Genre,year,cover,Author")
    dataset = loaded(path)
    assert dataset.attributes == {"Genre": ["War|Love ; Old", "", "war"], "year": ["1999", "2001", "1999"],
                                  "Author": ["Ann", "", ""]}
    assert attributes.parts("War|Love ; Old|war") == ["war", "love", "old"] and attributes.parts(" ") == []
    assert loaded(path, attribute_columns="cover, Genre").attributes.keys() == {"cover", "Genre"}
    assert loaded(path, attribute_columns="").attributes == {}
    for wrong in ("colour", "title"):
        with pytest.raises(UserError, match=f"--attribute-columns: .*no further column '{wrong}': line 1 names user"):
            loaded(path, attribute_columns=wrong)


def test_tfds_sets_bring_their_genres(tmp_path, write_tfds):
    import tensorflow_datasets as tfds
    text = tfds.features.Text()
    features = {"user_id": text, "movie_id": text, "movie_title": text, "timestamp": np.int64,
                "user_rating": np.float32,
                "movie_genres": tfds.features.Sequence(tfds.features.ClassLabel(names=["War", "Love", "Crime"]))}
    rows = [{"user_id": "u", "movie_id": f"m{row}", "movie_title": "T", "timestamp": row, "user_rating": 1.0,
             "movie_genres": ["Crime", "War"][:row % 3]} for row in range(6)]
    write_tfds(tmp_path, "made_genres", features, {"train": rows})
    dataset = loaded("tfds:made_genres", data_dir=str(tmp_path))
    assert dataset.attributes == {"genres": ["", "Crime", "Crime|War", "", "Crime", "Crime|War"]}


def test_words_and_values_are_those_that_several_items_of_training_have():
    titles = ["Der Große Krieg (1999)", "der krieg (1998)", "War (1999)", "War again (1950)", "große Война (1998)",
              "война (1999)"]
    genres = ["war", "war|love", "love|war|rare", "war|later", "later", "later|love"]
    counts = np.array([3, 1, 2, 0, 1, 5])
    values, arrays = attributes.learned(titles, {"genre": genres}, counts)
    names = values["words"]
    assert set(names) == {"1999", "1998", "der", "krieg", "große", "война"}  # war: of one item, and of one untrained
    told = [[names[word - 1] if word else None for word in row] for row in arrays["item_words"]]
    assert told[1] == ["der", "große", "krieg", "1999"] and told[4] == [None] * 4 and told[0] == [None] * 4
    of = [{values["attribute_values"][value - 1] for value in row.ravel() if value} for row in arrays["item_values"]]
    assert {name for name in of[3] if "genre" in name} == {"genre=love", "genre=war"}
    assert {name for name in of[4] if "genre" in name} == {"genre=war", "genre=later"}
    assert of[0] == set() and {name for name in of[4] if "year" in name} == {"year=1998", "year=1999"}


def test_near_numbers_share_knots_and_far_ones_do_not():
    cells = [str(year) for year in range(1900, 2000)]
    _, arrays = attributes.learned([""] * 100, {"year": cells}, np.ones(100))
    known = [set(row[row > 0]) for row in arrays["item_values"][1:, 0]]
    shared = [len(known[50] & other) for other in known]
    assert shared[50] == attributes.NEAR and shared[0] == shared[99] == 0
    assert (np.diff(shared[:51]) >= 0).all() and (np.diff(shared[50:]) <= 0).all()
    assert set(attributes.learned(["t"] * 3, {"n": ["1", "2", "two"]}, np.ones(3))[0]["attribute_values"]) == set()


def test_items_of_which_nothing_is_known_are_refused(tmp_path):
    path = written(tmp_path / "t.csv", [f"u{row},{10 * row + time},{time}" for row in range(200) for time in range(5)],
                   "user,item,time")
    with pytest.raises(UserError, match="--title-column, or others by --attribute-columns"):
        built(path)


# What is held out

def candidates_of(dataset, part):
    """What each person is asked among."""
    every = set(range(1, len(dataset.labels) + 1))
    return [every - set(row) for row in rows_of(dataset.splits[part].columns["exclude"])]


def test_neither_items_nor_people_of_the_test_are_in_training(tmp_path):
    path = written(tmp_path / "t.csv", of_taste())
    rows = [row.split(",")[:3] for row in of_taste()]
    for seed in range(3):
        dataset = loaded(path, hold_out="items", seed=seed, validation=0.25)
        splits, names = dataset.splits, np.array(["", *dataset.labels])
        whole = joined(splits["train"])
        trained, people = set(whole.values.tolist()), set(splits["train"].meta["user"])
        held = {part: set().union(*candidates_of(dataset, part)) for part in ("validation", "test")}
        assert len(held["test"]) == 6 and len(held["validation"]) == 6  # a fifth of 30, a quarter of the 24 others
        assert not trained & (held["test"] | held["validation"]) and not held["test"] & held["validation"]
        for part, hidden in (("test", held["test"]), ("validation", held["test"] | held["validation"])):
            split = splits[part]
            assert not people & set(split.meta["user"]) and len(split)
            candidates = candidates_of(dataset, part)
            for at, user in enumerate(split.meta["user"]):
                had = [int(np.flatnonzero(names == item)[0]) for _, item, time in
                       sorted((row for row in rows if row[0] == user), key=lambda row: int(row[2]))]
                [target] = split.columns["targets"].row(at)
                last = max(place for place, item in enumerate(had) if item in held[part])
                assert target == had[last]
                assert split.columns["history"].row(at).tolist() == [i for i in had[:last] if i not in hidden]
                assert candidates[at] == held[part] - set(had[:last])
        assert any("none of 6 items and 12 people of the test, nor of 6 and 12" in note for note in dataset.notes)
    again = loaded(path, hold_out="items", seed=2, validation=0.25).splits["test"]
    assert rows_of(again.columns["exclude"]) == rows_of(splits["test"].columns["exclude"])


def test_too_few_to_hold_out_are_told(tmp_path):
    with pytest.raises(UserError, match="too few people or items"):
        loaded(written(tmp_path / "t.csv", ["a,x,1,X,", "a,y,2,Y,", "b,x,3,X,"]), hold_out="items")


def test_a_share_is_held_out_of_what_is_left():
    made = cold.parts(3706, Settings(), np.random.default_rng(0))
    assert np.bincount(made).tolist() == [2669, 296, 741]


# The tower

def test_new_items_of_like_attributes_are_scored_alike_and_known_ones_by_who_had_them(tmp_path):
    rows = [row.replace(f"Tale {int(row.split(',')[1][1:])} of", "A tale of") for row in of_taste()]
    made, network, trainer, examples, _ = built(written(tmp_path / "t.csv", rows))
    trainer.compile(keras.optimizers.AdamW(0.01), **made.losses())
    x, y, weight = prepared(made, examples)
    trainer.fit(x, y, sample_weight=weight, epochs=2, verbose=0)
    inputs = made.preprocess({"history": tf.constant([[0, 0, 0, 0, 1, 4, 7, 10]]),
                              "exclude": tf.zeros([1, made.facts["exclude"]], tf.int32)})
    scores, new = network(inputs)["scores"].numpy()[0, 1:], made.facts["counts"] == 0
    genre = np.array([int(label[1:]) % 3 for label in made.facts["labels"]])
    for one in range(3):
        own = scores[new & (genre == one)]
        assert len(own) and np.ptp(own) < 1e-5 < np.ptp(scores[~new & (genre == one)])
    assert not network.get_layer("item_tower").get_weights()[0][1:][new].any()
    encoded = keras.Model(network.input, network.output["encoded"])(inputs).numpy()[0]
    np.testing.assert_allclose(towers.vectors_of(network)[1:] @ encoded, scores, atol=1e-5)


def test_a_share_of_the_items_is_seen_by_attributes_alone_while_training():
    layer = towers.ItemVectors(0.3)
    layer.build((4000, 2))
    layer.set_weights([np.ones((4000, 2))])
    given = layer(np.zeros((4000, 2), np.float32), training=True).numpy()
    assert set(given.ravel()) == {0, 1} and (given[:, 0] == given[:, 1]).all()
    assert given.mean() == pytest.approx(0.7, abs=0.04)  # more than five standard deviations
    assert (layer(np.zeros((4000, 2), np.float32)).numpy() == 1).all()


def test_a_kept_network_is_read_without_its_facts(tmp_path):
    made, network, *_ = built(written(tmp_path / "t.csv", of_taste()))
    network.save(tmp_path / "model.keras")
    inputs = made.preprocess({"history": tf.constant([[0, 0, 0, 0, 1, 4, 7, 10]]), "exclude": tf.constant([[3]])})
    for name, value in keras.models.load_model(tmp_path / "model.keras")(inputs).items():
        np.testing.assert_allclose(value, network(inputs)[name], atol=1e-6)


def test_new_people_of_a_taste_are_given_new_items_of_it(tmp_path):
    made, network, trainer, examples, dataset = built(written(tmp_path / "t.csv", of_taste()))
    trainer.compile(keras.optimizers.Adam(0.02), **made.losses())
    x, y, weight = prepared(made, examples)
    trainer.fit(x, y, sample_weight=weight, epochs=30, verbose=0)
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    test = dataset.splits["test"]
    raws = [{name: test.columns[name].row(row) for name in ("history", "exclude")} for row in range(len(test))]
    for raw, allowed, given in zip(raws, candidates_of(dataset, "test"), answer(raws), strict=True):
        history, best = raw["history"], given["items"][given["items"] > 0].tolist()
        assert set(best) == allowed
        taste = [int(dataset.labels[item - 1][1:]) % 3 == int(dataset.labels[history[0] - 1][1:]) % 3 for item in best]
        assert taste == sorted(taste, reverse=True)


def test_training_gives_items_that_it_lacks_no_chance_and_makes_vectors_once_a_step(tmp_path, monkeypatch):
    made, network, trainer, examples, _ = built(written(tmp_path / "t.csv", of_taste()))
    calls, plain = [], keras.layers.Conv1D.call
    monkeypatch.setattr(keras.layers.Conv1D, "call", lambda self, x: calls.append(1) or plain(self, x))
    x, _, _ = prepared(made, examples)
    scores = trainer(x, training=True).numpy()
    assert len(calls) == 1
    lacking = np.flatnonzero(np.r_[0, made.facts["counts"]] == 0)
    assert len(lacking) == 1 + 6 + 2
    assert (scores[..., lacking] < -1e8).all() and (np.delete(scores, lacking, -1) > -1e3).all()
    assert (np.abs(network(x)["scores"].numpy()[:, lacking]) < 1e3).all()


def test_files_hold_the_items_vectors_and_not_the_tower(tmp_path):
    made, network, *_ = built(written(tmp_path / "t.csv", of_taste()), dilations="1")
    run = answering(APP, predict_with(made, network, details=False), made.inputs, made.facts)
    record = write_saved_model(made, network, tmp_path / "saved", APP.name, APP.shipped(made.facts))
    assert convert(tmp_path / "saved", "float32", tmp_path / "a.tflite", None) is None
    assert operations(tmp_path / "a.tflite")["CONV_2D"] == 1  # of the user's tower
    write_atomically(tmp_path / "b.tflite", pack((tmp_path / "a.tflite").read_bytes(), record, made.facts))
    predictor = TFLitePredictor(tmp_path / "b.tflite")
    raws = [raw_of([]), raw_of([1, 2, 3]), raw_of(list(range(1, 20)))]
    for one, other in zip(run(raws), answering(APP, predictor, predictor.inputs, made.facts)(raws), strict=True):
        np.testing.assert_array_equal(one["items"], other["items"])
        np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-5)


def test_vectors_go_with_their_words_values_and_items_to_another_catalogue(tmp_path):
    first, old, *_ = built(written(tmp_path / "a.csv", of_taste()))
    rows = [f"{user},j{item[1:]},{time},Old {title},old|{genres}" for user, item, time, title, genres in
            (row.split(",") for row in of_taste(seed=1))]
    other, new, *_ = built(written(tmp_path / "b.csv", [*rows, *of_taste(people=12, seed=2)]))
    for layer in old.layers:
        layer.set_weights([np.random.default_rng(0).normal(size=w.shape).astype(w.dtype) if w.dtype != np.int32 else w
                           for w in layer.get_weights()])
    for name, of in (("words", "words"), ("attribute_values", "attribute_values"), ("item_tower", "labels")):
        layer, origin = new.get_layer(name), old.get_layer(name)
        [made], [before], [plain] = other.carried(layer, origin, first), origin.get_weights(), layer.get_weights()
        for row, known in enumerate(other.facts[of], 1):
            want = before[first.facts[of].index(known) + 1] if known in first.facts[of] else plain[row]
            np.testing.assert_array_equal(made[row], want)
    [kept] = other.carried(new.get_layer("item_words"), old.get_layer("item_words"), first)
    np.testing.assert_array_equal(kept, other.facts["item_words"])


# What it must beat

def test_reports_rank_the_candidates_and_compare_with_attributes_popularity_and_chance(tmp_path):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", of_taste()))
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    test = dataset.splits["test"]
    report = score(answer, test, APP.scorer(made.facts), explain=True)
    assert [row["model"] for row in report.tables["baselines"]] == ["this", "attributes", "popularity", "random"]
    assert report.metrics["hit_at_10"] == 1 and report.metrics["hit_at_5"] < 1  # of at most six candidates
    assert report.tables["baselines"][0]["ndcg_at_10"] == pytest.approx(report.metrics["ndcg_at_10"])


def test_likeness_is_the_cosine_of_attributes_and_popularity_is_guessed_from_them():
    values = np.array([[[0, 0], [0, 0]], [[1, 2], [4, 0]], [[2, 0], [4, 0]], [[1, 0], [0, 0]], [[3, 0], [5, 0]]])
    plain = np.zeros((5, 12))
    for item, row in enumerate(values):
        for column, own in enumerate(row):
            for value in own[own > 0]:
                plain[item, 6 * column + value] = (own > 0).sum() ** -0.5
    made = attributes.features(values)
    np.testing.assert_allclose(made, plain, atol=1e-6)
    want = cosine_similarity(plain)[:, [1, 3]].sum(1)
    np.testing.assert_allclose(attributes.likeness(made, np.array([4] * 3 + [1, 3]))[1:4],
                               (want + 3 * cosine_similarity(plain)[:, 4])[1:4], atol=1e-6)
    assert attributes.likeness(made, np.array([4] + [1] * attributes.RECENT))[4] == pytest.approx(
        10 * cosine_similarity(plain)[4, 1])
    guessed = attributes.guessed_popularity(made, np.array([0, 40, 10, 0]))
    assert guessed[1] > 0 and guessed[4] == 0 and guessed[2] > guessed[3]
