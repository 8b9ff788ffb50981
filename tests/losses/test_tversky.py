"""Tversky's index: Keras and a sum over pixels are the references."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.losses.tversky import Tversky

SHAPE, CLASSES = (3, 4, 5), 5


def example(void=255, seed=0):
    """Labels of all classes but the last, a quarter void, logits and sample weights."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES - 1, SHAPE)
    labels[random.random(SHAPE) < 0.25] = void
    return labels, random.normal(size=(*SHAPE, CLASSES)).astype("float32"), random.random(SHAPE).astype("float32")


def chances(logits):
    powers = np.exp(logits, dtype="float64")
    return powers / powers.sum(-1, keepdims=True)


def oracle(labels, logits, sample_weight=None, alpha=0.5, beta=0.5, smooth=1.0, void=255):
    hit, false_positive, false_negative = np.zeros((3, CLASSES))
    for place, label in np.ndenumerate(labels):
        if label == void:
            continue
        weight = 1 if sample_weight is None else sample_weight[place]
        for k, p in enumerate(chances(logits[place])):
            if k == label:
                hit[k] += weight * p
                false_negative[k] += weight * (1 - p)
            else:
                false_positive[k] += weight * p
    index = (hit + smooth) / (hit + alpha * false_positive + beta * false_negative + smooth)
    return np.mean([1 - index[k] for k in range(CLASSES) if k in labels])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.2, "beta": 0.9}, {"smooth": 0.0}, {"smooth": 20.0}, {"void": 9}])
def test_it_is_the_sum_over_pixels(options, weighted):
    labels, logits, weights = example(options.get("void", 255))
    weights = weights if weighted else None
    got = Tversky(**options)(labels, logits, weights)
    assert got.dtype == tf.float32 and got.shape == ()
    np.testing.assert_allclose(got, oracle(labels, logits, weights, **options), rtol=1e-5)


@pytest.mark.parametrize("alpha, beta", [(0.5, 0.5), (0.3, 0.7), (1.0, 1.0)])
def test_it_is_that_of_keras_whose_alpha_weighs_false_negatives(alpha, beta):
    _, logits, _ = example()
    labels = np.arange(logits[..., 0].size).reshape(SHAPE) % CLASSES
    want = keras.losses.tversky(np.eye(CLASSES)[labels], chances(logits), alpha=beta, beta=alpha, axis=(0, 1, 2))
    np.testing.assert_allclose(Tversky(alpha, beta, smooth=0.0)(labels, logits), np.mean(want), rtol=1e-5)


def test_its_default_weights_are_the_dice_loss_of_keras():
    _, logits, _ = example()
    labels = np.arange(logits[..., 0].size).reshape(SHAPE) % CLASSES
    want = keras.losses.dice(np.eye(CLASSES)[labels], chances(logits), axis=(0, 1, 2))
    np.testing.assert_allclose(Tversky(smooth=0.0)(labels, logits), np.mean(want), rtol=1e-5)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_its_gradient_is_that_of_finite_differences(smooth):
    labels, logits, weights = example()
    loss = Tversky(0.3, 0.7, smooth)
    labels, weights = labels[:1, :2, :3], weights[:1, :2, :3]
    theory, numeric = tf.test.compute_gradient(lambda z: loss(labels, z, weights), [logits[:1, :2, :3]], delta=1e-2)
    np.testing.assert_allclose(theory[0], numeric[0], atol=3e-4)
    assert np.abs(theory[0]).max() > 0.01


def test_logits_under_void_change_nothing():
    labels, logits, weights = example()
    changed = np.where((labels == 255)[..., None], 100 * logits[::-1], logits)
    assert float(Tversky()(labels, logits, weights)) == float(Tversky()(labels, changed, weights))
    changed = tf.constant(changed)
    with tf.GradientTape() as tape:
        tape.watch(changed)
        value = Tversky()(labels, changed, weights)
    gradient = tape.gradient(value, changed).numpy()
    assert not gradient[labels == 255].any() and gradient[labels != 255].any()


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_a_batch_of_void_gives_nothing(smooth):
    logits = tf.constant(example()[1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = Tversky(smooth=smooth)(np.full(SHAPE, 255), logits)
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, logits), 0)


def test_a_class_whose_pixels_weigh_nothing_is_left_out():
    labels, logits, _ = example()
    got = Tversky()(labels, logits, (labels != 2).astype("float32"))
    np.testing.assert_allclose(got, oracle(np.where(labels == 2, 255, labels), logits), rtol=1e-5)


def test_a_sure_and_right_answer_costs_nothing():
    labels = example()[0]
    logits = 100 * np.eye(CLASSES, dtype="float32")[np.where(labels == 255, 0, labels)]
    np.testing.assert_allclose(Tversky()(labels, logits), 0, atol=1e-6)


def test_it_runs_in_a_graph_on_float_labels_and_bfloat16_logits():
    labels, logits, weights = example()
    got = tf.function(Tversky())(tf.constant(labels, "float32"), tf.cast(logits, "bfloat16"), tf.constant(weights))
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, Tversky()(labels, logits, weights), rtol=0.02)


def test_it_is_serialised():
    loss = Tversky(0.1, 0.2, 3.0, 7, "mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is Tversky and again.get_config() == loss.get_config()
    assert (again.alpha, again.beta, again.smooth, again.void, again.name) == (0.1, 0.2, 3.0, 7, "mine")
