"""What is odd about clips is told, and nothing of good ones."""

import numpy as np
from speech_notes import one_note

from apps.speech.checks import Checks

RATE = 16_000
RANDOM = np.random.default_rng(11)


def notes_of(*clips, rate=RATE, **more):
    checks = Checks(rate)
    for number, clip in enumerate(clips):
        checks.add(f"clip {number}", np.asarray(clip, np.int16), **more)
    return checks.notes()


def speech(peak=20_000, count=RATE):
    """Noise whose loudness comes and goes, its peak reached once."""
    samples = RANDOM.normal(size=count) * np.abs(np.sin(2 * np.pi * 2 * np.arange(count) / RATE))
    samples -= samples.mean()
    return np.rint(samples / np.abs(samples).max() * peak)


def test_good_clips_have_no_notes():
    assert notes_of() == []
    assert notes_of(speech(), speech(32_767), speech(100), speech() + 300, speech(count=RATE // 2), rate=RATE) == []
    assert notes_of(speech(32_767, 1_148)) == []  # the shortest of FSDD at full scale


def test_clipping_silence_and_offset_are_noted():
    loud = (1.3 * speech(32_767)).clip(-32_768, 32_767)
    assert 0.001 < np.mean(np.abs(loud) >= 32_767) < 0.05
    one_note(notes_of(speech(), loud, loud), 2, "clip 1", "clipped", "0.1%")
    one_note(notes_of(speech(), np.where(np.arange(RATE) % 500, speech(), -32_768)), 1, "clip 1", "clipped")
    assert notes_of(speech(), np.where(np.arange(RATE) % 2_000, speech(), -32_768)) == []
    one_note(notes_of(np.zeros(RATE), speech()), 1, "clip 0", "digital silence")
    one_note(notes_of(speech(), np.full(RATE, -5)), 1, "clip 1", "digital silence")
    one_note(notes_of(speech(), speech(31), speech(30) + 200), 2, "clip 1", "nearly silent", "-60 dBFS")
    one_note(notes_of(speech(), speech() + 400, speech() - 400), 2, "clip 1", "DC offset", "1%")


def test_rates_channels_and_cut_files_are_noted():
    clips = [speech()] * 3
    one_note(notes_of(*clips, rate=RATE, channels=2), 3, "clip 0", "2 channels")
    one_note(notes_of(*clips, broken=True), 3, "clip 0", "than the header says")
    checks = Checks(RATE)
    for name, rate in (("a", 8_000), ("b", 44_100), ("c", 44_100), ("d", RATE), ("e", None)):
        checks.add(name, np.int16(speech()), rate)
    low, high = checks.notes()
    one_note([low], 1, "a", "8000 Hz, brought to 16000", "above 4000 Hz")
    one_note([high], 2, "b", "44100 Hz, brought to 16000")
    assert "above" not in high


def test_lengths_far_from_the_median_are_noted():
    usual = [speech(count=count) for count in (8_000, 16_000, 16_000, 16_000, 40_000)]
    assert notes_of(*usual, speech(count=63_900), speech(count=4_100)) == []
    long, short = notes_of(*usual, speech(count=64_100), speech(count=3_900), speech(count=3_000))
    one_note([long], 1, "clip 5", "4 times longer", "1.00 s")
    one_note([short], 2, "clip 6", "4 times shorter")
