"""Atrous spatial pyramid pooling: parameters by hand, arithmetic by plain Keras layers, reach by an impulse."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import atrous_spatial_pyramid_pooling
from shared.layers.atrous_spatial_pyramid_pooling import AtrousSpatialPyramidPooling

L = keras.layers


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def model(shape=(12, 14, 5), **options):
    keras.utils.set_random_seed(0)
    features = keras.Input(shape)
    return keras.Model(features, AtrousSpatialPyramidPooling(**{"filters": 4} | options)(features))


def normalised(count):
    return 4 * count


@pytest.mark.parametrize("rates", [(6, 12, 18), (2, 4), (1,)])
@pytest.mark.parametrize("separable", [False, True])
def test_shape_and_parameters(rates, separable):
    made = model(rates=rates, separable=separable)
    assert made.output_shape == (None, 12, 14, 4)
    atrous = 9 * 5 + normalised(5) + 5 * 4 if separable else 9 * 5 * 4
    branches = 2 * (5 * 4 + normalised(4)) + len(rates) * (atrous + normalised(4))
    assert made.count_params() == branches + (2 + len(rates)) * 4 * 4 + normalised(4)
    assert made(noise(2, 12, 14, 5)).shape == (2, 12, 14, 4)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("separable", [False, True])
def test_it_is_its_branches_projected(separable, training):
    layer = AtrousSpatialPyramidPooling(4, (2, 3), separable)
    features = noise(3, 8, 9, 5)
    layer.build(features.shape)

    def apply(block, x):
        for convolution, norm, _ in zip(*[iter(block.layers)] * 3, strict=True):
            depthwise = isinstance(convolution, L.DepthwiseConv2D)
            run = tf.nn.depthwise_conv2d if depthwise else tf.nn.convolution
            strides = [1, 1, 1, 1] if depthwise else 1
            x = run(x, convolution.kernel.value, strides, "SAME", dilations=convolution.dilation_rate)
            if training:
                x = (x - tf.reduce_mean(x, (0, 1, 2))) / tf.sqrt(tf.math.reduce_variance(x, (0, 1, 2)) + norm.epsilon)
            else:
                x = x / np.sqrt(1 + norm.epsilon)
            x = tf.nn.relu(x)
        return x

    image = apply(layer.image, tf.reduce_mean(features, (1, 2), keepdims=True))
    branches = [apply(branch, features) for branch in (layer.pointwise, *layer.atrous)]
    want = apply(layer.project, tf.concat([*branches, tf.tile(image, [1, 8, 9, 1])], -1))
    np.testing.assert_allclose(layer(features, training=training), want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("separable", [False, True])
def test_an_impulse_reaches_the_places_of_its_rates(separable):
    layer = AtrousSpatialPyramidPooling(2, (2, 5), separable, activation="linear", kernel_initializer="ones")
    impulse = np.zeros((1, 15, 15, 1), "float32")
    impulse[0, 7, 7] = 1
    everywhere = layer(impulse)[0, :, :, 0].numpy()
    everywhere -= everywhere[0, 0]  # image pooling: the same at every place
    reached = {(y - 7, x - 7) for y, x in np.argwhere(everywhere > 1e-3)}
    assert reached == {(a * rate, b * rate) for rate in (2, 5) for a in (-1, 0, 1) for b in (-1, 0, 1)}


@pytest.mark.parametrize("separable", [False, True])
def test_its_kernels_begin_unlike_each_other(separable):
    layer = AtrousSpatialPyramidPooling(4, (2, 3), separable)
    layer.build((1, 8, 8, 5))
    first, second = (branch.get_weights()[0] for branch in layer.atrous)
    assert not np.allclose(first, second)


def test_its_options_reach_its_layers():
    layer = AtrousSpatialPyramidPooling(4, (2,), activation="tanh", dropout=0.5, kernel_regularizer="l2", seed=3)
    features = noise(2, 8, 8, 5)
    still, moved = layer(features), layer(features, training=True)
    assert (np.abs(still) < 1).all() and (moved.numpy() == 0).mean() == pytest.approx(0.5, abs=0.15)
    kernels = [v.numpy() for v in layer.trainable_variables if v.name == "kernel"]
    assert len(kernels) == 4
    np.testing.assert_allclose(sum(map(float, layer.losses)), 0.01 * sum((k**2).sum() for k in kernels), rtol=1e-5)


def test_one_operation_trains_as_three():
    """Dilated convolution with and without TensorFlow's own gradient for it."""
    if not atrous_spatial_pyramid_pooling._trains_dilated("float32"):
        pytest.skip("this TensorFlow cannot")
    features, answers = noise(6, 12, 14, 5), []
    for able in True, False:
        with mock.patch.object(atrous_spatial_pyramid_pooling, "_trains_dilated", lambda dtype, able=able: able):
            made = model(rates=(2, 3))
            made.compile(keras.optimizers.SGD(0.1), "mse")
            made.fit(features, noise(6, 12, 14, 4, seed=1), epochs=2, verbose=0)
            answers.append(made.predict(features, verbose=0))
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_it_trains_on_this_processor(dtype):
    """Not every processor has the gradient of dilated convolutions in bfloat16."""
    features = keras.Input([12, 14, 5])
    made = keras.Model(features, AtrousSpatialPyramidPooling(4, (2, 3), dtype=dtype)(features))
    made.compile(keras.optimizers.SGD(0.1), "mse")
    made.fit(noise(4, 12, 14, 5), noise(4, 12, 14, 4), verbose=0)


def test_it_computes_in_its_own_dtype():
    layer = AtrousSpatialPyramidPooling(4, (2,), True, dtype="mixed_bfloat16")
    assert layer(noise(2, 8, 8, 5), training=True).dtype == tf.bfloat16
    assert {v.dtype for v in layer.weights} == {"float32"}


def test_it_is_saved_and_loaded(tmp_path):
    made = model(rates=(2, 3), separable=True, activation="silu", dropout=0.1, kernel_regularizer="l2", seed=1)
    made.compile("sgd", "mse")
    made.fit(noise(4, 12, 14, 5), noise(4, 12, 14, 4), verbose=0)
    made.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(noise(2, 12, 14, 5)), made(noise(2, 12, 14, 5)))
    assert loaded.layers[1].get_config() == made.layers[1].get_config()


@pytest.mark.parametrize("batch", [1, None])
def test_its_file_gives_the_same_answers_with_one_operation_a_convolution(tflite, batch):
    made, features = model(rates=(2, 5)), noise(1, 12, 14, 5)
    file = tflite.convert(made, batch=batch)
    np.testing.assert_allclose(tflite.run(file, features), made(features), atol=1e-5)
    operations = tflite.operations(file)
    assert operations["CONV_2D:float32"] == 5 and not any("BATCH" in name for name in operations)


def test_its_separable_file_gives_the_same_answers(tflite):
    made, features = model(rates=(2, 5), separable=True), noise(1, 12, 14, 5)
    file = tflite.convert(made)
    np.testing.assert_allclose(tflite.run(file, features), made(features), atol=1e-5)
    assert tflite.operations(file) == {"MEAN:float32": 1, "CONV_2D:float32": 5, "DEPTHWISE_CONV_2D:float32": 2,
                                       "BROADCAST_TO:float32": 1, "CONCATENATION:float32": 1}
