"""Masks over images, and the colours for it."""

import numpy as np

HATCH = 6  # pixels from one line over void to the next
BAND = 1 << 20  # pixels that are worked on at once


def palette(count: int) -> np.ndarray:
    """The colours of Pascal VOC (`VOClabelcolormap` of its development kit), uint8 `[count, 3]`; number 0 is black.

    Bits 0, 3 and 6 of a class number become the highest bits of red, bits 1, 4 and 7 of green, 2 and 5 of blue.

    Raises:
        ValueError: more than 256 colours.
    """
    if not 0 <= count <= 256:
        raise ValueError(f"There are colours for 256 classes, not for {count}.")
    numbers, channels = np.arange(count)[:, None], np.arange(3)
    colors = np.zeros((count, 3), np.int64)
    for place in range(3):
        colors |= (numbers >> (3 * place + channels) & 1) << (7 - place)
    return colors.astype(np.uint8)


def overlay(image: np.ndarray, mask: np.ndarray, colors: np.ndarray, void: int = 255,
            strength: float = 0.5) -> np.ndarray:
    """An image tinted by class; where a class is black it stays as it is.

    Args:
        image: uint8 `[h, w, 1]` or `[h, w, 3]`.
        mask: class numbers, any integer dtype, `[h, w]`.
        colors: uint8 `[classes, 3]`.
        void: the number of pixels without class, which are darkened and hatched.
        strength: of the tint, from 0 to 1; pixels that touch another class get more.

    Returns:
        uint8 `[h, w, 3]`.
    """
    height, width = mask.shape
    band = max(1, BAND // max(1, width))
    made = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, band):  # a whole of 400 million pixels would take 20 GB in between
        before, after = max(0, top - 1), min(height, top + band + 1)
        tinted = _tinted(image[before:after], mask[before:after], colors, void, strength, before)
        made[top:top + band] = tinted[top - before:top - before + band]
    return made


def _tinted(image: np.ndarray, mask: np.ndarray, colors: np.ndarray, void: int, strength: float,
            first: int) -> np.ndarray:
    """`overlay` of the rows from number `first` on."""
    image = np.broadcast_to(image, (*mask.shape, 3)).astype(np.float32)
    known = mask != void
    tint = np.asarray(colors, np.float32)[np.where(known, mask, 0)]
    share = np.where(touching(mask, void), (1 + 2 * strength) / 3, strength)[..., None] * tint.any(-1, keepdims=True)
    rows, columns = np.indices(mask.shape)
    hatched = np.where((rows + first + columns) % HATCH == 0, 128, 0.3 * image.mean(-1))[..., None]
    return np.where(known[..., None], image + share * (tint - image), hatched).round().astype(np.uint8)


def touching(mask: np.ndarray, void: int) -> np.ndarray:
    """Whether one of a pixel's four neighbours is of another class, bool `[h, w]`; neither void nor the rim is one."""
    known = mask != void
    found = np.zeros(mask.shape, bool)
    for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        other = (mask[ahead] != mask[behind]) & known[ahead] & known[behind]
        found[ahead] |= other
        found[behind] |= other
    return found
