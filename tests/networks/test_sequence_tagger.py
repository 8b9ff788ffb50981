"""The tagger: plain compile and fit, and a loss that is its CRF's."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers.crf import CRF
from shared.networks import sequence_tagger
from shared.networks.sequence_tagger import SequenceTagger

WORDS, TAGS, TIME = 30, 4, 9


def tagger(token_loss=0.0, dropout=0.0, **options):
    keras.utils.set_random_seed(0)
    words = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(WORDS, 8, mask_zero=True)(words)
    x = keras.layers.Dropout(dropout)(x)
    return SequenceTagger(words, CRF(TAGS, **options)(keras.layers.Dense(TAGS)(x)), token_loss=token_loss)


def sentences(count=64, seed=0):
    """A third of the words have the tag after that of the word before, which the CRF alone can see; then padding."""
    random = np.random.default_rng(seed)
    words = random.integers(1, WORDS, (count, TIME)).astype("int32")
    labels, before = words % TAGS, TAGS - 1
    for t in range(TIME):
        before = labels[:, t] = np.where(words[:, t] % 3 == 0, (before + 1) % TAGS, labels[:, t])
    padding = np.arange(TIME) >= random.integers(0, TIME + 1, count)[:, None]
    return np.where(padding, 0, words), np.where(padding, -1, labels)


def drawn(model, seed=1):
    """The model with random weights."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def token_cross_entropy(emissions, labels):
    """Sums over the tokens of each sentence, in NumPy."""
    logs = emissions - np.log(np.exp(emissions).sum(-1, keepdims=True))
    return np.array([-sum(row[t, tag] for t, tag in enumerate(tags) if tag >= 0)
                     for row, tags in zip(logs.astype("float64"), labels, strict=True)])


@pytest.mark.parametrize("policy, token_loss", [("float32", 0.0), ("mixed_bfloat16", 0.5)])
def test_plain_compile_and_fit_learn(policy, token_loss):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = tagger(token_loss)
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(keras.optimizers.Adam(0.05))
    words, labels = sentences(256)
    losses = model.fit(words, labels, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert model.crf.transitions.dtype == "float32" and np.abs(model.crf.transitions.numpy()).max() > 0.1
    emissions = model.predict(words, verbose=0)
    assert emissions.dtype == np.float32
    found, _ = model.crf.decode(emissions, (labels >= 0).sum(1))
    assert np.mean(found.numpy()[labels >= 0] == labels[labels >= 0]) > 0.95


@pytest.mark.parametrize("token_loss", [0.0, 0.7])
def test_the_loss_is_the_mean_over_sentences(token_loss):
    model = drawn(tagger(token_loss))
    model.compile("sgd")
    words, labels = sentences(11)
    emissions = model.predict(words, verbose=0)
    each = (-model.crf.log_likelihood(labels, emissions).numpy()
            + token_loss * token_cross_entropy(emissions, labels))
    np.testing.assert_allclose(model.evaluate(words, labels, batch_size=11, verbose=0), each.mean(), rtol=1e-5)
    weights = np.random.default_rng(2).random(11).astype("float32")
    for shape in (11,), (11, 1):
        got = model.evaluate(words, labels, batch_size=11, sample_weight=weights.reshape(shape), verbose=0)
        np.testing.assert_allclose(got, (each * weights).mean(), rtol=1e-5)


def test_losses_of_layers_are_added():
    words = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(WORDS, TAGS, embeddings_regularizer=keras.regularizers.L2(0.1))(words)
    model = drawn(SequenceTagger(words, CRF(TAGS)(x)))
    model.compile("sgd")
    given, labels = sentences(5)
    own = -model.crf.log_likelihood(labels, model(given)).numpy().mean()
    table = model.layers[1].get_weights()[0]
    np.testing.assert_allclose(model.evaluate(given, labels, batch_size=5, verbose=0),
                               own + 0.1 * (table.astype("float64")**2).sum(), rtol=1e-5)


def gradients(model, emissions, labels):
    emissions = tf.constant(emissions)
    variables = [v.value for v in model.crf.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(emissions)
        loss = model.compute_loss(y=labels, y_pred=emissions)
    return loss.numpy(), *(g.numpy() for g in tape.gradient(loss, [emissions, *variables]))


@pytest.mark.parametrize("token_loss", [0.0, 0.7])
@pytest.mark.parametrize("filling", [0.0, 1e30, np.nan])
def test_padding_changes_neither_loss_nor_gradients(token_loss, filling):
    model = drawn(tagger(token_loss))
    _, labels = sentences(8)
    emissions = np.random.default_rng(3).normal(size=(8, TIME, TAGS)).astype("float32")
    want = gradients(model, emissions, labels)
    other = np.where(labels[:, :, None] < 0, np.float32(filling), emissions)
    longer = np.concatenate([other, np.full((8, 13, TAGS), filling, "float32")], 1)
    got = gradients(model, longer, np.pad(labels, [(0, 0), (0, 13)], constant_values=-1))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1][:, :TIME], want[1], atol=1e-6)
    assert not got[1][:, TIME:].any() and not got[1][:, :TIME][labels < 0].any()
    for a, b in zip(got[2:], want[2:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_it_is_saved_and_loaded_with_its_loss(tmp_path):
    model = drawn(tagger(0.5, allowed=np.tri(TAGS), allowed_first=[1, 0, 1, 1]))
    model.compile(keras.optimizers.Adam(0.01))
    words, labels = sentences()
    model.fit(words, labels, verbose=0)
    model.save(tmp_path / "tagger.keras")
    loaded = keras.models.load_model(tmp_path / "tagger.keras", safe_mode=True)
    assert type(loaded) is SequenceTagger and loaded.token_loss == 0.5 and loaded.crf.allowed == model.crf.allowed
    np.testing.assert_array_equal(loaded.predict(words, verbose=0), model.predict(words, verbose=0))
    assert loaded.evaluate(words, labels, verbose=0) == model.evaluate(words, labels, verbose=0)
    loaded.fit(words, labels, verbose=0)
    model.fit(words, labels, verbose=0)
    np.testing.assert_allclose(loaded.predict(words, verbose=0), model.predict(words, verbose=0), atol=1e-5)


def test_it_may_be_compiled_by_xla():
    model = drawn(tagger(0.5))
    _, labels = sentences(8)
    emissions = np.random.default_rng(3).normal(size=(8, TIME, TAGS)).astype("float32")
    compiled = tf.function(lambda: model.compute_loss(y=labels, y_pred=tf.constant(emissions)), jit_compile=True)
    np.testing.assert_allclose(compiled(), model.compute_loss(y=labels, y_pred=emissions), rtol=1e-5)


def test_dropout_is_active_in_training_only():
    model = drawn(tagger(dropout=0.5))
    model.compile(keras.optimizers.SGD(0.0))
    words, labels = sentences(16)
    first, second = (model.fit(words, labels, verbose=0).history["loss"][0] for _ in range(2))
    assert first != second
    assert model.evaluate(words, labels, verbose=0) == model.evaluate(words, labels, verbose=0)


def test_it_needs_a_crf():
    words = keras.Input([None, TAGS])
    with pytest.raises(ValueError, match="one CRF layer"):
        SequenceTagger(words, keras.layers.Dense(TAGS)(words))


def test_the_example_runs():
    names = {"SequenceTagger": SequenceTagger, "CRF": CRF, "keras": keras, "np": np}
    test = doctest.DocTestFinder().find(SequenceTagger, "SequenceTagger", module=sequence_tagger, globs=names)[0]
    assert test.examples and not doctest.DocTestRunner().run(test).failed
