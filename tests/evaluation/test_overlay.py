import numpy as np
import pytest

from shared.evaluation.overlay import overlay, palette, touching

# From the table that `VOClabelcolormap` of the Pascal VOC development kit gives.
VOC = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128),
       8: (64, 0, 0), 15: (192, 128, 128), 16: (0, 64, 0), 20: (0, 64, 128), 64: (32, 0, 0), 255: (224, 224, 192)}
COLORS = np.array([[0, 0, 0], [200, 100, 0], [0, 0, 240]], np.uint8)


def test_the_palette_is_that_of_pascal_voc():
    colors = palette(256)
    assert colors.dtype == np.uint8 and colors.shape == (256, 3)
    assert {number: tuple(colors[number].tolist()) for number in VOC} == VOC
    assert len({tuple(color) for color in colors.tolist()}) == 256
    assert (palette(21) == colors[:21]).all() and palette(0).shape == (0, 3)
    with pytest.raises(ValueError, match="256"):
        palette(257)


def bands():
    """Ten rows each of black, of 1, of 2 and of void."""
    return np.repeat([0, 1, 2, 255], 10)[:, None] * np.ones((1, 30), np.int64)


def test_classes_are_tinted_and_black_is_left():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype("uint8")
    made = overlay(image, bands(), COLORS)
    assert made.dtype == np.uint8 and made.shape == (40, 30, 3)
    assert (made[:10] == image[:10]).all()
    for number, inside in ((1, slice(11, 19)), (2, slice(21, 29))):
        want = (image[inside].astype(float) + COLORS[number]) / 2
        np.testing.assert_allclose(made[inside], want, atol=0.5)


def test_a_first_class_that_is_not_black_is_tinted():
    made = overlay(np.full((4, 4, 3), 100, "uint8"), np.zeros((4, 4), "uint8"), np.array([[200, 0, 100]], "uint8"))
    assert (made == [150, 50, 100]).all()


def test_borders_are_stronger_on_both_sides():
    image = np.full((40, 30, 3), 255, "uint8")
    made = overlay(image, bands(), COLORS).astype(int)
    for border, inside in ((10, 15), (19, 15), (20, 25)):
        color = COLORS[1 if inside == 15 else 2].astype(int)
        assert (np.abs(made[border] - color).sum(-1) < np.abs(made[inside] - color).sum(-1)).all()
    assert (made[29] == made[25]).all()  # void is no class


def test_void_is_dark_and_hatched_whatever_its_number():
    image = np.full((40, 30, 3), 200, "uint8")
    made = overlay(image, bands(), COLORS)[30:]
    shades, counts = np.unique(made, return_counts=True)
    assert shades.tolist() == [60, 128] and counts[0] > 3 * counts[1]
    other = np.where(bands() == 255, 7, bands())
    assert (overlay(image, other, COLORS, void=7)[30:] == made).all()


def test_strength_runs_from_the_image_to_the_colour():
    image, mask = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype("uint8"), np.ones((9, 9), "uint8")
    assert (overlay(image, mask, COLORS, strength=0) == image).all()
    assert (overlay(image, mask, COLORS, strength=1) == COLORS[1]).all()


def test_grey_images_become_coloured_and_arguments_stay():
    image, mask = np.full((40, 30, 1), 100, "uint8"), bands().astype("uint8")
    before = image.copy(), mask.copy()
    assert (overlay(image, mask, COLORS) == overlay(np.repeat(image, 3, 2), mask, COLORS)).all()
    assert (image == before[0]).all() and (mask == before[1]).all()


def test_touching_is_a_neighbour_of_another_class():
    mask = np.random.default_rng(0).choice([0, 1, 2, 9], (12, 9))
    want = np.zeros(mask.shape, bool)
    for row, column in np.ndindex(mask.shape):
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= y < 12 and 0 <= x < 9 and 9 not in (mask[row, column], mask[y, x]):
                want[row, column] |= mask[row, column] != mask[y, x]
    assert (touching(mask, 9) == want).all() and want.any() and not want.all()


def test_bands_do_not_show(monkeypatch):
    import shared.evaluation.overlay as module
    random = np.random.default_rng(0)
    image, mask = random.integers(0, 256, (31, 20, 3)).astype(np.uint8), random.choice([0, 1, 2, 255], (31, 20))
    want = overlay(image, mask, palette(3))
    for band in (1, 40, 100):
        monkeypatch.setattr(module, "BAND", band)
        np.testing.assert_array_equal(overlay(image, mask, palette(3)), want)
