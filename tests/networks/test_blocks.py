"""Blocks: shapes and parameter counts by hand, arithmetic against NumPy."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from shared.networks.blocks import Style, convolution, residual, separable

STYLE = Style()


def model(block, shape, *arguments, **options):
    images = keras.Input(shape)
    return keras.Model(images, block(images, *arguments, **options))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def normalised(count):
    return 4 * count  # gamma, beta, moving mean, moving variance


@pytest.mark.parametrize("kernel, stride, side", [(3, 1, 9), (5, 1, 9), (1, 1, 9), (3, 2, 5), (5, 3, 3)])
def test_convolution_has_its_shape_and_parameters(kernel, stride, side):
    made = model(convolution, (9, 9, 3), STYLE, 7, kernel, stride)
    assert made.output_shape == (None, side, side, 7)
    assert made.count_params() == kernel * kernel * 3 * 7 + normalised(7)


@pytest.mark.parametrize("kernel, stride, side", [(3, 1, 8), (5, 2, 4)])
def test_separable_has_its_shape_and_parameters(kernel, stride, side):
    made = model(separable, (8, 8, 3), STYLE, 7, kernel, stride)
    assert made.output_shape == (None, side, side, 7)
    assert made.count_params() == kernel * kernel * 3 + normalised(3) + 3 * 7 + normalised(7)


@pytest.mark.parametrize("channels, stride, side, shortcut", [
    (6, 1, 8, 0), (3, 1, 8, 3 * 6 + normalised(6)), (6, 2, 4, 6 * 6 + normalised(6))])
def test_residual_has_its_shape_and_parameters(channels, stride, side, shortcut):
    made = model(residual, (8, 8, channels), STYLE, 6, stride)
    assert made.output_shape == (None, side, side, 6)
    assert made.count_params() == 9 * channels * 6 + normalised(6) + 9 * 6 * 6 + normalised(6) + shortcut


@pytest.mark.parametrize("activate", [True, False])
def test_convolution_is_the_sum_over_its_window_normalised_and_activated(activate):
    made = model(convolution, (5, 5, 2), STYLE, 3, activate=activate)
    images, kernel = noise(1, 5, 5, 2), made.layers[1].get_weights()[0]
    padded = np.pad(images[0], ((1, 1), (1, 1), (0, 0)))
    want = np.array([[np.tensordot(padded[y:y + 3, x:x + 3], kernel, 3) for x in range(5)] for y in range(5)])
    want /= np.sqrt(1 + made.layers[2].epsilon)  # fresh statistics: mean 0, variance 1
    want = np.maximum(want, 0) if activate else want
    np.testing.assert_allclose(made.predict(images, verbose=0)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation, function", [("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh)])
def test_residual_adds_to_the_identity(activation, function):
    made = model(residual, (6, 6, 4), Style(activation), 4)
    images = noise(2, 6, 6, 4)
    assert not np.allclose(made.predict(images, verbose=0), function(images), atol=1e-3)
    last = [layer for layer in made.layers if isinstance(layer, keras.layers.BatchNormalization)][-1]
    last.gamma.assign(np.zeros(4))
    np.testing.assert_allclose(made.predict(images, verbose=0), function(images), atol=1e-6)


def test_no_convolution_before_normalisation_has_a_bias():
    for block in (convolution, separable, residual):
        for layer in model(block, (8, 8, 3), STYLE, 6).layers:
            assert not getattr(layer, "use_bias", False), layer.name


def test_a_style_is_read_from_settings():
    settings = SimpleNamespace(activation="silu", initializer="orthogonal", l1=0.1, l2=0.2, epochs=3)
    assert Style.of(settings) == Style("silu", "orthogonal", 0.1, 0.2)


def test_a_style_reaches_every_kernel():
    style = Style("silu", "orthogonal", 0.1, 0.2)
    for block in (convolution, separable, residual):
        made = model(block, (8, 8, 3), style, 6)
        kernels = [variable.numpy() for variable in made.trainable_variables if variable.path.endswith("kernel")]
        penalty = sum(0.1 * np.abs(kernel).sum() + 0.2 * (kernel**2).sum() for kernel in kernels)
        np.testing.assert_allclose(float(sum(made.losses)), penalty, rtol=1e-5)
        used = {layer.activation for layer in made.layers if isinstance(layer, keras.layers.Activation)}
        assert used == {keras.activations.silu}
