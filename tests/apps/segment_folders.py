"""Folders of images and masks, made for tests and read again."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from apps.segment.data import load
from shared.errors import UserError
from shared.facts import Facts
from shared.settings import DataSettings

RANDOM = np.random.default_rng(0)
HIGH, WIDE = 6, 9
COLORS = np.array([[0, 0, 0], [128, 64, 128], [0, 0, 255]], np.uint8)


@dataclass(kw_only=True)
class Settings(DataSettings):
    void: int = 255
    objects: bool = False


def read(top, facts=None, **options):
    return load(Settings(data=str(top), **options), Facts(facts) if facts else None)


def refused(top, *words, facts=None, **options):
    """The message, one sentence on one line with all these words."""
    with pytest.raises(UserError) as error:
        read(top, facts, **options)
    message = str(error.value)
    assert all(str(word) in message for word in words), message
    assert "\n" not in message
    return message


def some(high=HIGH, wide=WIDE, channels=3):
    return RANDOM.integers(0, 256, (high, wide, channels), np.uint8).squeeze()


def truth(values, high=HIGH, wide=WIDE):
    """A mask that has all of these values."""
    mask = RANDOM.choice(values, (high, wide))
    mask.flat[:len(values)] = values
    return mask.astype(np.uint16 if max(values) > 255 else np.uint8)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
    return path


def fill(top, pairs, masks="masks"):
    """Writes image and mask by stem."""
    for stem, (image, mask) in pairs.items():
        write(top / "images" / f"{stem}.png", image)
        write(top / masks / f"{stem}.png", mask)
    return top


def simple(values=(0, 1, 2), stems="abc"):
    return {stem: (some(), truth(list(values))) for stem in stems}


def taken(dataset, name="train"):
    split = dataset.splits[name]
    return split.take(np.arange(len(split)))


def same(rows, wanted):
    assert len(rows) == len(wanted)
    for row, want in zip(rows, wanted, strict=True):
        assert row.dtype == want.dtype
        np.testing.assert_array_equal(row, want)
