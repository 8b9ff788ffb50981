"""Resize: `tf.image.resize` with antialiasing is the reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers.antialiased_resize import AntialiasedResize


def picture(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


SIZES = [((60, 43), (12, 10)), ((30, 40), (15, 10)), ((12, 10), (60, 43)), ((20, 9), (7, 31)), ((8, 6), (8, 6)),
         ((9, 9), (1, 1)), ((1, 1), (4, 3)), ((100, 101), (99, 100))]


@pytest.mark.parametrize("size, wanted", SIZES)
def test_it_is_that_of_tensorflow(size, wanted):
    images = picture(2, *size, 3)
    want = tf.image.resize(images, wanted, "bilinear", antialias=True)
    got = AntialiasedResize(*wanted)(images)
    assert got.shape == want.shape
    # TensorFlow reckons places in float32, which shows where sizes are nearly equal.
    np.testing.assert_allclose(got, want, atol=5e-3 if size == (100, 101) else 1e-3)


def test_it_takes_whole_numbers_and_stays_float32_under_bfloat16():
    images = picture(1, 30, 40, 3)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = AntialiasedResize(15, 10)
    finally:
        keras.config.set_dtype_policy("float32")
    got = layer(images.astype("uint8"))
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, tf.image.resize(images, (15, 10), antialias=True), atol=1e-3)


@pytest.mark.parametrize("size, wanted", SIZES[:3])
def test_its_file_gives_the_same_answers(tflite, size, wanted):
    images = keras.Input((*size, 3))
    network, image = keras.Model(images, AntialiasedResize(*wanted)(images)), picture(1, *size, 3)
    file = tflite.convert(network)
    np.testing.assert_allclose(tflite.run(file, image), tf.image.resize(image, wanted, antialias=True), atol=1e-3)
    assert set(tflite.operations(file)) == {"RESHAPE:float32", "BATCH_MATMUL:float32"}


def test_a_free_size_is_refused():
    with pytest.raises(ValueError, match="must be known"):
        AntialiasedResize(4, 4)(keras.Input((None, 8, 3)))


def test_it_is_saved_and_loaded(tmp_path):
    images = keras.Input((30, 40, 3))
    network = keras.Model(images, AntialiasedResize(15, 10)(images))
    assert network.output_shape == (None, 15, 10, 3)
    network.save(tmp_path / "network.keras")
    loaded, image = keras.models.load_model(tmp_path / "network.keras"), picture(1, 30, 40, 3)
    np.testing.assert_array_equal(loaded(image), network(image))
