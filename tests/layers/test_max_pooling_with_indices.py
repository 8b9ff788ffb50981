"""Pooling that keeps places: `tf.nn.max_pool_with_argmax` and Keras are the references."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers.max_pooling_with_indices import MaxPoolingWithIndices


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def ties(*shape):
    return np.random.default_rng(1).integers(-2, 2, shape).astype("float32")


def flat_places(indices):
    """The mask's places as `tf.nn.max_pool_with_argmax` numbers them: (y * width + x) * channels + channel."""
    batch, height, width, four = indices.shape
    channels = four // 4
    place = indices.reshape(batch, height, width, 4, channels).argmax(3)
    y = 2 * np.arange(height)[:, None, None] + place // 2
    x = 2 * np.arange(width)[:, None] + place % 2
    return (y * 2 * width + x) * channels + np.arange(channels)


@pytest.mark.parametrize("images", [
    noise(2, 6, 8, 3), ties(3, 8, 6, 5), np.maximum(noise(2, 10, 4, 2), 0), -1 - np.abs(noise(1, 2, 2, 1)),
    np.zeros((1, 4, 4, 2), "float32"), np.full((1, 4, 4, 2), -np.inf, "float32")])
def test_values_and_places_are_those_of_max_pool_with_argmax(images):
    pooled, indices = MaxPoolingWithIndices()(images)
    want, places = tf.nn.max_pool_with_argmax(images, 2, 2, "VALID")
    np.testing.assert_array_equal(pooled, want)
    assert set(np.unique(indices)) == {0.0, 1.0}
    np.testing.assert_array_equal(indices.numpy().reshape(*pooled.shape[:3], 4, -1).sum(3), 1)
    np.testing.assert_array_equal(flat_places(indices.numpy()), places)


@pytest.mark.parametrize("images", [noise(2, 6, 8, 3), ties(2, 6, 8, 3)])
def test_its_gradient_goes_to_the_first_maximum(images):
    images, weights = tf.constant(images), noise(2, 3, 4, 3)
    with tf.GradientTape() as tape:
        tape.watch(images)
        pooled, indices = MaxPoolingWithIndices()(images)
        loss = tf.reduce_sum(pooled * weights) + tf.reduce_sum(indices)
    places = tf.reshape(flat_places(indices.numpy()), [2, -1])
    want = [tf.scatter_nd(places[i][:, None], tf.reshape(weights[i], [-1]), [6 * 8 * 3]) for i in range(2)]
    np.testing.assert_array_equal(tape.gradient(loss, images), tf.reshape(want, images.shape))


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (1, 4, 7, 3), (None, 3, None, 3)])
def test_odd_sides_are_refused(shape):
    with pytest.raises(ValueError, match=f"even height and width, not {shape[1]} x {shape[2]}"):
        MaxPoolingWithIndices()(keras.Input(shape[1:]) if None in shape else np.zeros(shape))


@pytest.mark.parametrize("sides", [(8, 6), (None, None)])
def test_its_symbolic_shape_and_dtype_are_those_it_gives(sides):
    images = keras.Input((*sides, 5))
    network = keras.Model(images, MaxPoolingWithIndices()(images))
    halves = [side and side // 2 for side in sides]
    assert network.output_shape == [(None, *halves, 5), (None, *halves, 20)]
    assert [tuple(output.shape) for output in network(noise(2, 8, 6, 5))] == [(2, 4, 3, 5), (2, 4, 3, 20)]


def test_it_computes_in_its_own_dtype():
    pooled, indices = MaxPoolingWithIndices(dtype="mixed_bfloat16")(noise(1, 4, 4, 2))
    assert pooled.dtype == indices.dtype == tf.bfloat16
