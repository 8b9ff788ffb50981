"""Three hearings of a clip, its bands as they are, lower and higher: their mean, in NumPy and in the files."""

import numpy as np
import pytest
import tensorflow as tf
from speech_models import RATE, built

from apps.speech.app import Settings, Speech
from shared.errors import UserError
from shared.evaluation.predictors import TFLitePredictor
from shared.export.convert import convert
from shared.export.saved_model import write_saved_model
from shared.files import arrays_to_bytes
from shared.metadata import pack

SHARE = 0.2


def sounds(model):
    """Tones that rise, from other heights, in noise: noise alone is the same however its bands are moved."""
    size, rng = model.facts["max_samples"], np.random.default_rng(2)
    at = np.arange(size) / RATE
    tones = np.sin(2 * np.pi * (np.array([[300], [700], [1300], [2000]]) + 900 * at) * at)
    samples = (0.5 * tones + 0.01 * rng.normal(size=tones.shape)).astype(np.float32)
    return {"samples": samples, "length": np.array([size, size // 2, size // 3, 0], np.int32)}


def mean_of_three(network, inputs):
    """Softmax of each hearing, moved by `np.interp`, and their mean."""
    features, bands = inputs["features"].numpy(), inputs["features"].shape[2]
    made = []
    for share in (0, -SHARE, SHARE):
        place = np.clip(np.arange(bands) * (1 + share), 0, bands - 1)
        moved = np.apply_along_axis(lambda row, at=place: np.interp(at, np.arange(bands), row), 2, features)
        given = {"features": moved.astype(np.float32), "frames": inputs["frames"].numpy()}
        logits = network(given, training=False).numpy()
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        made.append(powers / powers.sum(-1, keepdims=True))
    return np.mean(made, axis=0)


@pytest.mark.parametrize("model", ["separable", "cnn_gru"])
def test_words_are_the_mean_of_three_hearings(model):
    made, network, _ = built(model=model, test_time_pitch=SHARE, filters=32, depth=2)
    raw = {name: tf.constant(value) for name, value in sounds(made).items()}
    answer = made.pipeline(network)(raw)
    want = mean_of_three(network, made.preprocess(raw))
    np.testing.assert_allclose(answer["probabilities"], want, atol=1e-5)
    once, _, _ = built(model=model, filters=32, depth=2)
    assert np.abs(once.pipeline(network)(raw)["probabilities"] - want).max() > 1e-3


def test_sentences_are_the_mean_of_three_hearings_frame_by_frame():
    made, network, _ = built(sentences=True, test_time_pitch=SHARE, filters=32, depth=2)
    raw = {name: tf.constant(value) for name, value in sounds(made).items()}
    inputs = made.preprocess(raw)
    answer, want = made.pipeline(network, details=True)(raw), mean_of_three(network, inputs)
    given = np.exp(answer["log_probabilities"])
    for row, count in enumerate(-(-inputs["frames"].numpy() // 2)):
        np.testing.assert_allclose(given[row, :count], want[row, :count], atol=1e-5)
        best = want[row, :count].argmax(1)
        said = [symbol for symbol, before in zip(best, [3, *best[:-1]], strict=True) if symbol not in (3, before)]
        assert answer["symbols"][row, :answer["count"][row]].numpy().tolist() == said
    once = built(sentences=True, filters=32, depth=2)[0].pipeline(network, details=True)(raw)["log_probabilities"]
    assert np.abs(np.exp(once[0]) - want[0]).max() > 1e-3  # of all its frames


@pytest.mark.parametrize("variant", ["float32", "int8"])
@pytest.mark.parametrize("sentences", [False, True])
def test_files_hear_three_times_too(tmp_path, variant, sentences):
    model, network, _ = built(sentences=sentences, test_time_pitch=SHARE, filters=32, depth=2)
    given = sounds(model)
    (tmp_path / "ranges.npz").write_bytes(arrays_to_bytes(
        {f"serving_default/{name}": value for name, value in given.items()}))
    record = write_saved_model(model, network, tmp_path / "saved", "speech", model.facts)
    file = tmp_path / "speech.tflite"
    assert convert(tmp_path / "saved", variant, file, tmp_path / "ranges.npz") is None
    file.write_bytes(pack(file.read_bytes(), record, model.facts))
    answer, want = TFLitePredictor(file)(given), model.pipeline(network)(given)
    if sentences:
        assert set(answer) == {"symbols", "frames", "confidences", "count"}
        if variant == "float32":
            np.testing.assert_array_equal(answer["symbols"], want["symbols"])
    else:
        apart = np.abs(answer["probabilities"] - want["probabilities"]).max()
        assert apart < {"float32": 1e-4, "int8": 0.15}[variant] and np.ptp(answer["probabilities"], 0).max() > 1e-3


def test_what_has_no_bands_of_a_whole_clip_cannot_be_heard_three_times():
    for other in ({"coefficients": 13}, {"causal": True}):
        with pytest.raises(UserError, match="--test-time-pitch moves the bands of whole clips"):
            Speech().check(Settings(test_time_pitch=0.1, **other))
