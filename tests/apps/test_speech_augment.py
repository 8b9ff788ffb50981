"""How sounds are varied while training, against what the words say."""

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from apps.speech import augment
from apps.speech.app import Settings, Speech
from apps.speech.data import recordings
from shared.errors import UserError

RATE = 8000


def test_a_stretched_tone_has_another_pitch_and_length():
    size, keys = 8000, tf.constant(np.arange(20), tf.uint32)
    tone = np.zeros((20, size), np.float32)
    tone[:, :4000] = np.sin(2 * np.pi * 500 * np.arange(4000) / RATE)
    made, length = augment.stretch(tf.constant(tone), tf.constant([4000] * 20), keys, 0.2)
    speeds = 4000 / length.numpy()
    assert 0.83 < speeds.min() < 0.95 and 1.05 < speeds.max() < 1.21
    for row, count, speed in zip(made.numpy(), length.numpy(), speeds, strict=True):
        spectrum = np.abs(np.fft.rfft(row[:count], 1 << 16))
        assert abs(spectrum.argmax() * RATE / (1 << 16) - 500 * speed) < 5
        assert not row[count + 1:].any()


def test_a_shifted_clip_is_the_same_later_or_without_its_begin():
    clip = np.zeros((60, 50), np.float32)
    clip[:, :20] = np.arange(1, 21)
    made, length = augment.shift(tf.constant(clip), tf.constant([20] * 60), tf.constant(np.arange(60), tf.uint32), 8)
    moved, behind = set(), set()
    for row, count in zip(made.numpy(), length.numpy(), strict=True):
        end = int(row.argmax()) + 1
        by = end - 20
        moved.add(by)
        behind.add(int(count) - end)
        assert row[:end].tolist() == [*[0] * max(0, by), *range(1 + max(0, -by), 21)] and not row[end:].any()
    assert -8 <= min(moved) < -3 and 8 > max(moved) > 3 and min(behind) == 0 and 5 < max(behind) < 8


def test_noise_lies_so_much_below_and_only_within_the_clip():
    clip = np.zeros((200, 4000), np.float32)
    clip[:, :2000] = np.sin(np.arange(2000))
    made = augment.noise(tf.constant(clip), tf.constant([2000] * 200), tf.constant(np.arange(200), tf.uint32), 10.0)
    extra = made.numpy() - clip
    assert not extra[:, 2000:].any()
    power = (extra[:, :2000] ** 2).mean(1)
    noisy = power > 0
    ratio = 10 * np.log10(0.5 / power[noisy])
    assert 0.4 < noisy.mean() < 0.6 and ratio.min() > 9.5 and 20 < np.median(ratio) < 30 and ratio.max() < 40.5


def test_masks_hide_stretches_of_bands_and_of_the_clip():
    ones, frames = np.ones((100, 40, 20), np.float32), np.full(100, 30, np.int32)
    made = augment.mask_bands(tf.constant(ones), tf.constant(frames), tf.constant(np.arange(100), tf.uint32), 0.2,
                              0.1).numpy()
    bands, steps = (made[:, :, :].max(axis) == 0 for axis in (1, 2))
    assert bands.sum(1).max() <= 8 + 2 and bands.any(1).mean() > 0.9
    assert steps.sum(1).max() <= 6 + 2 and not steps[:, 31:].any() and steps.any(1).mean() > 0.9
    assert np.array_equal(made, np.where(bands[:, None] | steps[:, :, None], 0, 1))


def test_noise_is_cut_from_recordings():
    recorded = np.arange(1, 1001, dtype=np.float32)
    clip, keys = np.full((50, 300), 0.1, np.float32), tf.constant(np.arange(50), tf.uint32)
    clip[:, 200:] = 0
    made = augment.noise(tf.constant(clip), tf.constant([200] * 50), keys, 10.0, tf.constant(recorded))
    extra, starts = made.numpy() - clip, set()
    assert not extra[:, 200:].any()
    noisy = extra[np.abs(extra).max(1) > 0, :200]
    assert 15 < len(noisy) < 35
    for row in noisy:  # each is some 200 numbers that follow on each other, made softer
        jump = int(np.argmin(np.diff(row))) if np.diff(row).min() < 0 else None  # from the end on to the begin
        step = np.median(np.diff(row))
        start = round(float(row[0] / step))
        starts.add(start)
        np.testing.assert_allclose(row / step, recorded[(start - 1 + np.arange(200)) % 1000], rtol=0.02, atol=0.5)
        assert jump is None or start + jump == 1000
    ratio = 10 * np.log10(0.01 / (noisy ** 2).mean(1))
    assert len(starts) > 10 and ratio.min() > 9.9 and ratio.max() < 40.1


def test_all_sounds_of_a_folder_are_recordings(tmp_path):
    (tmp_path / "far").mkdir()
    for name, value, rate in (("a.wav", 0.5, RATE), ("far/b.flac", -0.25, 2 * RATE)):
        soundfile.write(tmp_path / name, np.full(rate, value), rate, "PCM_16")
    (tmp_path / "notes.txt").write_text("no sound")
    made = recordings(tmp_path, RATE)
    assert made.dtype == np.float32 and len(made) == 2 * RATE
    assert made[:RATE] == pytest.approx(0.5) and made[RATE + 500:-500] == pytest.approx(-0.25, abs=0.01)
    with pytest.raises(UserError, match="holds no sounds"):
        recordings(tmp_path.joinpath("none"), RATE)


def test_in_a_room_a_click_dies_away():
    clicks = np.zeros((200, RATE), np.float32)
    clicks[:, 1000] = 1
    keys = tf.constant(np.arange(200), tf.uint32)
    made = augment.reverberate(tf.constant(clicks), tf.constant([RATE] * 200), keys, RATE, 0.5).numpy()
    tails = made - clicks
    assert np.abs(tails[:, :1000]).max() < 1e-5
    energy = (tails ** 2).sum(1)
    roomy = energy > 1e-6
    below = -10 * np.log10(energy[roomy])
    assert 0.35 < roomy.mean() < 0.65 and below.min() > -0.1 and below.max() < 20.1 and below.std() > 3
    early, late = ((tails[roomy, at:at + 400] ** 2).mean(1) for at in (1000, 2200))  # 0.15 s later
    fall = 10 * np.log10(early / late)
    assert 13 < fall.min() < 25 and 60 < fall.max() < 95  # 60 dB within 0.6 s, and within 0.1 s
    short = augment.reverberate(tf.constant(clicks), tf.constant([1200] * 200), keys, RATE, 1.0).numpy()
    assert np.abs(short[:, 1200:]).max() < 1e-5


def test_a_click_in_a_room_is_what_convolution_gives():
    rng = np.random.default_rng(0)
    sound, keys = rng.normal(size=(1, RATE)).astype(np.float32), tf.constant([7], tf.uint32)
    click = np.zeros((1, RATE), np.float32)
    click[0, 0] = 1
    response, made = (augment.reverberate(tf.constant(given), tf.constant([RATE]), keys, RATE, 1.0).numpy()[0]
                      for given in (click, sound))
    np.testing.assert_allclose(made, np.convolve(sound[0], response)[:RATE], atol=1e-3)


def test_another_voice_has_its_bands_elsewhere():
    features = np.zeros((100, 3, 40), np.float32)
    features[:, :, 20] = 1
    made = augment.warp(tf.constant(features), tf.constant(np.arange(100), tf.uint32), 8.0).numpy()
    place = (made * np.arange(40)).sum(2) / made.sum(2)
    assert np.allclose(place, place[:, :1])  # of all steps alike
    assert 20 / 1.2 - 0.6 < place.min() < 18 and 22 < place.max() < 20 / 0.8 + 0.6
    flat = augment.warp(tf.ones((5, 2, 40)), tf.constant(np.arange(5), tf.uint32), 8.0).numpy()
    np.testing.assert_allclose(flat, 1, atol=1e-5)


@pytest.mark.parametrize("options,word", [
    ({"noise_dir": "nowhere"}, "no such folder"),
    ({"noise_dir": ".", "noise": 0.0}, "does nothing")])
def test_augmentation_that_cannot_be_is_refused(options, word):
    with pytest.raises(UserError, match=word):
        Speech().check(Settings(**options))
