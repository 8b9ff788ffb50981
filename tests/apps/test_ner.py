"""Named entities: pieces of long texts, shapes of words, spans in the graph, and that padding changes no answer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.ner.app import Ner, Settings
from apps.ner.model import shapes, spans
from apps.ner.networks import ENCODERS
from apps.ner.pieces import pieces
from shared.data import plain_tokens
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.plain_tokens import token_bounds
from shared.data.tag_schemes import entities, tag_names, to_bioes
from shared.data.text_bytes import to_bytes
from shared.errors import UserError
from shared.evaluation.answering import answering

APP = Ner()
LABELS = ["LOC", "PER"]
NAMES = tag_names(LABELS)
SENTENCES = [("Angela Merkel besuchte Peking .", "B-PER E-PER O S-LOC O"), ("我 在 北 京", "O O B-LOC E-LOC"),
             ("nobody came", "O O"), ("U.S. troops left Rio de Janeiro", "S-LOC O O B-LOC I-LOC E-LOC"),
             ("EU", "S-LOC"), ("A b C3 42 McX", "O S-PER O O O")]


def dataset(own=True):
    texts = ["".join(word + "\x1f" for word in text.split()) if own else text for text, _ in SENTENCES]
    tags = [[NAMES.index(tag) for tag in tags.split()] for _, tags in SENTENCES]
    column = Ragged(np.array(sum(tags, []), np.int32), np.cumsum([0, *map(len, tags)]), -1)
    split = Split({"text": to_bytes(texts), "tags": column}, {"file": ["test"] * len(texts)})
    return Dataset("test", {"train": split, "validation": split}, LABELS)


def settings(**options):
    return Settings(**{"data": "x", "min_count": 1, "dimension": 8, "filters": 8, "depth": 2, "character_filters": 4,
                       "character_dimension": 4, **options})


def built(**options):
    asked, data = settings(**options), dataset()
    return APP.build(asked, APP.learn_facts(asked, data.splits["train"], data)), data


def test_spans_are_those_that_the_tags_mean():
    dice = np.random.default_rng(0)
    rows, want = [], []
    for _ in range(50):
        length, found, at = int(dice.integers(0, 12)), [], 0
        while (start := at + int(dice.integers(0, 3))) < length:
            at = min(length, start + int(dice.integers(1, 4)))
            found.append((start, at, LABELS[dice.integers(2)]))
        rows.append([NAMES.index(tag) for tag in to_bioes(found, length)] + [-1] * (12 - length))
        want.append(found)
    sizes = dice.integers(1, 9, (50, 12))
    offsets = np.cumsum(sizes + 1, 1) - sizes
    made = {name: value.numpy() for name, value in spans(
        tf.constant(rows, tf.int32), tf.constant(offsets, tf.int32), tf.constant(sizes, tf.int32)).items()}
    for row, found in enumerate(want):
        assert made["span_count"][row] == len(found)
        for place, (start, end, kind) in enumerate(found):
            assert LABELS[made["span_type"][row, place]] == kind
            assert made["span_start"][row, place] == offsets[row, start]
            assert made["span_length"][row, place] == offsets[row, end - 1] + sizes[row, end - 1] - offsets[row, start]
        assert all((made[name][row, len(found):] == -1).all() for name in ("span_type", "span_start", "span_length"))


@pytest.mark.parametrize("word,shape", [("", 0), ("word", 1), ("Word", 2), ("NATO", 3), ("McX", 4), ("1984", 5),
                                        ("B52", 6), ("I", 7), ("U.S.", 3), ("3.14", 5), ("北", 1), ("Ärger", 2),
                                        ("iPhone", 4), (",", 1)])
def test_shapes_say_how_words_are_written(word, shape):
    low = [ord(c.lower()) for c in word] + [0] * (8 - len(word))
    large = [int(c != c.lower()) for c in word] + [0] * (8 - len(word))
    assert shapes(tf.constant([[low]]), tf.constant([[large]])).numpy().tolist() == [[shape]]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("most_bytes,most_tokens", [(16, 4), (40, 3), (64, 64), (16, 16)])
def test_pieces_hold_all_tokens_and_fit(own, most_bytes, most_tokens):
    words = ["The", "2nd", "café", "in", "東", "京", ",", "déjà-vu", "!", "opened", "1984", "naïvement"]
    text = "".join(word + "\x1f" for word in words).encode() if own else " ".join(words).encode()
    array = np.frombuffer(text, np.uint8)
    every, found = token_bounds(text), []
    for piece in pieces(array, most_bytes, most_tokens):
        inside = token_bounds(piece.text.tobytes())
        assert len(piece.text) <= most_bytes and len(inside) <= most_tokens
        if piece.last >= 0:
            assert len(inside) == piece.last - piece.first
        found += [(start + piece.start, end + piece.start) for start, end in inside]
    assert found == every


def test_a_word_longer_than_a_piece_is_cut_and_stays_one_token():
    text = ("é" * 40 + "\x1fb\x1f").encode()
    found = pieces(np.frombuffer(text, np.uint8), 32, 8)
    assert [token_bounds(piece.text.tobytes()) for piece in found] == [[(0, 30)], [(0, 1)]]
    assert [len(piece.text) <= 32 for piece in found] == [True, True] and found[1].start == 81
    [first, second] = pieces(np.frombuffer(("é" * 40 + " b").encode(), np.uint8), 32, 8)
    assert len(first.text) == 32 and second.text.tobytes() == b"b"


def test_answers_to_pieces_are_joined_where_they_belong():
    """A predictor that takes each word of capitals for a place."""
    facts = built(max_tokens=4)[0].facts

    def predict(raw):
        rows = []
        for row in raw["text"]:
            text = row.astype(np.uint8).tobytes().rstrip(b"\0")
            bounds = token_bounds(text)
            is_name = [text[start:end].isupper() for start, end in bounds]
            names = [bound for bound, name in zip(bounds, is_name, strict=True) if name]
            columns = {"tags": [NAMES.index("S-LOC") if name else 0 for name in is_name],
                       "offsets": [start for start, _ in bounds], "lengths": [end - start for start, end in bounds],
                       "confidences": [0.5] * len(bounds), "span_type": [0] * len(names),
                       "span_start": [start for start, _ in names],
                       "span_length": [end - start for start, end in names]}
            made = {name: np.array((values + [-1] * 4)[:4]) for name, values in columns.items()}
            rows.append({**made, "count": np.array(len(bounds)), "span_count": np.array(len(names))})
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    text = "first EU then UN and so on until NATO, é EFTA"
    raw = APP.read_input(text, facts)
    [answer] = answering(APP, predict, {"text": None}, facts)([raw])
    rows = APP.to_json(raw, answer, facts)["entities"]
    assert [row["text"] for row in rows] == ["EU", "UN", "NATO", "EFTA"]
    plain = text.encode()
    assert all(plain[row["start_byte"]:row["end_byte"]].decode() == text[row["start"]:row["end"]] == row["text"]
               and row["confidence"] == 0.5 for row in rows)
    assert "[EFTA LOC 50 %]" in APP.show(raw, answer, facts)


@pytest.mark.parametrize("model,pairs", [("idcnn", 0), ("cnn", 0), ("bilstm", 0), ("idcnn", 50)])
def test_padding_changes_no_answer(model, pairs):
    tagger, data = built(model=model, pairs=pairs)
    network = tagger.network()
    for variable in network.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape) * 0.3)
    inputs = tagger.preprocess({"text": tf.constant(data.splits["train"].columns["text"][np.arange(6)], tf.int32)})
    wide = network(inputs).numpy()
    count = (inputs["ids"].numpy() > 0).sum(1)
    for row in range(6):
        alone = network({name: value[row:row + 1, :count[row]] for name, value in inputs.items()}).numpy()
        np.testing.assert_allclose(wide[row, :count[row]], alone[0], atol=1e-5)
    inputs["pairs"] = inputs["pairs"] + tf.cast(inputs["pairs"] > 0, tf.int32)
    assert np.array_equal(network(inputs), wide) == (not pairs)


@pytest.mark.parametrize("model", sorted(ENCODERS))
def test_every_network_trains(model):
    tagger, data = built(model=model)
    trainer = tagger.trainer(tagger.network(), data.splits["train"])
    trainer.compile("sgd", **tagger.losses())
    columns = data.splits["train"].columns
    inputs = tagger.preprocess({"text": tf.constant(columns["text"][np.arange(6)], tf.int32)})
    tags = tf.constant(columns["tags"][np.arange(6)], tf.int32)
    tags = tf.pad(tags, [[0, 0], [0, tf.shape(inputs["ids"])[1]]], constant_values=-1)[:, :tf.shape(inputs["ids"])[1]]
    first = trainer.evaluate(inputs, tags, verbose=0, return_dict=True)
    trainer.fit(inputs, tags, epochs=2, verbose=0)
    assert trainer.evaluate(inputs, tags, verbose=0, return_dict=True)["loss"] < first["loss"]
    assert 0 <= first["tag_accuracy"] <= 1


def test_the_graphs_answers_are_legal_and_in_their_places():
    tagger, data = built()
    network = tagger.network()
    for variable in network.trainable_variables:
        variable.assign(np.random.default_rng(2).normal(size=variable.shape))
    text = data.splits["train"].columns["text"]
    raw = np.zeros((6, tagger.facts["max_bytes"]), np.int32)
    for row in range(6):
        raw[row, :len(text.row(row))] = text.row(row)
    made = {name: value.numpy() for name, value in tagger.pipeline(network)({"text": tf.constant(raw)}).items()}
    for row in range(6):
        count = made["count"][row]
        bounds = token_bounds(text.row(row).tobytes())
        assert count == len(bounds)
        names = [NAMES[tag] for tag in made["tags"][row, :count]]
        assert to_bioes(entities(names), count) == names  # nothing that means nothing
        assert [(int(a), int(a + b)) for a, b in zip(made["offsets"][row, :count], made["lengths"][row, :count],
                                                     strict=True)] == bounds
        assert ((made["confidences"][row, :count] > 0) & (made["confidences"][row, :count] <= 1.0001)).all()
        assert all((made[name][row, count:] == -1).all() for name in ("tags", "offsets", "lengths", "confidences"))


def test_facts_hold_no_entity_of_the_training_data():
    facts = built()[0].facts
    assert str(facts.values).count("merkel") == 1  # among the words
    scorer = APP.scorer(facts)
    assert ("angela merkel", "PER") in scorer.known and ("angela merkel", "LOC") not in scorer.known
    assert ("peking", "LOC") in scorer.known and ("paris", "LOC") not in scorer.known


def test_long_sentences_are_trained_on_in_pieces():
    tagger, data = built(max_tokens=2)
    made = tagger.examples(data.splits["train"])
    whole = data.splits["train"].columns["tags"].values
    np.testing.assert_array_equal(made.columns["tags"].values, whole)
    for row in range(len(made)):
        assert len(made.columns["tags"].row(row)) <= 2
        words = plain_tokens.words(made.columns["text"].row(row).tobytes().decode(), "\x1f")
        assert len(words) == len(made.columns["tags"].row(row))
    target = tagger.target({"tags": tf.constant(made.columns["tags"][np.arange(len(made))])})
    assert target.shape == (len(made), 2)


def test_dropped_words_become_unknown_and_padding_stays():
    tagger, _ = built(word_dropout=0.5)
    ids = tf.constant([[5, 6, 7, 8, 0, 0]] * 200)
    made, _, _ = tagger.augment({"ids": ids}, None, None, tf.constant(np.arange(200), tf.uint32))
    got = made["ids"].numpy()
    assert (got[:, 4:] == 0).all() and 0.4 < (got[:, :4] == 1).mean() < 0.6


def test_training_learns_the_sentences_by_heart():
    tagger, data = built(word_dropout=0.0, dropout=0.0, word_vector_dropout=0.0, character_dropout=0.0)
    keras.utils.set_random_seed(0)
    network = tagger.network()
    train = tagger.examples(data.splits["train"])
    trainer = tagger.trainer(network, train)
    trainer.compile(keras.optimizers.Adam(0.02), **tagger.losses())
    columns = train.take(np.arange(len(train)))
    inputs = tagger.preprocess({"text": tf.constant(columns["text"], tf.int32)})
    target = tagger.target({"tags": tf.constant(columns["tags"])})
    trainer.fit(inputs, target, epochs=80, batch_size=6, verbose=0)
    tags = tagger.postprocess(network(inputs), inputs, network)["tags"].numpy()
    np.testing.assert_array_equal(tags, target)


def test_words_begin_with_the_vectors_and_those_of_the_file_fill_the_vocabulary(tmp_path):
    (tmp_path / "v.txt").write_text("merkel 1 2\nelsewhere 3 4\nfar 5 6\n", "utf-8")
    tagger, data = built(embeddings=str(tmp_path / "v.txt"), min_count=3, vocabulary=2)
    assert sorted(tagger.tokens.words) == ["elsewhere", "merkel"] and tagger.facts["dimension"] == 2
    network = tagger.network()
    tagger.trainer(network, data.splits["train"])
    table = network.get_layer("words").get_weights()[0][1 + tagger.tokens.buckets:]
    ratio = table[tagger.tokens.words.index("merkel")] / [1, 2]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-5)
    assert np.sqrt((table[tagger.tokens.words.index("merkel")] ** 2).sum() / (1 + 4)) == pytest.approx(
        0.4 / np.sqrt((1 + 4 + 9 + 16) / 4), rel=1e-5)
    with pytest.raises(UserError, match="needs word vectors"):
        APP.check(settings(vectors="static"))
    with pytest.raises(UserError, match="no such file"):
        APP.check(settings(embeddings="nowhere.txt"))
