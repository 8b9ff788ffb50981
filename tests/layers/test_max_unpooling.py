"""Unpooling: a scatter by the places of `tf.nn.max_pool_with_argmax` is the reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers.max_pooling_with_indices import MaxPoolingWithIndices
from shared.layers.max_unpooling import MaxUnpooling


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def scattered(images, values):
    """Values at the first maximum of each window of the images."""
    _, places = tf.nn.max_pool_with_argmax(images, 2, 2, "VALID", include_batch_in_index=True)
    flat = tf.scatter_nd(tf.reshape(places, [-1, 1]), tf.reshape(values, [-1]), [tf.size(images, out_type=tf.int64)])
    return tf.reshape(flat, images.shape)


IMAGES = [noise(2, 6, 8, 3), np.maximum(noise(2, 6, 8, 3), 0), np.round(noise(2, 6, 8, 3)), np.zeros((2, 6, 8, 3))]


@pytest.mark.parametrize("images", IMAGES)
def test_it_is_a_scatter(images):
    values = noise(2, 3, 4, 3, seed=1)
    _, indices = MaxPoolingWithIndices()(images)
    np.testing.assert_array_equal(MaxUnpooling()([values, indices]), scattered(images.astype("float32"), values))


@pytest.mark.parametrize("images", IMAGES)
def test_its_gradient_is_that_of_the_scatter(images):
    images, values = tf.constant(images, "float32"), tf.constant(noise(2, 3, 4, 3, seed=1))
    weights = noise(2, 6, 8, 3, seed=2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([images, values])
        pooled, indices = MaxPoolingWithIndices()(images)
        ours = tf.reduce_sum(MaxUnpooling()([values * pooled, indices]) * weights)
        reference = tf.reduce_sum(scattered(images, values * tf.nn.max_pool2d(images, 2, 2, "VALID")) * weights)
    for source in images, values:
        np.testing.assert_allclose(tape.gradient(ours, source), tape.gradient(reference, source), atol=1e-6)


def test_indices_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="of 8 channels"):
        MaxUnpooling()([np.zeros((1, 4, 4, 2)), np.zeros((1, 4, 4, 2))])


def segnet():
    """Two levels of SegNet."""
    keras.utils.set_random_seed(0)
    layers, images = keras.layers, keras.Input((16, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(images)
    x, first = MaxPoolingWithIndices()(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x, second = MaxPoolingWithIndices()(x)
    x = layers.Conv2D(8, 3, padding="same")(MaxUnpooling()([x, second]))
    placed = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    return keras.Model(images, layers.Conv2D(4, 3, padding="same")(MaxUnpooling()([placed, first])))


def test_it_is_saved_and_loaded(tmp_path):
    network = segnet()
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    images = noise(2, 16, 12, 3)
    np.testing.assert_array_equal(loaded(images), network(images))
    assert loaded.output_shape == (None, 16, 12, 4)


def test_a_network_of_free_size_unpools_to_its_own_size():
    images = keras.Input((None, None, 3))
    network = keras.Model(images, MaxUnpooling()(list(MaxPoolingWithIndices()(images))))
    assert network.output_shape == (None, None, None, 3)
    values = np.abs(noise(2, 6, 8, 3))
    np.testing.assert_array_equal(network(values), scattered(values, tf.nn.max_pool2d(values, 2, 2, "VALID")))


def test_float32_file_gives_the_same_answers(tflite):
    network, images = segnet(), noise(1, 16, 12, 3)
    file = tflite.convert(network)
    np.testing.assert_allclose(tflite.run(file, images), network(images), atol=1e-5)
    assert not any(name.startswith(("Flex", "CUSTOM", "VAR_HANDLE")) for name in tflite.operations(file))


def test_int8_file_computes_in_integers_and_keeps_the_places(tflite):
    """Zero stays exactly zero, and one value a window comes through."""
    images = keras.Input((16, 12, 3))
    x, indices = MaxPoolingWithIndices()(images)
    network = keras.Model(images, MaxUnpooling()([keras.layers.Conv2D(3, 1)(x), indices]))
    examples = [noise(1, 16, 12, 3, seed=seed) for seed in range(20)]
    file = tflite.convert(network, examples)
    got, want = tflite.run(file, examples[0]), network(examples[0]).numpy()
    assert {name for name in tflite.operations(file) if not name.endswith(":int8")} <= {
        "GREATER_EQUAL:bool", "CAST:float32", "DEQUANTIZE:float32"}
    assert (got != 0).sum() <= want.size / 4
    close = np.abs(got - want) < 0.03 * np.abs(want).max()
    assert close.mean() > 0.99  # the rest: maxima that are equal in eight bits
