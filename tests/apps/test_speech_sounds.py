"""Audio files of every kind, good and bad, against the arrays that were written into them."""

import io
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
from scipy import signal
from speech_notes import one_note

from apps.speech.sounds import BLOCK, FORMATS, read_all, read_sound
from shared.data.stored import Stored
from shared.errors import UserError

RATE = 16_000
RANDOM = np.random.default_rng(11)
NOISE = RANDOM.integers(-20_000, 20_000, 5 * BLOCK // 2, dtype=np.int16)  # two and a half blocks of reading
LOSSLESS = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
            ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("NIST", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def encoded(samples, form="WAV", subtype="PCM_16", rate=RATE):
    """The bytes of a file that holds `samples`; int16 for float subtypes is brought to full scale 1."""
    if subtype in ("FLOAT", "DOUBLE") and samples.dtype == np.int16:
        samples = samples / 32_768
    file = io.BytesIO()
    sf.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def wave(content, name="clip.wav"):
    return Stored(name, bytes(content))


def tone(hertz, rate, seconds=1.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def refused(source, *words, rate=RATE):
    with pytest.raises(UserError) as error:
        read_sound(source, rate)
    sentence = str(error.value)
    assert sentence.startswith(str(source)) and sentence.endswith(".") and "\n" not in sentence
    assert all(word in sentence for word in words), sentence


# What is read

@pytest.mark.parametrize("form, subtype", LOSSLESS)
def test_lossless_files_of_any_depth_give_what_was_written(tmp_path, form, subtype):
    assert form in FORMATS
    path = tmp_path / "clip.wav"  # the name says nothing
    path.write_bytes(encoded(NOISE, form, subtype))
    found = read_sound(path, RATE)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, NOISE)
    np.testing.assert_array_equal(read_sound(str(path), RATE), NOISE)
    np.testing.assert_array_equal(read_sound(wave(path.read_bytes()), RATE), NOISE)


def test_eight_bits_are_the_upper_eight():
    np.testing.assert_array_equal(read_sound(wave(encoded(NOISE, subtype="PCM_U8")), RATE), NOISE // 256 * 256)


def test_24_and_32_bits_are_rounded_not_cut():
    wide = np.array([0x7FFF, 0x8000, 0x18000, -0x8001, 0x7FFFFFFF, -0x80000000, 0x123_8001], np.int32)
    for subtype in ("PCM_32", "PCM_24"):
        kept = wide if subtype == "PCM_32" else wide >> 8 << 8
        exact = np.rint(kept.astype(np.float64) / 65_536).clip(-32_768, 32_767)
        np.testing.assert_array_equal(read_sound(wave(encoded(wide, subtype=subtype)), RATE), exact)


@pytest.mark.parametrize("form, subtype", LOSSY)
def test_lossy_files_are_close_to_what_was_written(form, subtype):
    chirp = signal.chirp(np.arange(3 * RATE) / RATE, 200, 3, 3_000) * 0.5
    found = read_sound(Stored("clip", encoded(chirp, form, subtype)), RATE) / 32_768
    assert len(found) == len(chirp)
    middle = slice(RATE // 4, -RATE // 4)
    assert np.corrcoef(found[middle], chirp[middle])[0, 1] > 0.998  # a sample late it is 0.78
    assert abs(np.std(found[middle]) / np.std(chirp[middle]) - 1) < 0.02


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_codecs_of_telephones_are_read_too(subtype):
    content = encoded(tone(440, 8_000, 3, 0.2), subtype=subtype, rate=8_000)
    found = read_sound(wave(content), 8_000)
    assert 0 <= len(found) - 24_000 < 1_100  # filled up to a whole block
    assert np.corrcoef(found[2_000:22_000], tone(440, 8_000, 3)[2_000:22_000])[0, 1] > 0.99
    ragged, _, notes = read_all([wave(content)], 8_000, 0.0)
    np.testing.assert_array_equal(ragged.row(0), found)
    assert notes == []


def test_channels_become_their_mean():
    left, right = NOISE[:1000], NOISE[1000:2000]
    mean = np.rint((left.astype(np.float64) + right) / 2)
    np.testing.assert_array_equal(read_sound(wave(encoded(np.stack([left, right], 1))), RATE), mean)
    six = RANDOM.integers(-20_000, 20_000, (BLOCK, 6), dtype=np.int16)  # more values than one block
    found = read_sound(wave(encoded(six, "FLAC")), RATE)
    np.testing.assert_allclose(found, six.mean(axis=1), atol=0.51)


def test_values_beyond_full_scale_are_clipped():
    loud = np.array([2, 1, 0.5, -0.5, -1, -3, 3e38], np.float32)
    expected = [32_767, 32_767, 16_384, -16_384, -32_768, -32_768, 32_767]
    assert read_sound(wave(encoded(loud, subtype="FLOAT")), RATE).tolist() == expected
    both = np.stack([loud, loud], 1)
    assert read_sound(wave(encoded(both, subtype="FLOAT")), RATE).tolist() == expected
    loud = np.stack([tone(300, 48_000, level=5.0), tone(200, 48_000, level=3e38)], 1)
    found, expected = [read_sound(wave(encoded(samples, subtype="FLOAT", rate=48_000)), RATE)
                       for samples in (loud, loud.clip(-1, 1))]
    np.testing.assert_array_equal(found, expected)
    square = np.sign(tone(100, 48_000)) * 0.9999  # the filter overshoots: no sample may turn its sign
    found = read_sound(wave(encoded(square, rate=48_000)), RATE)
    np.testing.assert_array_equal(np.sign(found[60:-60][40::80]), np.sign(square[::3][60:-60][40::80]))
    assert found.max() == 32_767 and found.min() == -32_768


# Rates

@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 192_000, 768_000])
@pytest.mark.parametrize("wanted", [8_000, 16_000])
def test_a_tone_of_any_rate_is_the_tone_of_the_wanted_rate(rate, wanted):
    stereo = np.stack([tone(440, rate)] * 2, 1)
    found = read_sound(wave(encoded(stereo, subtype="FLOAT", rate=rate)), wanted)
    expected = tone(440, wanted) * 32_768
    assert len(found) == len(expected)
    middle = slice(wanted // 10, -wanted // 10)  # the filter reaches beyond the ends
    np.testing.assert_allclose(found[middle], expected[middle], atol=2)


def test_what_the_wanted_rate_cannot_hold_vanishes():
    mixed = tone(5_000, 16_000) * 0.9 + tone(1_000, 16_000) * 0.9
    found = read_sound(wave(encoded(mixed)), 8_000) / 32_768
    hertz, power = signal.welch(found[400:-400], 8_000, nperseg=1024)
    assert hertz[power.argmax()] == 1_000
    alias = np.abs(hertz - 3_000) < 50  # where 5 kHz would be folded to
    assert power[alias].max() < 1e-7 * power.max()


def test_resampling_is_as_scipys():
    smooth = signal.lfilter(*signal.butter(6, 3_000, fs=48_000), NOISE[:30_000] / 32_768)
    found = read_sound(wave(encoded(smooth, subtype="FLOAT", rate=48_000)), 16_000) / 32_768
    expected = signal.resample_poly(smooth, 1, 3)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=2e-3)


@pytest.mark.parametrize("rate, good", [(3_999, False), (4_000, True), (768_000, True), (768_001, False)])
def test_rates_outside_of_speech_are_refused(rate, good):
    source = wave(encoded(NOISE[:2_000], rate=rate))
    if good:
        assert len(read_sound(source, 8_000))
    else:
        refused(source, f"{rate} Hz", "4000 and 768000")


# Long files

@pytest.mark.parametrize("rate", [RATE, 8_000])
def test_a_limit_gives_the_beginning(rate):
    source = wave(encoded(NOISE))
    whole = read_sound(source, rate)
    for seconds in (0.001, 1.5, 1_000):
        np.testing.assert_array_equal(read_sound(source, rate, seconds), whole[:round(seconds * rate)])


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """A FLAC of an hour, which silence makes small: 115 MB of float32."""
    path = tmp_path_factory.mktemp("hour") / "hour.flac"
    with sf.SoundFile(path, "w", 8_000, 1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8_000, np.int16))
    return path


def test_an_hour_takes_no_more_memory_than_is_asked_for(hour):
    tracemalloc.start()
    try:
        assert len(read_sound(hour, 8_000, 10)) == 80_000
        with pytest.raises(UserError, match="longer than 60 s"):
            read_all([hour], 8_000, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


# Headers that are not true

def with_size(content, size):
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", size) + content[at + 4:]


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF, 4 * len(NOISE) + 1_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_of_untrue_size_is_read_to_its_end(tmp_path, size, subtype):
    content = with_size(encoded(NOISE, subtype=subtype), size)
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_sound(path, RATE), NOISE)
    np.testing.assert_array_equal(read_sound(wave(content), RATE), NOISE)
    assert path.read_bytes() == content
    unclosed = wave(content[:4] + bytes(4) + content[8:])
    np.testing.assert_array_equal(read_sound(unclosed, RATE), NOISE)


def test_an_empty_wav_is_refused_whatever_follows(tmp_path):
    empty = encoded(NOISE[:0])
    path = tmp_path / "empty.wav"
    path.write_bytes(empty)
    refused(path, "no samples")
    refused(wave(empty + b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.76.100\0"), "no samples")
    refused(wave(empty[:-1]))
    refused(wave(encoded(NOISE[:0], "FLAC")))


def flac_of(frames, content=None):
    """A FLAC whose header claims so many frames (36 bits at the end of the eight from byte 18)."""
    content = content or encoded(NOISE, "FLAC")
    packed = int.from_bytes(content[18:26], "big") >> 36 << 36 | frames
    return content[:18] + packed.to_bytes(8, "big") + content[26:]


def test_a_small_flac_may_claim_68_billion_frames():
    claim = (1 << 36) - 1
    refused(Stored("bomb.flac", flac_of(claim)[:110]), "no samples")
    np.testing.assert_array_equal(read_sound(Stored("clip", flac_of(claim)), RATE), NOISE)
    np.testing.assert_array_equal(read_sound(Stored("clip", flac_of(0)), RATE), NOISE)  # unknown


@pytest.mark.parametrize("form, subtype", [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), *LOSSY])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_of_a_truncated_file_what_is_there_is_read(form, subtype, share):
    long = np.concatenate([NOISE] * 3)
    content = encoded(long, form, subtype)
    whole = read_sound(Stored("clip", content), RATE)
    source = Stored("clip", content[:int(share * len(content))])
    found = read_sound(source, RATE)
    assert (share - 0.2) * len(long) < len(found) < (share + 0.03) * len(long)  # whole pages, whole frames
    np.testing.assert_array_equal(found, whole[:len(found)])


def test_a_short_flac_that_is_truncated_gives_its_whole_frames():
    content = encoded(NOISE[:12_000], "FLAC")  # less than a block of reading
    found = read_sound(Stored("clip", content[:-100]), RATE)
    assert 8_000 < len(found) < 12_000
    np.testing.assert_array_equal(found, NOISE[:len(found)])


# Files that are none

BAD = {"text": b"This is no sound, it is a text.\n" * 100, "page": b"<!DOCTYPE html><html></html>", "nothing": b"",
       "header": encoded(NOISE)[:20], "noise": RANDOM.bytes(5_000), "id3": b"ID3" + RANDOM.bytes(5_000),
       "mp3": b"\xff\xfb\x90\x64" + RANDOM.bytes(5_000), "flac": encoded(NOISE, "FLAC")[:30],
       "ogg": encoded(NOISE, "OGG", "VORBIS")[:500], "aiff": encoded(NOISE, "AIFF")}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "raw", "au", "vox"])
def test_what_is_no_sound_is_refused(tmp_path, what, suffix):
    path = tmp_path / f"{what}.{suffix}"
    path.write_bytes(BAD[what])
    refused(path, "no readable WAV, FLAC, OGG or MP3", "replace it or take it out")
    refused(wave(BAD[what], path.name), "no readable")


def test_wrong_names_and_folders_are_refused(tmp_path):
    refused(tmp_path / "none.wav", "No such file", "check the name")
    refused(tmp_path, "directory", "check the name")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_numbers_are_refused(value, subtype):
    samples = np.zeros((2 * BLOCK, 2), np.float64)
    samples[-1, 1] = value
    refused(wave(encoded(samples, subtype=subtype, rate=44_100)), "NaN or infinite")


# Many files

@pytest.fixture
def folder(tmp_path):
    """Ten clips of different lengths, formats and rates of 16 kHz; what each holds."""
    held = {}
    for number in range(10):
        samples = NOISE[number * 50:number * 50 + 2_000 + 100 * number]
        path = tmp_path / f"{number}.wav"
        path.write_bytes(encoded(samples, *LOSSLESS[number]))
        held[path] = samples
    return held


def test_many_clips_are_read_in_their_order(folder):
    ragged, kept, notes = read_all(list(folder), RATE, 0.0)
    assert ragged.values.dtype == np.int16 and kept.tolist() == list(range(10)) and notes == []
    assert len(ragged) == 10
    for row, samples in enumerate(folder.values()):
        np.testing.assert_array_equal(ragged.row(row), samples)


def test_bad_files_are_left_out_up_to_the_share(folder):
    paths = list(folder)
    paths[3].write_text("no sound")
    paths[7].write_bytes(b"")
    ragged, kept, notes = read_all(paths, RATE, 0.2)
    assert kept.tolist() == [0, 1, 2, 4, 5, 6, 8, 9]
    for row, index in enumerate(kept):
        np.testing.assert_array_equal(ragged.row(row), folder[paths[index]])
    assert len(notes) == 1 and notes[0].startswith(f"2 unreadable sound(s) left out; the first: {paths[3]} is no")
    with pytest.raises(UserError, match=rf"2 of 10 sounds .*--max-bad allows 19%.*{paths[3].name} is no readable"):
        read_all(paths, RATE, 0.19)


def test_long_clips_are_left_out_since_their_words_would_not_fit(folder):
    paths = list(folder)
    limit = 2_700 / RATE
    ragged, kept, notes = read_all(paths, RATE, 0.0, limit)
    assert kept.tolist() == list(range(8)) and len(ragged.row(7)) == 2_700
    one_note([notes[0]], 2, paths[8], "longer than", "left out")


def test_nothing_left_is_an_error(folder):
    with pytest.raises(UserError, match="No clip is left of 10: 10 clip.s. longer than 0.01 s"):
        read_all(list(folder), RATE, 1.0, 0.01)
    with pytest.raises(UserError, match="No clip is left of 1: 1 unreadable"):
        read_all([wave(b"")], RATE, 1.0)
    with pytest.raises(UserError, match="No clip is left of 0"):
        read_all([], RATE, 0.0)


def test_what_the_checks_find_is_among_the_notes():
    long = np.concatenate([NOISE] * 2)
    flac = encoded(long, "FLAC")
    sources = [wave(encoded(long)), Stored("stereo", encoded(np.stack([long, long], 1))),
               Stored("other rate", encoded(long, rate=8_000)), Stored("cut", flac[:len(flac) * 3 // 4]),
               Stored("piped", flac_of(0, flac)), *[Stored(form, encoded(long, form, subtype))
                                                    for form, subtype in [*LOSSLESS, *LOSSY]]]
    ragged, kept, notes = read_all(sources, RATE, 0.0)
    assert len(kept) == len(ragged) == len(sources)
    assert len(ragged.row(2)) == 2 * len(long)
    one_note(notes[:1], 1, "stereo", "2 channels")
    one_note(notes[1:2], 1, "other rate", "8000 Hz")
    one_note(notes[2:3], 1, "cut", "than the header says")
    assert len(notes) == 3


def listed(content):
    """A WAV with another chunk, of an odd length and one to fill it up, before its samples."""
    at = content.index(b"data")
    return content[:at] + b"LIST" + struct.pack("<I", 5) + b"data!\0" + content[at:]


@pytest.mark.parametrize("content", [
    encoded(NOISE), encoded(NOISE, subtype="FLOAT"), encoded(NOISE, subtype="PCM_U8"), encoded(NOISE, "WAVEX"),
    encoded(NOISE, subtype="IMA_ADPCM"), listed(encoded(NOISE))],
    ids=["PCM_16", "FLOAT", "PCM_U8", "WAVEX", "IMA_ADPCM", "chunks"])
def test_a_wav_that_ends_before_its_header_says_is_noted(tmp_path, content):
    path = tmp_path / "cut.wav"
    for lacking in (1, 1_000, len(content) // 2):
        path.write_bytes(content[:-lacking])
        _, _, notes = read_all([wave(content, "whole"), path, wave(content[:-lacking])], RATE, 0.0)
        one_note(notes, 2, path, "than the header says")
    assert read_all([wave(content), wave(content + b"LIST\0\0\0\0")], RATE, 0.0)[2] == []


def test_a_cut_wav_of_big_endian_is_noted():
    file = io.BytesIO()
    sf.write(file, NOISE, RATE, format="WAV", subtype="PCM_16", endian="BIG")
    content = file.getvalue()
    ragged, _, notes = read_all([wave(content), wave(content[:-1_000], "cut")], RATE, 0.0)
    np.testing.assert_array_equal(ragged.row(0), NOISE)
    one_note(notes, 1, "cut", "than the header says")


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_what_a_pipe_writes_of_a_length_it_does_not_know_is_no_note(size):
    assert read_all([wave(with_size(encoded(NOISE), size))], RATE, 0.0)[2] == []


def test_an_odd_number_of_bytes_need_not_be_filled_up():
    content = encoded(NOISE[:999], subtype="PCM_U8")
    assert len(content) % 2 == 0
    assert read_all([wave(content), wave(content[:-1])], RATE, 0.0)[2] == []


def test_the_decoder_does_not_speak_to_standard_error(capfd):
    with pytest.raises(UserError):
        read_all([wave(BAD["mp3"], "a.mp3")], RATE, 1.0)
    assert capfd.readouterr().err == ""


def test_tensorflow_is_not_imported():
    code = "import sys, apps.speech.sounds; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
