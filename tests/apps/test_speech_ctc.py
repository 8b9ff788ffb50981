"""The loss against the sum over all alignments, greedy decoding against plain Python."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.speech.ctc import CTCModel, ctc_loss, greedy


def collapsed(path, none):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != none)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("symbols,steps", [(1, 4), (2, 5), (3, 4)])
def test_the_loss_sums_over_all_alignments(symbols, steps):
    rng = np.random.default_rng(symbols)
    for labels in [(), (0,), (0, 0), tuple(rng.integers(symbols, size=3))]:
        logits = rng.normal(size=(1, steps + 2, symbols + 1)).astype(np.float32)
        scores = log_softmax(logits[0, :steps].astype(np.float64))
        total = sum(np.exp(sum(scores[step, symbol] for step, symbol in enumerate(path)))
                    for path in itertools.product(range(symbols + 1), repeat=steps)
                    if collapsed(path, symbols) == labels)
        padded = np.full((1, 4), -1, np.int32)
        padded[0, :len(labels)] = labels
        loss = ctc_loss(padded, logits, np.array([steps], np.int32)).numpy()
        np.testing.assert_allclose(loss, [-np.log(total) if total else 0], rtol=1e-4)  # or they do not fit


def test_labels_that_do_not_fit_their_frames_count_nothing_and_spoil_nothing():
    logits = tf.Variable(np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32))
    labels = np.array([[0, 0, 1, -1], [0, 1, 0, 1], [1, -1, -1, -1]], np.int32)
    with tf.GradientTape() as tape:
        losses = ctc_loss(labels, logits, np.array([3, 4, 0], np.int32))  # the first needs 4 frames
        total = tf.reduce_sum(losses)
    gradient = tape.gradient(total, logits).numpy()
    assert losses[0] == 0 == losses[2] and losses[1] > 0
    assert not gradient[0].any() and not gradient[2].any() and gradient[1].any() and np.isfinite(gradient).all()


def test_gradients_are_those_of_finite_differences_and_none_behind_the_last_frame():
    rng = np.random.default_rng(1)
    logits = tf.Variable(rng.normal(size=(2, 6, 4)).astype(np.float32))
    labels, frames = np.array([[0, 1, 2], [2, 2, -1]], np.int32), np.array([6, 4], np.int32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(ctc_loss(labels, logits, frames))
    gradient = tape.gradient(total, logits).numpy()
    assert not gradient[1, 4:].any()
    for place in [(0, 0, 1), (0, 5, 3), (1, 2, 2), (1, 3, 0)]:
        moved = []
        for step in (0.01, -0.01):
            near = logits.numpy()
            near[place] += step
            moved.append(ctc_loss(labels, near, frames).numpy().sum())
        np.testing.assert_allclose(gradient[place], (moved[0] - moved[1]) / 0.02, atol=2e-3)


def test_greedy_decoding():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(40, 9, 4)).astype(np.float32) * 3
    frames = rng.integers(0, 10, 40).astype(np.int32)
    made = {name: value.numpy() for name, value in greedy(tf.constant(logits), tf.constant(frames)).items()}
    sure = np.exp(log_softmax(logits.astype(np.float64))).max(-1)
    for row in range(40):
        best, want, at = logits[row, :frames[row]].argmax(-1), [], 0
        for symbol, group in itertools.groupby(best):
            size = len(list(group))
            if symbol != 3:
                want.append((symbol, at, sure[row, at:at + size].mean()))
            at += size
        count = made["count"][row]
        assert count == len(want)
        assert made["symbols"][row, :count].tolist() == [symbol for symbol, _, _ in want]
        assert made["frames"][row, :count].tolist() == [place for _, place, _ in want]
        np.testing.assert_allclose(made["confidences"][row, :count], [mean for _, _, mean in want], atol=1e-5)
        assert all((made[name][row, count:] == -1).all() for name in ("symbols", "frames", "confidences"))


def test_a_model_learns_by_it_and_is_saved_and_loaded(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = {"features": keras.Input([12, 3], name="features"),
              "frames": keras.Input([], dtype="int32", name="frames")}
    model = CTCModel(inputs, keras.layers.Dense(4)(keras.layers.Conv1D(16, 3, padding="same", activation="relu")(
        inputs["features"])))
    model.compile(keras.optimizers.Adam(0.05))
    features = np.eye(3, dtype=np.float32)[np.repeat([[0, 1, 2, 0], [2, 1, 0, 1]], 3, 1)]
    x, y = {"features": features, "frames": np.array([12, 12])}, np.array([[0, 1, 2, 0], [2, 1, 0, 1]])
    model.fit(x, y, epochs=60, verbose=0)
    assert greedy(model(x), tf.constant([12, 12]))["symbols"].numpy()[:, :4].tolist() == y.tolist()
    model.save(tmp_path / "made.keras")
    again = keras.saving.load_model(tmp_path / "made.keras", safe_mode=True)
    np.testing.assert_allclose(again(x), model(x))
    assert again.halved == 0
