"""Cross-entropy of pixels: scikit-learn and NumPy are the references."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss

from shared.losses.pixel_cross_entropy import PixelCrossEntropy

SHAPE, CLASSES = (3, 4, 5), 4


def example(void=255, seed=0):
    """Labels, a quarter void, logits and sample weights."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, SHAPE)
    labels[random.random(SHAPE) < 0.25] = void
    return labels, random.normal(size=(*SHAPE, CLASSES)).astype("float32") * 2, random.random(SHAPE).astype("float32")


def chances(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True), dtype="float64")
    return powers / powers.sum(-1, keepdims=True)


def oracle(labels, logits, sample_weight=None, void=255, class_weights=None, focal=0.0, label_smoothing=0.0):
    """Pixel by pixel."""
    above = below = 0.0
    for place, label in np.ndenumerate(labels):
        if label == void:
            continue
        p = chances(logits[place])
        weight = (class_weights or [1] * CLASSES)[label] * (1 if sample_weight is None else sample_weight[place])
        truth = np.eye(CLASSES)[label] * (1 - label_smoothing) + label_smoothing / CLASSES
        above += weight * -(truth * np.log(p)).sum() * (1 - p[label]) ** focal
        below += weight
    return above / below


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [
    {}, {"class_weights": [0.5, 2.0, 0.0, 1.0]}, {"focal": 2.0}, {"focal": 0.5}, {"label_smoothing": 0.1},
    {"void": 9}, {"class_weights": [1, 2, 3, 4], "focal": 1.5, "label_smoothing": 0.2}])
def test_it_is_the_sum_over_pixels(options, weighted):
    labels, logits, weights = example(options.get("void", 255))
    weights = weights if weighted else None
    got = PixelCrossEntropy(**options)(labels, logits, weights)
    assert got.dtype == tf.float32 and got.shape == ()
    np.testing.assert_allclose(got, oracle(labels, logits, weights, **options), rtol=1e-5)


def test_it_is_the_log_loss_of_scikit_learn():
    labels, logits, weights = example()
    counts = labels != 255
    want = log_loss(labels[counts], chances(logits[counts]), sample_weight=weights[counts], labels=range(CLASSES))
    np.testing.assert_allclose(PixelCrossEntropy()(labels, logits, weights), want, rtol=1e-5)


OPTIONS = [{}, {"focal": 2.0, "class_weights": [1, 2, 3, 4]}, {"label_smoothing": 0.1, "focal": 1.0}]


@pytest.mark.parametrize("options", OPTIONS)
def test_its_gradient_is_that_of_finite_differences(options):
    labels, logits, weights = example()
    loss = PixelCrossEntropy(**options)
    # Small, so that float32 differences of a mean of few pixels carry digits.
    labels, weights = labels[:1, :2, :3], weights[:1, :2, :3]
    theory, numeric = tf.test.compute_gradient(lambda z: loss(labels, z, weights), [logits[:1, :2, :3]], delta=1e-2)
    np.testing.assert_allclose(theory[0], numeric[0], atol=1e-3)
    assert np.abs(theory[0]).max() > 0.02


@pytest.mark.parametrize("options", OPTIONS)
def test_logits_under_void_change_nothing(options):
    labels, logits, weights = example()
    loss = PixelCrossEntropy(**options)
    changed = np.where((labels == 255)[..., None], 100 * logits[::-1], logits)
    assert float(loss(labels, logits, weights)) == float(loss(labels, changed, weights))
    changed = tf.constant(changed)
    with tf.GradientTape() as tape:
        tape.watch(changed)
        value = loss(labels, changed, weights)
    gradient = tape.gradient(value, changed).numpy()
    assert not gradient[labels == 255].any() and gradient[labels != 255].any()


@pytest.mark.parametrize("options", OPTIONS)
def test_a_batch_of_void_gives_nothing(options):
    logits = tf.constant(example()[1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = PixelCrossEntropy(**options)(np.full(SHAPE, 255), logits)
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, logits), 0)


def test_a_sure_answer_has_a_finite_focal_gradient():
    logits = tf.constant([[[[200.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = PixelCrossEntropy(focal=0.5)(np.zeros((1, 1, 1)), logits)
    assert np.isfinite(tape.gradient(value, logits)).all()


def test_it_runs_in_a_graph_on_float_labels_and_bfloat16_logits():
    labels, logits, weights = example()
    loss = PixelCrossEntropy(focal=2.0)
    got = tf.function(loss)(tf.constant(labels, "float32"), tf.cast(logits, "bfloat16"), tf.constant(weights))
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, loss(labels, logits, weights), rtol=0.02)


def test_a_model_is_fitted_with_it():
    keras.utils.set_random_seed(0)
    labels, images, weights = example()
    model = keras.Sequential([keras.Input((*SHAPE[1:], CLASSES)), keras.layers.Conv2D(CLASSES, 1)])
    model.compile(keras.optimizers.SGD(0.1), PixelCrossEntropy())
    want = float(PixelCrossEntropy()(labels, model(images), weights))
    history = model.fit(images, labels, sample_weight=weights, epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], want, rtol=1e-5)
    assert history[-1] < history[0]


def test_it_is_serialised():
    loss = PixelCrossEntropy(void=7, class_weights=(1, 2), focal=2.0, label_smoothing=0.1, name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is PixelCrossEntropy and again.get_config() == loss.get_config()
    assert again.name == "mine" and again.class_weights == [1.0, 2.0] and again.void == 7
