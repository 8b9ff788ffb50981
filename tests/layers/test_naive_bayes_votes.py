"""Votes begin as naive Bayes, as scikit-learn has it, and are one table in a file."""

import keras
import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from shared.layers.naive_bayes_votes import NaiveBayesVotes


def counted(classes, features=7, seed=0):
    """Texts of features 1 to 6, their classes, and the counts of both."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, 60)
    texts = np.where(random.random((60, 5)) < 0.5, labels[:, None] + 1, random.integers(1, features, (60, 5)))
    counts = np.zeros((features, classes))
    np.add.at(counts, (texts, labels[:, None]), 1)
    return texts, labels, counts


def test_two_classes_vote_as_naive_bayes():
    texts, labels, counts = counted(2)
    votes = NaiveBayesVotes(7, 2)
    votes.build((None, 5))
    votes.set_counts(counts)
    bags = np.stack([np.bincount(text, minlength=7) for text in texts])[:, 1:]
    bayes = MultinomialNB(fit_prior=False).fit(bags, labels)
    # Of two classes a log-count ratio is counted once for and once against.
    margin = np.asarray(votes(texts)).sum(1)[:, 1]
    expected = np.diff(bayes.predict_joint_log_proba(bags), axis=1)[:, 0]
    # scikit-learn's classes have no padding, whose smoothing shifts every ratio alike.
    shift = np.log((counts.sum(0) + 7) / (counts.sum(0) + 6))
    np.testing.assert_allclose(margin, expected - 5 * (shift[1] - shift[0]), atol=1e-4)


def test_each_of_more_classes_stands_against_all_others():
    texts, labels, counts = counted(3)
    votes = NaiveBayesVotes(7, 3, scale=2.0)
    votes.build((None, 5))
    votes.set_counts(counts)
    smooth = counts + 1
    own = smooth / smooth.sum(0)
    rest = smooth.sum(1, keepdims=True) - smooth
    np.testing.assert_allclose(votes(np.arange(1, 7)), 2 * np.log(own / (rest / rest.sum(0)))[1:], rtol=1e-5)
    np.testing.assert_array_equal(votes(np.array([0])), [[0, 0, 0]])


def test_only_the_weights_are_trained():
    texts, labels, counts = counted(2)
    inputs = keras.Input([None], dtype="int32")
    votes = NaiveBayesVotes(7, 2, scale=0.0)
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(votes(inputs)))
    votes.set_counts(counts)
    before = np.array(votes.ratios)
    network.compile(keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    first = network.evaluate(texts, labels, verbose=0)
    network.fit(texts, labels, epochs=5, verbose=0)
    assert first == pytest.approx(np.log(2)) and network.evaluate(texts, labels, verbose=0) < first - 0.01
    np.testing.assert_array_equal(votes.ratios, before)


def test_it_is_saved_and_loaded(tmp_path):
    texts, _, counts = counted(3)
    inputs = keras.Input([None], dtype="int32")
    network = keras.Model(inputs, NaiveBayesVotes(7, 3, scale=0.5)(inputs))
    network.layers[1].set_counts(counts)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert loaded.layers[1].get_config() == network.layers[1].get_config()
    np.testing.assert_array_equal(loaded(texts), network(texts))


def test_a_file_has_one_table(tflite):
    """Ratios and weights are multiplied when the file is made: 4 bytes a feature and class, not 8."""
    inputs = keras.Input([9], batch_size=1, dtype="int32")
    network = keras.Model(inputs, NaiveBayesVotes(5000, 2)(inputs))
    network.layers[1].set_counts(np.random.default_rng(0).integers(0, 99, (5000, 2)))
    file = tflite.convert(network)
    ids = np.arange(9, dtype=np.int32)[None]
    np.testing.assert_allclose(tflite.run(file, ids), network(ids), rtol=1e-6)
    assert 40_000 < len(file) < 50_000
