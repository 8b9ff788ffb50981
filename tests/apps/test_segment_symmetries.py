"""Answers that are means over the ways an image can lie, and files that give them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from scipy.special import softmax
from test_segment_model import RANDOM, build, noise

from apps.segment import app
from apps.segment.symmetries import WAYS, lay, lay_back, mean_over
from shared.export.convert import convert
from shared.export.saved_model import write_saved_model
from shared.facts import Facts

MIRRORS = [lambda x: x, np.fliplr]
TURNS = [lambda x, quarters=quarters, mirror=mirror: np.rot90(mirror(x), quarters) for quarters in range(4)
         for mirror in MIRRORS]


@pytest.mark.parametrize("name,by_hand", [("mirror", MIRRORS), ("all", TURNS)])
def test_ways_are_those_of_mirrors_and_quarter_turns(name, by_hand):
    image = np.arange(18.0).reshape(1, 3, 3, 2)
    want = {turn(image[0]).tobytes() for turn in by_hand}
    assert len(want) == len(by_hand)
    assert {np.asarray(lay(image, way))[0].tobytes() for way in WAYS[name]} == want
    for way in WAYS[name]:
        np.testing.assert_array_equal(lay_back(lay(image, way), way), image)


def test_the_mean_is_over_what_a_network_says_of_each_way_laid_back():
    # This one adds the column's number: turned by hand, each answer is the image and a ramp along one of four ways.
    images = RANDOM.random((2, 5, 5, 1)).astype(np.float32)
    ramp = np.arange(5, dtype=np.float32)[None, None, :, None]
    mirrored = mean_over(WAYS["mirror"], lambda x: x + ramp, images)
    np.testing.assert_allclose(mirrored, images + 2, atol=1e-5)  # the ramp and its mirror image
    np.testing.assert_allclose(mean_over(WAYS["all"], lambda x: x + ramp ** 2, images),
                               images + (ramp ** 2 + ramp[:, :, ::-1] ** 2
                                         + np.swapaxes(ramp ** 2 + ramp[:, :, ::-1] ** 2, 1, 2)) / 4, atol=1e-5)


def test_the_more_ways_an_image_is_laid_the_fewer_are_answered_at_once():
    assert {name: max(1, len(ways)) for name, ways in WAYS.items()} == app.WAYS
    one, eight = (app.Segment().at_once(Facts({"size": [256, 256], "symmetries": name})) for name in ("none", "all"))
    assert one == 8 * eight and eight * 8 * 256 * 256 <= app.MOST_AT_ONCE
    assert app.Segment().at_once(Facts({"size": [4096, 4096], "symmetries": "all"})) == 1


@pytest.mark.parametrize("name,turns,size", [("mirror", MIRRORS, (16, 24)), ("all", TURNS, (16, 16))])
def test_a_turned_image_has_the_turned_answer(name, turns, size):
    model, plain = build(size, facts={"symmetries": name}), build(size)
    network = model.network()
    image = noise(*size, 3)

    def chances(of, pixels):
        given = of.pipeline(network)({"image": tf.constant(np.ascontiguousarray(pixels)[None])})
        return {name: value.numpy()[0] for name, value in given.items()}

    want = chances(model, image)
    for turn in turns:
        given = chances(model, turn(image))
        np.testing.assert_allclose(given["confidence"], turn(want["confidence"]), atol=1e-5)
    assert np.abs(want["confidence"] - chances(plain, image)["confidence"]).max() > 1e-4


def test_files_answer_by_the_same_mean(tmp_path):
    model = build((16, 16), facts={"symmetries": "all"})
    network = model.network()
    for layer in network.layers:  # so that normalisation is not that of an untrained network
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(RANDOM.normal(size=layer.moving_mean.shape) / 5)
    image = noise(16, 16, 3)
    write_saved_model(model, network, tmp_path / "saved", "segment", model.facts)
    assert convert(tmp_path / "saved", "float32", tmp_path / "file.tflite", None) is None
    given = Interpreter(str(tmp_path / "file.tflite")).get_signature_runner()(image=image[None])
    laid = [model.preprocess({"image": tf.constant(np.ascontiguousarray(turn(image))[None])}) for turn in TURNS]
    back = [np.rot90(network(one).numpy()[0], -(number // 2)) for number, one in enumerate(laid)]
    logits = np.mean([np.fliplr(one) if number % 2 else one for number, one in enumerate(back)], 0)
    np.testing.assert_allclose(given["confidence"][0], softmax(logits, -1).max(-1), atol=1e-4)
