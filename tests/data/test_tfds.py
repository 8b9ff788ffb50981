"""Sets of TensorFlow Datasets, written here as TFRecords and read offline."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from shared.data.tfds import load_tfds
from shared.errors import UserError

RANDOM = np.random.default_rng(0)
NAMES = ["ant", "bee", "cat"]


@pytest.fixture(scope="session")
def prepare(write_tfds):
    """Writes a set of images and labels: `splits` gives (images, labels) by name."""
    def write(top, name, shape, splits, dtype=np.uint8, features=None, keys=("image", "label")):
        features = features or {"image": tfds.features.Image(shape=shape, dtype=dtype, encoding_format="png"),
                                "label": tfds.features.ClassLabel(names=NAMES)}
        write_tfds(top, name, features, {split: [
            {"image": image, "label": label} for image, label in zip(*pairs, strict=True)]
            for split, pairs in splits.items()}, keys)
    return write


def some(count, shape, most=255, dtype=np.uint8):
    return (RANDOM.integers(0, most + 1, (count, *shape)).astype(dtype),
            [int(n) for n in RANDOM.integers(0, len(NAMES), count)])


GREY = {"train": some(20, (6, 5, 1)), "test": some(7, (6, 5, 1)), "extra": some(3, (6, 5, 1))}


@pytest.fixture(scope="module")
def grey(tmp_path_factory, prepare):
    top = tmp_path_factory.mktemp("grey")
    prepare(top, "tiny_grey", (6, 5, 1), GREY)
    return str(top)


def test_pixels_and_labels_are_those_written(grey):
    dataset = load_tfds("tiny_grey", grey)
    assert (dataset.name, dataset.labels, set(dataset.splits)) == ("tfds:tiny_grey", NAMES, {"train", "test"})
    for name, split in dataset.splits.items():
        images, labels = GREY[name]
        taken = split.take(np.arange(len(split)))
        assert taken["image"].dtype == np.uint8
        np.testing.assert_array_equal(taken["image"], images)
        assert taken["label"].tolist() == labels


def test_a_set_is_read_alike_every_time(grey):
    one, again = (load_tfds("tiny_grey", grey).splits["train"] for _ in range(2))
    np.testing.assert_array_equal(one.columns["image"], again.columns["image"])
    np.testing.assert_array_equal(one.columns["label"], again.columns["label"])


def test_asked_channels_are_given(grey):
    images = load_tfds("tiny_grey", grey, channels=3).splits["train"].columns["image"]
    np.testing.assert_array_equal(images, np.repeat(GREY["train"][0], 3, -1))


def test_asked_size_is_given_and_labels_stay_with_their_images(grey):
    split = load_tfds("tiny_grey", grey, size=(12, 10)).splits["train"]
    assert split.columns["image"].shape == (20, 12, 10, 1)
    assert split.columns["label"].tolist() == GREY["train"][1]
    want = GREY["train"][0].mean((1, 2, 3))
    np.testing.assert_allclose(split.columns["image"].mean((1, 2, 3)), want, atol=8)
    assert np.corrcoef(split.columns["image"].mean((1, 2, 3)), want)[0, 1] > 0.95


def test_images_of_any_size_come_in_the_common_one(tmp_path, prepare):
    sizes = [(8, 9)] * 8 + [(20, 30), (5, 4), (9, 8)]
    images = [RANDOM.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    images[8][:] = [10, 200, 30]
    labels = [n % 3 for n in range(len(images))]
    prepare(tmp_path, "tiny_colour", (None, None, 3), {"train": (images, labels), "validation": (images[:2], [1, 2])})
    dataset = load_tfds("tiny_colour", str(tmp_path))
    train = dataset.splits["train"]
    assert train.columns["image"].shape == (11, 8, 9, 3) and train.columns["label"].tolist() == labels
    np.testing.assert_array_equal(train.columns["image"][:8], images[:8])
    assert (train.columns["image"][8] == [10, 200, 30]).all()
    np.testing.assert_array_equal(dataset.splits["validation"].columns["image"], images[:2])


def test_all_splits_come_in_one_size(tmp_path, prepare):
    train, test = some(4, (8, 8, 3)), some(4, (12, 12, 3))
    prepare(tmp_path, "tiny_two", (None, None, 3), {"train": train, "test": test})
    splits = load_tfds("tiny_two", str(tmp_path)).splits
    assert splits["train"].columns["image"].shape == splits["test"].columns["image"].shape


@pytest.mark.parametrize("shape", [(6, 5, 4), (None, None, 4)])
def test_transparency_is_white(tmp_path, shape, prepare):
    images, labels = some(4, (6, 5, 4))
    prepare(tmp_path, "tiny_clear", shape, {"train": (images, labels)})
    got = load_tfds("tiny_clear", str(tmp_path)).splits["train"].columns["image"]
    share = images[..., 3:] / 255
    np.testing.assert_allclose(got, share * images[..., :3] + (1 - share) * 255, atol=1.01)


def test_16_bits_become_8(tmp_path, prepare):
    images, labels = some(4, (6, 5, 1), 65535, np.uint16)
    prepare(tmp_path, "tiny_deep", (6, 5, 1), {"train": (images, labels)}, np.uint16)
    got = load_tfds("tiny_deep", str(tmp_path)).splits["train"].columns["image"]
    np.testing.assert_allclose(got, images / 257, atol=1.01)


@pytest.mark.parametrize("keys", [None, ("image", "label")])
def test_what_is_no_image_classification_is_refused(tmp_path, keys, prepare):
    features = {"image": tfds.features.Tensor(shape=(2,), dtype=np.float32),
                "label": tfds.features.ClassLabel(names=NAMES)}
    prepare(tmp_path, "tiny_vectors", None, {"train": (np.zeros((3, 2), np.float32), [0, 1, 2])}, features=features,
            keys=keys)
    with pytest.raises(UserError, match="tiny_vectors.*image"):
        load_tfds("tiny_vectors", str(tmp_path))


def test_a_set_without_training_examples_is_refused_with_what_it_has(tmp_path, prepare):
    prepare(tmp_path, "tiny_test", (6, 5, 1), {"test": GREY["test"], "extra": GREY["extra"]})
    with pytest.raises(UserError, match="no train split.*(test.*extra|extra.*test)"):
        load_tfds("tiny_test", str(tmp_path))


@pytest.mark.parametrize("name,near", [("mnits", "mnist"), ("cifar_10", "cifar10"), ("mnist/nonsense", "mnist")])
def test_an_unknown_set_is_refused_with_near_names(tmp_path, name, near):
    with pytest.raises(UserError, match=rf"no data set '{name}'.*did you mean.*\b{near}\b"):
        load_tfds(name, str(tmp_path))


def test_an_unknown_set_with_nothing_near_is_refused(tmp_path):
    with pytest.raises(UserError, match="no data set 'qqxxqqxxqq'"):
        load_tfds("qqxxqqxxqq", str(tmp_path))


def test_without_a_network_the_sample_is_named(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", unreachable)
    with pytest.raises(UserError, match="mnist.*--data-dir.*--data sample.*works offline") as error:
        load_tfds("mnist", str(tmp_path))
    assert str(tmp_path) in str(error.value)
