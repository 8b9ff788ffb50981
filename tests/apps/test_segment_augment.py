"""Augmentation: image and mask move together, by what the key says alone, within what the settings allow."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from apps.segment.app import Settings
from apps.segment.augment import field, haze, inside, light
from apps.segment.model import VOID, Segmenter
from shared.data.dataset import Split
from shared.data.stateless import keys
from shared.facts import Facts
from shared.training.feed import Feed

STILL = {"flip": "none", "rotate": 0.0, "enlarge": 1.0, "shrink": 1.0, "stretch": 1.0, "bend": 0.0, "light": 0.0,
         "color": 0.0, "haze": 0.0}
ALL = {"flip": "both", "rotate": 30.0, "enlarge": 1.5, "shrink": 1.3, "stretch": 1.2, "bend": 3.0, "light": 0.0,
       "color": 0.0, "haze": 0.0}
GREY = 60  # of class 1; class 2 has twice as much


def model(size=(40, 48), fit="resize", **options):
    given = {"labels": ["a", "b", "c"], "size": list(size), "input_size": list(size), "channels": 3,
             "fit_image": fit, "overlap": 0, "normalize": "image", "mean": [0.0] * 3, "std": [1.0] * 3}
    return Segmenter(Settings(**{"width": 4, "widest": 4, "depth": 1, "fit_image": fit, **STILL, **options}),
                     Facts(given))


def blobs(count, height, width, seed=0):
    """Masks of large patches and images whose grey value is the class."""
    rough = np.random.default_rng(seed).normal(size=(count, height, width))
    smooth = np.stack([ndimage.gaussian_filter(one, 5) for one in rough])
    masks = np.digitize(smooth, np.quantile(smooth, [0.33, 0.66])).astype(np.uint8)
    return {"image": np.repeat(GREY * (1 + masks[..., None]), 3, -1).astype(np.uint8), "mask": masks}


def augmented(which, columns, numbers):
    made = which.augment_raw({name: tf.constant(column) for name, column in columns.items()}, keys(0, 0, numbers))
    return {name: column.numpy() for name, column in made.items()}


def some(count, seed=0):
    return tf.range(100 * seed, 100 * seed + count, dtype=tf.int64)


def inner(masks):
    """Pixels, not at the rim, that are of one class with all up to two pixels away."""
    same = np.stack([ndimage.minimum_filter(one, 5) == ndimage.maximum_filter(one, 5) for one in masks])
    return np.pad(same[:, 2:-2, 2:-2], [(0, 0), (2, 2), (2, 2)])


@pytest.mark.parametrize("fit", ["resize", "tile"])
def test_image_and_mask_move_together(fit):
    source = (40, 48) if fit == "resize" else (60, 72)
    columns = blobs(12, *source)
    columns["weight"] = 1 + 3 * (columns["mask"] == 2).astype(np.float32)
    got = augmented(model(fit=fit, **ALL), columns, some(12))
    assert got["image"].shape == (12, 40, 48, 3) and got["mask"].shape == (12, 40, 48)
    assert got["image"].dtype == got["weight"].dtype == np.float32 and got["mask"].dtype == np.uint8
    clear = inner(got["mask"]) & (got["mask"] != VOID)
    assert clear.mean() > 0.25
    wanted = GREY * (1.0 + got["mask"][..., None])
    np.testing.assert_allclose(got["image"][clear], np.repeat(wanted, 3, -1)[clear], atol=0.1)
    np.testing.assert_array_equal(got["weight"], np.where(got["mask"] == VOID, 0, 1 + 3 * (got["mask"] == 2)))
    assert all((one != other).mean() > 0.2 for one, other in zip(
        got["mask"], columns["mask"][:, -40:, -48:], strict=True))


def test_outside_of_a_resized_image_is_void_and_dark():
    columns = {"image": np.full((20, 40, 48, 3), 200, np.uint8), "mask": np.ones((20, 40, 48), np.uint8)}
    got = augmented(model(**ALL), columns, some(20))
    assert set(np.unique(got["mask"])) == {1, VOID}
    far = inner(got["mask"])
    assert (got["image"][far & (got["mask"] == VOID)] == 0).all()
    np.testing.assert_allclose(got["image"][far & (got["mask"] == 1)], 200, atol=0.01)
    assert 0.02 < (got["mask"] == VOID).mean() < 0.5


@pytest.mark.parametrize("source", [(60, 72), (40, 48)])
def test_tiles_have_no_void_but_what_was_void(source):
    columns = {"image": np.full((20, *source, 3), 200, np.uint8), "mask": np.ones((20, *source), np.uint8)}
    got = augmented(model(fit="tile", **{**ALL, "rotate": 180.0}), columns, some(20))
    assert (got["mask"] == 1).all()
    np.testing.assert_allclose(got["image"], 200, atol=0.01)
    got = augmented(model(fit="tile", **ALL), {**columns, "mask": np.full((20, *source), VOID, np.uint8)}, some(20))
    assert (got["mask"] == VOID).all()


def test_a_key_gives_the_same_wherever_it_stands_and_another_key_something_else():
    columns = blobs(1, 40, 48)
    same = {name: np.repeat(column, 6, 0) for name, column in columns.items()}
    one = augmented(model(**{**ALL, "light": 0.3, "color": 0.2}), same, tf.constant([1, 2, 3, 4, 1, 2], tf.int64))
    np.testing.assert_array_equal(one["mask"][:2], one["mask"][4:])
    np.testing.assert_allclose(one["image"][:2], one["image"][4:], atol=1e-3)
    for column in (one["mask"], one["image"].round().astype(np.uint8)):
        assert all((column[i] != column[j]).mean() > 0.1 for i in range(4) for j in range(i))


def test_without_augmentation_images_stay_and_windows_are_cut_in_their_middle():
    columns = blobs(3, 40, 48)
    got = augmented(model(augment="none"), columns, some(3))
    for name in columns:
        np.testing.assert_array_equal(got[name], columns[name])
    columns = {**blobs(3, 61, 72), "weight": np.random.default_rng(0).random((3, 61, 72)).astype(np.float32)}
    got = augmented(model(augment="none", fit="tile"), columns, some(3))
    for name in columns:
        np.testing.assert_array_equal(got[name], columns[name][:, 10:50, 12:60])
    assert got["image"].dtype == np.float32


def test_augmentation_of_nothing_changes_nothing():
    columns = blobs(3, 40, 48)
    got = augmented(model(), columns, some(3))
    np.testing.assert_array_equal(got["mask"], columns["mask"])
    np.testing.assert_allclose(got["image"], columns["image"], atol=1e-3)


@pytest.mark.parametrize("flip, kinds", [("none", 1), ("horizontal", 2), ("both", 4)])
def test_each_flip_befalls_about_half_of_the_images(flip, kinds):
    count = 400
    mask = np.arange(20, dtype=np.uint8).reshape(4, 5)
    columns = {"image": np.zeros((count, 4, 5, 3), np.uint8), "mask": np.repeat(mask[None], count, 0)}
    got = augmented(model((4, 5), flip=flip), columns, some(count))["mask"]
    ways = [mask, mask[:, ::-1], mask[::-1], mask[::-1, ::-1]]
    seen = [int((got == way).all((1, 2)).sum()) for way in ways]
    assert sum(seen) == count and not any(seen[kinds:])
    expected = count / kinds
    assert all(abs(number - expected) <= 4 * np.sqrt(expected * (1 - 1 / kinds)) for number in seen[:kinds])


def places(source=(40, 48), count=200, **options):
    """Rows and columns [n, 40, 48] that pixels come from."""
    settings = Settings(**{**STILL, **options})
    return [part.numpy() for part in field(keys(0, 0, some(count)), settings, (40, 48), source)]


def test_bending_moves_pixels_smoothly_and_at_most_so_far():
    straight, bent = places(rotate=20.0), places(rotate=20.0, bend=6.0)
    for one, other in zip(straight, bent, strict=True):
        moved = other - one
        assert np.abs(moved).max() <= 6 + 1e-3
        assert np.abs(moved).max((1, 2)).mean() > 1.5  # knots are drawn up to 6, splines flatten them
        assert np.abs(np.diff(moved, axis=1)).max() < 2 and np.abs(np.diff(moved, axis=2)).max() < 2
    assert np.std(bent[0] - straight[0], axis=(1, 2)).min() > 0.1


def test_scale_and_angle_stay_within_their_settings():
    rows, columns = places(enlarge=2.0, shrink=1.5, flip="none")
    down, right = 1 / np.diff(rows, axis=1)[:, 0, 0], 1 / np.diff(columns, axis=2)[:, 0, 0]
    np.testing.assert_allclose(down, right, rtol=1e-3)
    assert 1 / 1.5 - 1e-3 <= down.min() < 0.75 and 1.8 < down.max() <= 2 + 1e-3
    assert abs(np.mean(down > 1) - np.log(2) / np.log(3)) < 0.15  # even in the logarithm
    rows, columns = places(stretch=1.3)
    share = np.diff(rows, axis=1)[:, 0, 0] / np.diff(columns, axis=2)[:, 0, 0]
    assert 1 / 1.3 - 1e-3 <= share.min() < 0.83 and 1.2 < share.max() <= 1.3 + 1e-3
    rows, columns = places(rotate=40.0)
    angle = np.degrees(np.arctan2(np.diff(rows, axis=2)[:, 0, 0], np.diff(rows, axis=1)[:, 0, 0]))
    assert -40.01 <= angle.min() < -30 and 30 < angle.max() <= 40.01


@pytest.mark.parametrize("source", [(40, 48), (60, 72)])
def test_an_enlarged_image_fills_its_tile_from_any_part_of_it(source):
    rows, columns = places(source, enlarge=2.0)
    for at, size in ((rows, source[0]), (columns, source[1])):
        assert -0.51 <= at.min() < 0.02 * size and 0.98 * size - 1 < at.max() <= size - 0.49


def test_a_shrunken_image_lies_whole_in_its_tile():
    rows, columns = places(shrink=2.0)
    for at, size in ((rows, 40), (columns, 48)):
        assert (at.min((1, 2)) <= 0.51).all() and (at.max((1, 2)) >= size - 1.51).all()


def test_only_tiles_are_mirrored():
    at = [tf.constant(part) for part in places(shrink=2.0)]
    for kept, own in zip(inside(at, Settings(fit_image="resize"), (40, 48)), at, strict=True):
        np.testing.assert_array_equal(kept, own)
    rows, columns = inside(at, Settings(fit_image="tile"), (40, 48))
    assert rows.numpy().min() >= 0 and rows.numpy().max() <= 39
    assert columns.numpy().min() >= 0 and columns.numpy().max() <= 47


# Light and colour

def test_light_keeps_the_range_of_pixels_and_the_order_of_greys():
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.float32)[None, None, :, None], (50, 2, 1, 3))
    got = light(tf.constant(ramp), keys(0, 0, some(50)), 1.0, 0.5).numpy()
    assert np.isfinite(got).all() and got.min() == 0 and got.max() == 255
    assert (np.diff(got, axis=2) >= -1e-3).all()
    assert got.mean((1, 2, 3)).std() > 10


def test_light_is_off_at_nothing_and_colour_leaves_grey_images_alone():
    image = np.random.default_rng(0).uniform(0, 255, (5, 6, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(light(tf.constant(image), keys(0, 0, some(5)), 0.0, 0.0), image)
    np.testing.assert_array_equal(light(tf.constant(image[..., :1]), keys(0, 0, some(5)), 0.0, 0.5), image[..., :1])
    tinted = light(tf.constant(image / 2), keys(0, 0, some(5)), 0.0, 0.5).numpy() / (image / 2)
    np.testing.assert_allclose(tinted, np.broadcast_to(tinted[:, :1, :1], tinted.shape), rtol=1e-3)
    factors = tinted[:, 0, 0]
    assert np.exp(-0.5) - 1e-3 <= factors.min() and factors.max() <= np.exp(0.5) + 1e-3
    assert (factors.std(1) > 0.02).all()


def test_light_of_a_small_setting_changes_little():
    image = np.random.default_rng(0).uniform(60, 190, (20, 6, 7, 3)).astype(np.float32)
    small, large = (np.abs(light(tf.constant(image), keys(0, 0, some(20)), most, 0.0).numpy() - image).mean()
                    for most in (0.05, 0.5))
    assert 0 < 5 * small < large


def test_light_leaves_a_dim_image_its_objects():
    dim = np.full((200, 8, 8, 1), 3, np.float32)
    dim[:, 2:5, 2:5] = 12
    got = light(tf.constant(dim), keys(0, 0, some(200)), 0.3, 0.0).numpy()
    assert (got[:, 2:5, 2:5].mean((1, 2, 3)) - got[:, 6:].mean((1, 2, 3))).min() > 2


def test_haze_is_smooth_light_over_parts_of_an_image_and_no_more_than_asked():
    images = np.random.default_rng(0).uniform(10, 90, (100, 32, 48, 1)).astype(np.float32)
    np.testing.assert_array_equal(haze(tf.constant(images), keys(0, 0, some(100)), 0.0), images)
    added = haze(tf.constant(images), keys(0, 0, some(100)), 0.5).numpy() - images
    share = added / images.max((1, 2, 3), keepdims=True)
    assert share.min() > -1e-6 and 0.4 < share.max() < 0.5 + 1e-6
    assert 0.3 < (share < 1e-6).mean() < 0.7
    assert np.abs(np.diff(share, axis=1)).max() < 0.1 and np.abs(np.diff(share, axis=2)).max() < 0.1
    bright = haze(tf.constant(images * 2.5), keys(0, 0, some(100)), 1.0).numpy()
    assert bright.max() <= 255


# An epoch

def test_an_epoch_is_a_function_of_seed_and_epoch():
    which = model((16, 16), "tile", **{**ALL, "light": 0.3, "color": 0.1})
    rows = blobs(6, 24, 24)

    def epochs(*numbers, seed=0):
        feed = Feed(which, which.examples(Split(dict(rows))), 2, seed, "memory", None)
        batches = feed.dataset()
        for number in numbers:
            feed.begin(number, 0)
            yield [np.concatenate(parts) for parts in zip(*([part.numpy() for part in batch] for batch in batches),
                                                          strict=True)]

    (first, later), [again], [other] = epochs(0, 1), epochs(0), epochs(0, seed=7)
    assert first[0].shape == (6, 16, 16, 3) and first[1].shape == (6, 16, 16)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    for different in (later, other):
        assert not np.isclose(np.sort(first[0].mean((1, 2, 3))), np.sort(different[0].mean((1, 2, 3)))).all()
        assert {row.tobytes() for row in first[1]} != {row.tobytes() for row in different[1]}
