"""A causal keyword network: no step sees a later one, and chunk by chunk it answers as with the whole clip."""

import numpy as np
import pytest
import tensorflow as tf
from speech_models import RATE, built

from apps.speech.app import Settings, Speech
from apps.speech.chunks import by_chunks
from apps.speech.frames import MARGIN, chunk_size
from apps.speech.sounds import to_float
from shared.app import App
from shared.errors import UserError
from shared.evaluation.predictors import TFLitePredictor
from shared.export.convert import convert
from shared.export.proof import prove
from shared.export.saved_model import write_saved_model
from shared.files import arrays_to_bytes
from shared.metadata import pack
from shared.signature import Tensor

CHUNK = chunk_size(80)


def heard(model, network, clip, reset=0):
    """The answers of the stream after each chunk."""
    signature = model.signatures(network)["stream"]
    state, answers = np.zeros((1, *signature.inputs["state"].shape), np.float32), []
    run = tf.function(signature.function)
    for start in range(0, len(clip), CHUNK):
        answer = run({"samples": tf.constant(clip[None, start:start + CHUNK]), "state": tf.constant(state)})
        state = answer["state"].numpy()
        answers.append(answer["probabilities"].numpy()[0])
    return answers


@pytest.mark.parametrize("window", [0.025, 0.01])
def test_each_chunk_is_answered_as_the_clip_so_far(window):
    model, network, _ = built(causal=True, depth=2, filters=32, window=window)
    most = model.facts["max_samples"] // CHUNK * CHUNK
    clip = np.random.default_rng(3).normal(size=most).astype(np.float32) * 0.2
    silence = round(MARGIN * RATE)
    pipeline = model.pipeline(network)
    seen = []
    for length in range(CHUNK, most + 1, CHUNK):
        spoken = np.where(np.arange(most) < length - silence, clip, 0).astype(np.float32)
        samples = np.pad(spoken, (0, model.facts["max_samples"] - most))[None]
        whole = pipeline({"samples": tf.constant(samples), "length": tf.constant([length - silence])})
        seen.append(heard(model, network, spoken[:length])[-1])
        np.testing.assert_allclose(seen[-1], whole["probabilities"][0], atol=1e-5)
    assert len(seen) > 4 and np.ptp([row[0] for row in seen]) > 1e-3


def test_what_was_heard_long_ago_is_forgotten():
    model, network, _ = built(causal=True, filters=32)
    rng = np.random.default_rng(4)
    size = (-(-model.facts["max_samples"] // CHUNK) + 5) * CHUNK  # and as much as the convolutions see
    last = rng.normal(size=size).astype(np.float32)
    one, other = (heard(model, network, np.concatenate([rng.normal(size=size).astype(np.float32), last]))[-1]
                  for _ in range(2))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_no_causal_step_sees_a_later_one():
    model, network, _ = built(causal=True, depth=2, filters=32)
    inner = tf.keras.Model(network.input, [one.output for one in network.layers if one.name.startswith("conv2d")])
    features = np.random.default_rng(5).normal(size=(1, *network.input["features"].shape[1:])).astype(np.float32)
    changed = features.copy()
    changed[:, 20:] = 0
    frames = tf.constant([features.shape[1]])
    made = [inner({"features": tf.constant(given), "frames": frames}) for given in (features, changed)]
    for one, other in zip(*made, strict=True):
        assert np.array_equal(one[:, :10], other[:, :10]) and not np.array_equal(one[:, 10:], other[:, 10:])


def test_clips_are_heard_chunk_by_chunk_to_their_end():
    def mean(raw):  # of what was heard, kept as sum and count
        assert raw["samples"].shape == (1, 30) and raw["samples"].dtype == np.float32
        state = raw["state"] + [[raw["samples"].sum(), 30.0]]
        return {"mean": state[:, 0] / state[:, 1], "state": state.astype(np.float32)}
    samples = np.random.default_rng(0).uniform(size=(5, 100)).astype(np.float32)
    length = np.array([100, 30, 31, 60, 0], np.int32)
    answer = by_chunks(mean, {"samples": Tensor((30,), "float32"), "state": Tensor((2,), "float32")}, silence=7)
    made = answer({"samples": samples, "length": length})
    sums = [row[:count].sum() for row, count in zip(samples, length, strict=True)]
    np.testing.assert_allclose(made["mean"], np.array(sums) / [120, 60, 60, 90, 30], rtol=1e-5)
    assert set(made) == {"mean"}


def test_what_cannot_be_causal_is_refused():
    with pytest.raises(UserError, match="--causal: cnn_gru looks at the whole clip"):
        Speech().check(Settings(causal=True, model="cnn_gru"))
    for whole in ({"normalize": "clip"}, {"dynamic_range": 30}, {"noise_floor": 6}):
        with pytest.raises(UserError, match="look at the whole clip; leave them out"):
            Speech().check(Settings(causal=True, **whole))
    with pytest.raises(UserError, match="samples are lost"):
        Speech().check(Settings(causal=True, window=0.01, hop=0.02))
    with pytest.raises(UserError, match="chunk by chunk"):
        built(sentences=True, causal=True)


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_a_file_answers_by_both_signatures(tmp_path, variant):
    model, network, dataset = built(causal=True, filters=32)
    examples = model.examples(dataset.splits["train"])
    columns = {"samples": to_float(examples.columns["samples"]), "length": examples.columns["length"]}
    ranges = {f"{key}/{name}": column for key, given in model.ranges(network, columns).items()
              for name, column in given.items()}
    (tmp_path / "ranges.npz").write_bytes(arrays_to_bytes(ranges))
    record = write_saved_model(model, network, tmp_path / "saved", "speech", model.facts)
    file = tmp_path / "speech.tflite"
    assert convert(tmp_path / "saved", variant, file, tmp_path / "ranges.npz") is None
    file.write_bytes(pack(file.read_bytes(), record, model.facts))
    opened = {name: TFLitePredictor(file, signature=name) for name in ("serving_default", "stream")}
    assert opened["stream"].inputs["samples"].shape == (CHUNK,) == (model.facts["chunk"],)
    length = columns["length"] // CHUNK * CHUNK - round(MARGIN * RATE)  # or what a chunk lacks is silence too
    whole = {**columns, "length": length}
    one, other = opened["serving_default"](whole), Speech().ways(opened)["stream"](whole)
    apart = np.abs(one["probabilities"] - other["probabilities"]).max()
    assert apart < {"float32": 1e-4, "int8": 0.15}[variant] and np.ptp(one["probabilities"], 0).max() > 1e-4
    assert f"{CHUNK} samples at a time" in Speech().any_size(model.facts)
    split, golden = dataset.splits["train"], Speech().golden(model.facts)
    unheard = type("Unheard", (Speech,), {"ways": App.ways})()
    proof, other_proof = (prove(app, file, variant, 0.0, golden, split, model.facts, 100, False)
                          for app in (Speech(), unheard))
    assert proof.row["passed"] and 0 <= proof.row["stream_score"] <= 1
    assert other_proof.row["reason"] == "nothing scores the signature stream" and not other_proof.row["passed"]
