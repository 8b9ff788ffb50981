"""Neighbours with a convolution of width 1 against Keras' dilated convolution."""

import keras
import numpy as np
import pytest

from shared.layers.neighbours import Neighbours


@pytest.mark.parametrize("steps", [1, 3, 9])
@pytest.mark.parametrize("rate", [1, 2, 5])
def test_with_a_dense_layer_it_is_a_dilated_convolution(rate, steps):
    x = np.random.default_rng(rate).normal(size=(2, steps, 3)).astype(np.float32)
    wide = keras.layers.Conv1D(4, 3, padding="same", dilation_rate=rate, use_bias=False)
    want = wide(x)
    narrow = keras.layers.Conv1D(4, 1, use_bias=False)
    narrow.build((None, None, 9))
    narrow.set_weights([wide.get_weights()[0].reshape(1, 9, 4)])
    np.testing.assert_allclose(narrow(Neighbours(rate)(x)), want, atol=1e-5)


def test_shapes_and_configuration():
    layer = Neighbours(3)
    assert layer(keras.Input([None, 5])).shape == (None, None, 15)
    assert keras.layers.deserialize(keras.layers.serialize(layer)).rate == 3
    with pytest.raises(ValueError, match="at least 1"):
        Neighbours(0)
