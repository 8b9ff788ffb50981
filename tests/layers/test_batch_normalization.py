"""Fused batch normalisation: Keras' own layer is the reference."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers.batch_normalization import BatchNormalization

SHAPE = (6, 5, 4, 3)
FUSED, NOT_FUSED = True, False


def noise(*shape, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * 3 + 1.5).astype("float32")


def pair(shape=SHAPE, **options):
    """Keras' layer and ours with the same random weights."""
    keras.utils.set_random_seed(0)
    options = {"momentum": 0.8, "gamma_initializer": "random_normal", "beta_initializer": "random_normal"} | options
    theirs, ours = keras.layers.BatchNormalization(**options), BatchNormalization(**options)
    theirs.build(shape)
    ours.build(shape)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def gradients(layer, images, weights):
    """Outputs, and the gradients of a weighted sum of them by inputs and weights."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
    return outputs, *tape.gradient(loss, [images, *(v.value for v in layer.trainable_variables)])


def fused(function):
    """Whether the function runs the kernel."""
    with mock.patch.object(tf.raw_ops, "FusedBatchNormV3", wraps=tf.raw_ops.FusedBatchNormV3) as kernel:
        function()
    return kernel.called


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-4), ("mixed_bfloat16", 0.06)])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_outputs_gradients_and_statistics_are_those_of_keras(dtype, tolerance, center, scale):
    theirs, ours = pair(dtype=dtype, center=center, scale=scale)
    weights = noise(*SHAPE, seed=9)
    for step in range(4):
        images = noise(*SHAPE, seed=step) * (step + 1)
        images = tf.cast(images, ours.compute_dtype)
        want, got = gradients(theirs, images, weights), gradients(ours, images, weights)
        assert len(got) == len(want) == 2 + center + scale
        for a, b in zip(want, got, strict=True):
            assert a.dtype == b.dtype
            a, b = tf.cast(a, "float32").numpy(), tf.cast(b, "float32").numpy()
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * np.abs(a).max())
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


def test_moving_variance_has_no_bessel_correction():
    layer = BatchNormalization(momentum=0.0)
    images = noise(1, 2, 1, 1)
    layer(images, training=True)
    np.testing.assert_allclose(layer.moving_variance.numpy(), [images.var()], rtol=1e-5)


def test_one_value_a_channel_is_its_own_mean():
    theirs, ours = pair((1, 1, 1, 3))
    images = noise(1, 1, 1, 3)
    np.testing.assert_allclose(ours(images, training=True), theirs(images, training=True), atol=1e-6)
    np.testing.assert_allclose(ours.moving_variance.numpy(), theirs.moving_variance.numpy(), atol=1e-6)


@pytest.mark.parametrize("training", [False, None])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_inference_is_that_of_keras(training, dtype):
    theirs, ours = pair(dtype=dtype)
    for layer in theirs, ours:
        layer.moving_mean.assign([1.0, 2.0, 3.0])
        layer.moving_variance.assign([0.5, 4.0, 9.0])
    want, got = theirs(noise(*SHAPE), training=training), ours(noise(*SHAPE), training=training)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(tf.cast(got, "float32"), tf.cast(want, "float32"))


@pytest.mark.parametrize("shape, options, use", [
    (SHAPE, {}, FUSED), (SHAPE, {"axis": 3}, FUSED), (SHAPE, {"axis": 1}, NOT_FUSED), ((6, 7, 3), {}, NOT_FUSED),
    ((6, 3), {}, NOT_FUSED), ((2, 3, 4, 5, 3), {}, NOT_FUSED), (SHAPE, {"renorm": True}, NOT_FUSED),
    (SHAPE, {"epsilon": 1e-6}, NOT_FUSED), (SHAPE, {"trainable": False}, NOT_FUSED),
    (SHAPE, {"synchronized": True}, NOT_FUSED), (SHAPE, {"dtype": "float64"}, NOT_FUSED)])
def test_what_the_kernel_cannot_do_is_left_to_keras(shape, options, use):
    theirs, ours = pair(shape, **options)
    got = []
    assert fused(lambda: got.append(ours(noise(*shape), training=True))) == use
    np.testing.assert_allclose(got[0], theirs(noise(*shape), training=True), rtol=1e-4, atol=1e-5)
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_a_mask_is_left_to_keras():
    theirs, ours = pair()
    mask = np.random.default_rng(1).random(SHAPE[:3]) < 0.5
    got = []
    assert not fused(lambda: got.append(ours(noise(*SHAPE), training=True, mask=mask)))
    np.testing.assert_array_equal(got[0], theirs(noise(*SHAPE), training=True, mask=mask))


def network(layer):
    keras.utils.set_random_seed(1)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(images)
    x = keras.layers.ReLU()(layer()(x))
    return keras.Model(images, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))


def fitted(layer):
    made = network(layer)
    made.compile("sgd", "mse")
    made.fit(noise(12, 8, 8, 3), noise(12, 1), batch_size=5, epochs=2, shuffle=False, verbose=0)
    return made


def test_fit_gives_the_same_network_with_the_same_names():
    theirs, ours = fitted(keras.layers.BatchNormalization), fitted(BatchNormalization)
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)


def test_its_automatic_name_is_that_of_keras():
    keras.backend.clear_session()
    assert BatchNormalization().name == "batch_normalization"


def test_it_is_saved_and_loaded(tmp_path):
    made = fitted(BatchNormalization)
    made.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert any(type(layer) is BatchNormalization for layer in loaded.layers)
    np.testing.assert_array_equal(loaded(noise(2, 8, 8, 3)), made(noise(2, 8, 8, 3)))


def test_its_configuration_is_that_of_keras():
    theirs, ours = pair(name="norm", epsilon=0.01)
    assert ours.get_config() == theirs.get_config()
