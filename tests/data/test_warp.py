import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from shared.data.warp import affine, elastic, mirrored, nearest, sample

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


def test_source_may_have_another_size_and_keeps_its_middle():
    random = np.random.default_rng(2)
    ranges = (-3, 3), (0.5, 2), (-2, -0.5), (-0.3, 0.3), (-4, 4), (-4, 4)
    angle, scale_y, scale_x, shear, shift_y, shift_x = (random.uniform(*ends, 3).astype("float32") for ends in ranges)
    got = sample(IMAGES, affine(7, 15, *map(tf.constant, (angle, scale_y, scale_x, shear, shift_y, shift_x)),
                                source=(12, 10))).numpy()
    for i, image in enumerate(IMAGES):
        # The way from source to output, turned round: shear, scale, rotate, shift, each about the middle.
        turn = np.array([[np.cos(angle[i]), -np.sin(angle[i])], [np.sin(angle[i]), np.cos(angle[i])]])
        forth = turn @ np.diag([scale_y[i], scale_x[i]]) @ np.array([[1, 0], [-shear[i], 1]])
        back = np.linalg.inv(forth)
        offset = np.array([5.5, 4.5]) - back @ (np.array([3, 7]) + [shift_y[i], shift_x[i]])
        for channel in range(2):
            padded = np.pad(image[..., channel], 1)
            want = ndimage.affine_transform(padded, back, offset + 1, (7, 15), order=1, mode="constant")
            np.testing.assert_allclose(got[i, ..., channel], want, atol=1e-3)


def test_without_a_source_it_is_of_the_output_s_size():
    for one, other in zip(field(angle=0.3 * ONE), affine(12, 10, 0.3 * ONE, ONE, ONE, ZERO, ZERO, ZERO, (12, 10)),
                          strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype, fill", [("uint8", 255), ("int32", -1), ("float32", 0)])
def test_nearest_gives_labels_as_they_are_and_the_fill_outside(dtype, fill):
    random = np.random.default_rng(3)
    labels = random.integers(0, 200, (3, 12, 10)).astype(dtype)
    rows, columns = (random.uniform(-4, size + 3, (3, 8, 9)).astype("float32") for size in (12, 10))
    got = nearest(tf.constant(labels), (tf.constant(rows), tf.constant(columns)), fill).numpy()
    assert got.dtype == labels.dtype
    outside = 0
    for i, y, x in np.ndindex(got.shape):
        row, column = int(np.floor(rows[i, y, x] + 0.5)), int(np.floor(columns[i, y, x] + 0.5))
        known = 0 <= row < 12 and 0 <= column < 10
        assert got[i, y, x] == (labels[i, row, column] if known else fill)
        outside += not known
    assert 0 < outside < got.size


def test_nearest_is_the_label_that_sampling_weighs_most():
    random = np.random.default_rng(4)
    rows, columns = (tf.constant(random.integers(-2, size + 2, (3, 8, 9)) + random.uniform(-0.3, 0.3, (3, 8, 9)),
                                 tf.float32) for size in (12, 10))
    values = random.integers(0, 2, (3, 12, 10)).astype("float32")
    sampled = sample(tf.constant(values[..., None]), (rows, columns)).numpy()[..., 0]
    near = nearest(tf.constant(values), (rows, columns), 0).numpy()
    clear = np.abs(sampled - 0.5) > 0.21  # 0.7 ** 2 is less than one half: four neighbours may outvote the nearest
    np.testing.assert_array_equal(near[clear], sampled[clear] > 0.5)


def test_mirrored_reflects_as_scipy_does():
    random = np.random.default_rng(5)
    rows, columns = random.uniform(-11, 22, (3, 20, 21)), random.uniform(-9, 18, (3, 20, 21))
    got = sample(IMAGES, mirrored((tf.constant(rows, tf.float32), tf.constant(columns, tf.float32)), 12, 10)).numpy()
    for image, r, c, out in zip(IMAGES, rows, columns, got, strict=True):
        for channel in range(2):
            want = ndimage.map_coordinates(image[..., channel], [r, c], order=1, mode="mirror")
            np.testing.assert_allclose(out[..., channel], want, atol=1e-4)


def test_mirrored_stays_inside_however_far_it_is_asked_and_copes_with_one_pixel():
    far = tf.constant(np.linspace(-500, 500, 99)[None, None], tf.float32)
    for size in (1, 2, 9):
        folded = mirrored((far, far), size, size)[0].numpy()
        assert folded.min() >= 0 and folded.max() <= size - 1
