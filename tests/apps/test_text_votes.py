"""Votes beside the network: the fit by an optimizer of SciPy's, the layer by NumPy, the counts by a plain loop."""

from collections import Counter

import keras
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from apps.text.app import Settings, Text
from apps.text.networks import Votes
from apps.text.votes import STRENGTHS, best_strength, fit_votes, fitted
from shared.data.text_bytes import decoded

APP = Text()


def planted(classes, texts=90, features=8, seed=0):
    """Counts in which feature 1 + class tells the class of most texts; feature 0 is padding and never counted."""
    random = np.random.default_rng(seed)
    labels = np.arange(texts) % classes
    counts = random.poisson(0.5, (texts, features))
    counts[np.arange(texts), 1 + labels] += random.poisson(1.5, texts)
    counts[:, 0] = 0
    return counts.astype(np.float32), labels


def test_the_fit_is_the_penalised_regression_on_log_count_ratios():
    counts, labels = planted(3)
    features = counts / np.sqrt(np.maximum(counts.sum(1, keepdims=True), 1))
    votes, bias = fitted(sparse.csr_array(features), labels, 3, strength=10.0)
    for label in range(3):
        own = labels == label
        seen = [1 + (counts[rows] > 0).sum(0) for rows in (own, ~own)]
        ratio = np.log(seen[0] / seen[0].sum() / (seen[1] / seen[1].sum()))
        rows, signs = np.column_stack([features * ratio, np.ones(len(labels))]), np.where(own, 1, -1)

        def loss(weights, rows=rows, signs=signs):
            return 0.5 * weights @ weights + 10 * np.logaddexp(0, -signs * (rows @ weights)).sum()
        best = minimize(loss, np.zeros(9), tol=1e-10).x
        np.testing.assert_allclose(votes[:, label], ratio * best[:-1], atol=0.02)
        np.testing.assert_allclose(bias[label], best[-1], atol=0.02)


def test_two_classes_need_one_regression():
    counts, labels = planted(2)
    votes, bias = fit_votes(sparse.csr_array(counts), labels, 2)
    assert not votes[:, 0].any() and bias[0] == 0
    assert votes[2, 1] > 0.2 > -0.2 > votes[1, 1]


def test_the_strength_is_the_best_on_texts_held_out():
    """Loud noise: what fits the training texts closely is wrong elsewhere."""
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    noise = random.poisson(0.05, (120, 400))
    signal = (random.random(120) < np.where(labels, 0.75, 0.25)).astype(int)
    counts = np.column_stack([np.zeros(120, int), signal, 1 - signal, noise]).astype(np.float32)
    features = sparse.csr_array(counts / np.sqrt(counts.sum(1, keepdims=True)))
    fresh = np.zeros((2, counts.shape[1]), np.float32)
    fresh[0, 2] = fresh[1, 1] = 1
    chosen = best_strength(features, labels, 2)
    votes, bias = fitted(features, labels, 2, chosen)
    assert chosen < STRENGTHS[-1] and (fresh @ votes + bias).argmax(1).tolist() == [0, 1]


def test_classes_without_texts_have_no_votes():
    counts, labels = planted(2)
    votes, bias = fit_votes(sparse.csr_array(counts), labels, 4)
    assert votes[:, :2].any() and not votes[:, 2:].any() and not bias[2:].any()
    votes, bias = fit_votes(sparse.csr_array(counts), np.zeros(len(counts), int), 2)
    assert not votes.any() and not bias.any()


def test_the_layer_sums_votes_over_the_root_of_their_number():
    random = np.random.default_rng(0)
    layer = Votes(9, 3)
    layer.build((None, None))
    votes, bias = random.normal(size=(9, 3)).astype(np.float32), random.normal(size=3).astype(np.float32)
    votes[0] = 0
    layer.set_weights([votes, bias])
    ids = np.array([[3, 8, 3, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    want = [votes[[3, 8, 3]].sum(0) / np.sqrt(3) + bias, votes[1:6].sum(0) / np.sqrt(5) + bias, bias]
    np.testing.assert_allclose(layer(ids), want, rtol=1e-5)


@pytest.mark.parametrize("longest", [2, 4])
def test_words_and_runs_of_each_text_are_counted_and_the_network_adds_their_votes(longest):
    settings = Settings(data="sample", pairs=64, longest_run=longest, limit=40, dimension=4, filters=2, widths="1",
                        buckets=3, min_count=2)
    dataset = APP.dataset(settings)
    train = dataset.splits["train"]
    model = APP.build(settings, APP.learn_facts(settings, train, dataset))
    examples = model.examples(train)
    counts = model.counts(examples)
    made = model.preprocess({"text": np.stack([np.resize(np.append(row, np.zeros(999)), 999)[:model.facts["max_bytes"]]
                                               for row in (examples.columns["text"].row(i) for i in range(40))]
                                              ).astype(np.int32)})
    for row in range(40):
        want = Counter(int(i) for i in made["ids"][row] if i)
        want += Counter(model.tokens.size + int(i) for i in made["pairs"][row] if i)
        [places] = counts[[row]].toarray()
        got = Counter({int(i): int(places[i]) for i in np.flatnonzero(places)})
        text = decoded(train.columns["text"].row(row))
        if longest == 2:
            assert got == want, text
        else:
            size = np.count_nonzero(made["ids"][row])
            assert got >= want and got.total() == sum(max(0, size - less) for less in range(longest)), text

    network = model.network()
    trainer = model.trainer(network, examples)
    assert not {"votes"} & {layer.name for layer in trainer.layers}
    inputs = {name: np.array(ids) for name, ids in made.items()}
    votes, bias = network.get_layer("votes").get_weights()
    own = counts.toarray() @ votes / np.sqrt(counts.sum(1))[:, None] + bias
    np.testing.assert_allclose(network(inputs), np.array(trainer(inputs)) + own, atol=1e-4)
    assert (own.argmax(1) == train.columns["label"]).mean() > 0.9


def test_words_carry_their_vectors_to_another_vocabulary():
    def built(limit, **options):
        settings = Settings(data="sample", limit=limit, dimension=4, filters=2, widths="1", min_count=1, **options)
        dataset = APP.dataset(settings)
        model = APP.build(settings, APP.learn_facts(settings, dataset.splits["train"], dataset))
        return model, model.network()
    keras.utils.set_random_seed(0)
    (old, source), (new, network) = built(30), built(60)
    layer, origin = network.get_layer("words"), source.get_layer("words")
    before, [table] = layer.get_weights()[0], new.carried(layer, origin, old)
    first = 1 + new.settings.buckets
    assert set(new.tokens.words) - set(old.tokens.words) and set(new.tokens.words) & set(old.tokens.words)
    for row, word in enumerate(new.tokens.words, first):
        want = (origin.get_weights()[0][first + old.tokens.words.index(word)] if word in old.tokens.words
                else before[row])
        np.testing.assert_array_equal(table[row], want)
