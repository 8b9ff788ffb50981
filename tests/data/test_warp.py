import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from shared.data.warp import affine, elastic, sample

IMAGES = np.random.default_rng(0).random((3, 12, 10, 2)).astype("float32")
ZERO, ONE = tf.zeros(3), tf.ones(3)


def field(**changes):
    parts = {"angle": ZERO, "scale_y": ONE, "scale_x": ONE, "shear": ZERO, "shift_y": ZERO, "shift_x": ZERO}
    return affine(12, 10, **{**parts, **changes})


def test_identity():
    np.testing.assert_allclose(sample(IMAGES, field()), IMAGES, atol=1e-5)


def test_whole_shifts_move_down_and_right():
    moved = sample(IMAGES, field(shift_y=2 * ONE, shift_x=3 * ONE)).numpy()
    np.testing.assert_allclose(moved[:, 2:, 3:], IMAGES[:, :-2, :-3], atol=1e-5)
    assert not moved[:, :2].any() and not moved[:, :, :3].any()


def test_quarter_turn_is_counter_clockwise():
    square = IMAGES[:, :10]
    turned = sample(square, affine(10, 10, tf.fill([3], np.pi / 2), ONE, ONE, ZERO, ZERO, ZERO))
    np.testing.assert_allclose(turned, np.rot90(square, 1, (1, 2)), atol=1e-4)


def test_scale_above_one_enlarges():
    spot = np.zeros((3, 11, 11, 1), "float32")
    spot[:, 4:7, 4:7] = 1
    larger = sample(spot, affine(11, 11, ZERO, 2 * ONE, 2 * ONE, ZERO, ZERO, ZERO)).numpy()
    assert larger.sum() > 3 * spot.sum()


@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_any_field_samples_as_scipy_does(fill):
    random = np.random.default_rng(1)
    rows, columns = random.uniform(-3, 15, (3, 12, 10)), random.uniform(-3, 13, (3, 12, 10))
    got = sample(IMAGES, (tf.constant(rows, tf.float32), tf.constant(columns, tf.float32)), fill).numpy()
    for image, r, c, out in zip(IMAGES, rows, columns, got, strict=True):
        for channel in range(2):
            want = ndimage.map_coordinates(np.pad(image[..., channel], 1, constant_values=fill), [r + 1, c + 1],
                                           order=1, mode="constant", cval=fill)
            np.testing.assert_allclose(out[..., channel], want, atol=1e-4)


def test_elastic_is_a_cubic_spline_of_its_knots():
    constant = elastic(tf.ones((1, 2, 7, 7)), 28, 20, 3.0)
    np.testing.assert_allclose(constant[0], 3.0, rtol=1e-5)  # the weights of a point add to one
    rows, _ = elastic(tf.random.stateless_uniform((1, 2, 7, 7), (0, 1), -1, 1), 280, 20, 1.0)
    steps = np.diff(rows[0].numpy(), 2, axis=0)
    assert np.abs(np.diff(steps, axis=0)).max() < 1e-3  # bends without corners
