"""Zeros before the first step."""

import keras
import numpy as np
import pytest

from shared.layers.causal_padding import CausalPadding


def test_a_convolution_behind_it_sees_this_step_and_earlier_ones():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 9, 1, 3)).astype(np.float32), rng.normal(size=(4, 1, 3, 5)).astype(np.float32)
    layer = keras.layers.Conv2D(5, (4, 1), use_bias=False)
    made = layer(CausalPadding(3)(x)) * 0  # builds it
    layer.set_weights([kernel])
    made = np.array(layer(CausalPadding(3)(x)))
    for step in range(9):
        seen = sum(x[:, step - 3 + tap, 0] @ kernel[tap, 0] for tap in range(4) if step - 3 + tap >= 0)
        np.testing.assert_allclose(made[:, step, 0], seen, atol=1e-5)


def test_shapes_and_configuration():
    layer = CausalPadding.from_config(CausalPadding(2, name="before").get_config())
    assert layer.before == 2 and layer.name == "before"
    assert layer.compute_output_shape((None, None, 1, 4)) == (None, None, 1, 4)
    assert layer.compute_output_shape((7, 5, 1, 4)) == (7, 7, 1, 4) == (*layer(np.zeros((7, 5, 1, 4))).shape,)
    with pytest.raises(ValueError, match="negative"):
        CausalPadding(-1)
