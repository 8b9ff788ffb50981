"""Sets of TensorFlow Datasets; those of image classification as splits. TensorFlow is imported when one is opened."""

import difflib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.images import common_size, fit_pixels
from shared.data.splits import SPLITS
from shared.errors import UserError
from shared.quiet import load_tensorflow


def open_tfds(name: str, data_dir: str | None, fits: Callable[[Any], None] | None = None) -> Any:
    """The prepared builder of the set `name` (may carry `/config` and `:version`), which has a train split.

    Args:
        name: as TFDS names it.
        data_dir: where prepared sets lie; TFDS's own folder where None. What is not prepared is downloaded.
        fits: looks at the builder before anything is downloaded; raises UserError where the set is of no use.

    Raises:
        UserError: there is no such set, it is not prepared and cannot be downloaded, or has no train split.
    """
    load_tensorflow()
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
    for chatty in ("absl", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        near = difflib.get_close_matches(name.split("/")[0].split(":")[0], tfds.list_builders(), 3)
        raise UserError(f"TFDS has no data set '{name}'" + (f": did you mean {' or '.join(near)}?" if near else
                                                            "; its catalogue lists all names.")) from error
    if fits:
        fits(builder)
    downloader.MAX_RETRIES = 3  # ten would take minutes to say that there is no network
    try:
        tfds.enable_progress_bar()
        builder.download_and_prepare()
        tfds.disable_progress_bar()
    except Exception as error:  # of many kinds: no network, no space, a site that is gone
        raise UserError(f"tfds:{name} is not prepared in {builder.data_dir} and cannot be downloaded "
                        f"({type(error).__name__}): name its folder by --data-dir, or use --data sample, "
                        f"which works offline.") from error
    if not any(SPLITS.get(given) == "train" for given in builder.info.splits):
        raise UserError(f"tfds:{name} has no train split; it has: {', '.join(builder.info.splits)}.")
    return builder


def load_tfds(name: str, data_dir: str | None, size: tuple[int, int] | None = None,
              channels: int | None = None) -> Dataset:
    """The image-classification set `name`, with columns `image` and `label`.

    Args:
        name, data_dir: as `open_tfds` takes them.
        size: height and width; taken from the set where None.
        channels: 1 or 3; taken from the set where None.

    Raises:
        UserError: the set cannot be had (see `open_tfds`), or has no image and label.
    """
    def fits(builder: Any) -> None:
        import tensorflow_datasets as tfds
        features = builder.info.features
        if builder.info.supervised_keys is None or not isinstance(features, tfds.features.FeaturesDict):
            raise UserError(f"tfds:{name} has no pair of image and label: choose an image-classification set.")
        image, label = builder.info.supervised_keys[:2]
        if not isinstance(features[image], tfds.features.Image) or not isinstance(features[label],
                                                                                  tfds.features.ClassLabel):
            raise UserError(f"tfds:{name} is no image-classification set: its pair is {image} and {label}.")

    builder = open_tfds(name, data_dir, fits)
    features = builder.info.features
    image, label = builder.info.supervised_keys[:2]
    if size is None and not all(features[image].shape[:2]):
        rows = builder.as_dataset(split="train", batch_size=None).take(200).as_numpy_iterator()
        size = common_size([row[image].shape[:2] for row in rows])
    splits = {SPLITS[given]: _read(builder, given, image, label, size, channels)
              for given in builder.info.splits if given in SPLITS}
    return Dataset(f"tfds:{name}", splits, list(features[label].names), public=True)


def _read(builder: Any, given: str, image: str, label: str, size: tuple[int, int] | None,
          channels: int | None) -> Split:
    rows = builder.as_dataset(split=given, batch_size=None)
    total = builder.info.splits[given].num_examples
    height, width, depth = builder.info.features[image].shape
    depth = channels or (1 if depth == 1 else 3)
    size = size or (height, width)
    pixels, labels = np.empty((total, *size, depth), np.uint8), np.empty(total, np.int64)
    if (height, width) == tuple(size):
        at = 0
        for batch in rows.batch(1024).as_numpy_iterator():
            end = at + len(batch[label])
            as_they_are = batch[image].shape[-1] == depth and batch[image].dtype == np.uint8
            pixels[at:end] = batch[image] if as_they_are else [fit_pixels(one, *size, depth) for one in batch[image]]
            labels[at:end] = batch[label]
            at = end
    else:
        for at, row in enumerate(rows.as_numpy_iterator()):
            pixels[at], labels[at] = fit_pixels(row[image], *size, depth), row[label]
    return Split({"image": pixels, "label": labels})
