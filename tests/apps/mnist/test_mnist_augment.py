"""Augmentation of small images: what each setting may change, and what none may."""

import numpy as np
import pytest
import tensorflow as tf

from apps.mnist.app import Settings
from apps.mnist.augment import distort, erase
from apps.mnist.model import ImageClassifier
from shared.data.stateless import keys
from shared.facts import Facts

STILL = {"rotate": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0, "bend": 0.0, "mirror": False}
MOVING = {"rotate": 15.0, "scale": 0.2, "shear": 0.2, "shift": 0.1, "bend": 0.1, "mirror": True}
COUNT, SIDE = 400, 41
KEYS = keys(0, 0, tf.range(COUNT, dtype=tf.int64))
IMAGES = np.random.default_rng(0).random((COUNT, 12, 10, 2)).astype("float32")


def moved(images, numbers=KEYS, **changes):
    return distort(tf.constant(images), numbers, **{**STILL, **changes}).numpy()


def spots(*places):
    """COUNT equal images with a soft round spot at each (row, column)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = sum(np.exp(-((y - row)**2 + (x - column)**2) / 4) for row, column in places)
    return np.repeat(image[None, :, :, None].astype("float32"), COUNT, 0)


def centres(images):
    """(rows, columns) of the centres of mass."""
    mass = images[..., 0]
    at = np.arange(SIDE)
    return (mass.sum(2) @ at) / mass.sum((1, 2)), (mass.sum(1) @ at) / mass.sum((1, 2))


def two(**changes):
    """Centres of two spots that stand above and right of the middle, each moved as its image is: two of (y, x)."""
    middle = (SIDE - 1) / 2
    found = []
    for place in ((middle - 10, middle), (middle, middle + 10)):
        rows, columns = centres(moved(spots(place), **changes))
        found.append((rows - middle, columns - middle))
    return found


def test_settings_of_zero_change_nothing():
    np.testing.assert_allclose(moved(IMAGES), IMAGES, atol=1e-5)


@pytest.mark.parametrize("name", MOVING)
def test_every_setting_changes_something_by_itself(name):
    images = moved(IMAGES, **{name: MOVING[name]})
    assert (np.abs(images - IMAGES).max((1, 2, 3)) > 0.05).mean() > 0.4


@pytest.mark.parametrize("change", [lambda images, k: moved(images, k, **MOVING),
                                    lambda images, k: erase(tf.constant(images), k, 0.5).numpy()])
def test_a_change_depends_on_the_key_and_not_on_the_place_in_the_batch(change):
    same = np.repeat(IMAGES[:1], COUNT, 0)
    whole = change(same, KEYS)
    order = np.array([17, 3, 299])
    np.testing.assert_allclose(change(same[order], tf.gather(KEYS, order)), whole[order], atol=1e-5)
    different = {image.tobytes() for image in whole}
    assert len(different) > COUNT / 4
    other = change(same, keys(0, 1, tf.range(COUNT, dtype=tf.int64)))
    assert (np.abs(other - whole).max((1, 2, 3)) > 1e-3).mean() > 0.4


def test_compiled_changes_are_the_same():
    compiled = tf.function(lambda images, k: erase(distort(images, k, **MOVING), k, 0.5))
    want = erase(tf.constant(moved(IMAGES, **MOVING)), KEYS, 0.5)
    np.testing.assert_allclose(compiled(tf.constant(IMAGES), KEYS), want, atol=1e-4)


def test_shift_stays_within_its_share_of_the_side_and_reaches_it():
    rows, columns = centres(moved(spots((20, 20)), shift=0.1))
    for at in (rows - 20, columns - 20):
        assert np.abs(at).max() <= 0.1 * SIDE + 0.02
        assert at.max() > 0.09 * SIDE and at.min() < -0.09 * SIDE
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


def test_rotation_stays_within_its_degrees_and_reaches_them():
    (y, x), (v, u) = two(rotate=30.0)
    angle = np.degrees(np.arctan2(-x, -y))  # of the upper spot, counter-clockwise
    np.testing.assert_allclose(angle, np.degrees(np.arctan2(-v, u)), atol=0.5)
    assert np.abs(angle).max() <= 30.5 and angle.max() > 28 and angle.min() < -28


def test_scale_stays_within_its_share_and_reaches_it():
    (y, x), (v, u) = two(scale=0.2)
    np.testing.assert_allclose([x, v], 0, atol=0.01)
    for factor in (-y / 10, u / 10):
        assert np.abs(np.log(factor)).max() < 0.2 + 0.02
        assert factor.max() > 1.17 and factor.min() < 0.85
    assert abs(np.corrcoef(y, u)[0, 1]) < 0.2


def test_shear_moves_columns_by_a_share_of_the_row():
    (y, x), (v, u) = two(shear=0.3)
    np.testing.assert_allclose([y + 10, v, u - 10], 0, atol=0.05)
    assert np.abs(x / 10).max() <= 0.3 + 0.01 and (x / 10).max() > 0.27 and (x / 10).min() < -0.27


def test_bending_stays_within_its_share_of_the_side():
    rows, columns = centres(moved(spots((20, 20)), bend=0.1))
    for at in (rows - 20, columns - 20):
        assert at.std() > 0.25 and np.abs(at).max() < 0.1 * SIDE


def test_every_second_image_is_mirrored_when_asked_and_none_else():
    images = moved(IMAGES, mirror=True)
    flipped = np.abs(images - IMAGES[:, :, ::-1]).max((1, 2, 3)) < 1e-4
    kept = np.abs(images - IMAGES).max((1, 2, 3)) < 1e-4
    assert (flipped ^ kept).all() and 0.4 < flipped.mean() < 0.6
    rows, columns = centres(moved(spots((20, 10)), **{**MOVING, "mirror": False}))
    assert (columns < 20).all()


def test_nothing_comes_in_from_outside_but_background():
    assert not moved(np.zeros((COUNT, 12, 10, 2), "float32"), **MOVING).any()
    images = moved(np.ones((COUNT, 12, 10, 2), "float32"), **MOVING)
    assert images.min() < 0.01 and images.max() <= 1 + 1e-5 and images.min() >= -1e-5


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_erased_is_a_rectangle_of_at_most_the_share(share):
    images = np.ones((COUNT, 30, 20, 2), "float32")
    erased = erase(tf.constant(images), KEYS, share).numpy()
    assert set(np.unique(erased)) == {0, 1}
    gone = erased == 0
    assert (gone[..., 0] == gone[..., 1]).all()
    for one in gone[..., 0]:
        rows, columns = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
        assert len(rows) <= np.ceil(share * 30) and len(columns) <= np.ceil(share * 20)
        assert one.sum() == len(rows) * len(columns)
        assert (np.diff(rows) == 1).all() and (np.diff(columns) == 1).all()
    assert 0.2 < gone.any((1, 2, 3)).mean() < 0.6
    assert gone.any((2, 3)).sum(1).max() > 0.8 * share * 30
    assert gone.any((0, 2, 3)).all() and gone.any((0, 1, 3)).all()


def test_nothing_is_erased_for_a_share_of_zero():
    np.testing.assert_array_equal(erase(tf.constant(IMAGES), KEYS, 0.0), IMAGES)


def classifier(light, **changes):
    facts = Facts({"labels": ["a", "b"], "image_size": [12, 10], "channels": 2, "mean": 0.3, "std": 0.25,
                   "light_background": light})
    return ImageClassifier(Settings(**{"erase": 0.5, **MOVING, **changes}), facts)


@pytest.mark.parametrize("light", [False, True])
def test_background_stays_background(light):
    model = classifier(light)
    background = (float(light) - 0.3) / 0.25
    raw = np.full((COUNT, 12, 10, 2), 255 * light, "uint8")
    images, targets, weights = model.augment(model.preprocess({"image": tf.constant(raw)}), "truth", None, KEYS)
    np.testing.assert_allclose(images, background, atol=1e-4)
    assert (targets, weights) == ("truth", None)


@pytest.mark.parametrize("light", [False, True])
def test_what_comes_in_from_outside_is_background(light):
    model = classifier(light, shift=0.5, erase=0.0)
    middle = np.full((COUNT, 12, 10, 2), 128, "uint8")
    images = model.augment(model.preprocess({"image": tf.constant(middle)}), None, None, KEYS)[0].numpy()
    want, away = (float(light) - 0.3) / 0.25, (float(not light) - 0.3) / 0.25
    assert (np.abs(images - want) < 1e-4).any((1, 2, 3)).mean() > 0.8
    assert np.abs(images - away).min() > 1


def test_rectangles_are_erased_to_background_when_asked():
    model = classifier(True, **STILL, erase=0.5)
    background, ink = (1 - 0.3) / 0.25, -0.3 / 0.25
    images = model.augment(tf.fill([COUNT, 12, 10, 2], ink), None, None, KEYS)[0].numpy()
    erased = np.abs(images - background) < 1e-4
    np.testing.assert_allclose(images[~erased], ink, atol=1e-4)
    assert 0.2 < erased.any((1, 2, 3)).mean() < 0.6


def test_augmentation_can_be_switched_off():
    images = tf.constant(IMAGES)
    assert classifier(False, augment="none").augment(images, None, None, KEYS)[0] is images


def test_settings_of_zero_change_nothing_in_the_model_either():
    still = classifier(True, **STILL, erase=0.0)
    np.testing.assert_allclose(still.augment(tf.constant(IMAGES), None, None, KEYS)[0], IMAGES, atol=1e-5)
