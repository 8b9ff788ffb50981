"""`pocketconv speech predict`: sounds on standard input, the microphone, an hour of speech. The model is a made one,
which answers by the loudness of what it is given, so that nothing is trained here."""

import io
import json
import subprocess
import sys
import tracemalloc
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

import shared.cli.predict
from apps import APPS
from apps.speech import app as speech_app
from apps.speech import microphone, sounds
from apps.speech.app import Speech
from apps.speech.sounds import is_broken, is_file, read_recording, read_sound
from shared.cli.main import main
from shared.data.stored import Stored
from shared.evaluation.answering import answering
from shared.evaluation.predictors import Predictor
from shared.facts import Facts
from shared.signature import Tensor

RATE, SIZE = 8_000, 4_000
RANDOM = np.random.default_rng(5)
NOISE = RANDOM.integers(-20_000, 20_000, 10_000, dtype=np.int16)
LOUD = 29_953  # samples that the model calls so


class Loudness(Predictor):
    """Says `loud` as surely as the samples' mean is high; of sentences, `a` for each such window."""

    kind = "tflite"

    def __init__(self, sentences=False):
        more = {"symbols": ["a", "b"], "of": "characters", "hop": 0.01} if sentences else {"labels": ["soft", "loud"]}
        super().__init__("made", "speech", Facts({"rate": RATE, "max_samples": SIZE, **more}),
                         {"samples": Tensor((SIZE,), "float32"), "length": Tensor((), "int32")})
        self.sentences, self.given = sentences, []

    def answer(self, raw):
        self.given += [(row[:count] * 32_768).astype(np.int16) for row, count in
                       zip(raw["samples"], raw["length"], strict=True)]
        loud = np.abs(raw["samples"]).mean(1)
        if not self.sentences:
            return {"label": np.int32(loud > 0.5), "probabilities": np.stack([1 - loud, loud], 1).astype(np.float32)}
        symbols = np.where(loud[:, None] > 0.5, [[0, 1]], -1).astype(np.int32)
        return {"symbols": symbols, "frames": symbols, "confidences": np.ones((len(loud), 2), np.float32),
                "count": np.where(loud > 0.5, 2, 0)}


@pytest.fixture
def model(monkeypatch):
    made = Loudness()
    monkeypatch.setattr(shared.cli.predict, "open_artifact", lambda *_: made)
    return made


@pytest.fixture
def predict(model, monkeypatch, capsys):
    """Runs the verb with bytes on standard input; gives standard output and standard error."""
    def run(*arguments, given=b"", status=0):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8"))
        capsys.readouterr()
        got = main(["speech", "predict", "--artifact", "made", *map(str, arguments)], APPS)
        out, err = capsys.readouterr()
        assert got == status, err
        assert "Traceback" not in err
        return out, err
    return run


def encoded(samples, form="WAV", subtype="PCM_16", rate=RATE, **more):
    file = io.BytesIO()
    sf.write(file, samples, rate, format=form, subtype=subtype, **more)
    return file.getvalue()


def piped(content):
    return Stored("Standard input", content)


# Standard input

MP3 = encoded(NOISE / 50_000, "MP3", "MPEG_LAYER_III")
FILES = {"RIFF": encoded(NOISE), "RIFX": encoded(NOISE, endian="BIG"), "RF64": encoded(NOISE, "RF64"),
         "stereo, 24 bits, 44.1 kHz": encoded(np.stack([NOISE, NOISE], 1), "WAVEX", "PCM_24", 44_100),
         "NIST": encoded(NOISE, "NIST"), "fLaC": encoded(NOISE, "FLAC"), "Vorbis": encoded(NOISE, "OGG", "VORBIS"),
         "Opus": encoded(NOISE, "OGG", "OPUS"), "MP3": MP3, "ID3": b"ID3\x04" + bytes(5) + b"\x0a" + bytes(10) + MP3}


@pytest.mark.parametrize("name", FILES)
def test_a_file_on_standard_input_is_read_as_the_file(name, tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(FILES[name])
    want = read_sound(path, RATE)
    assert len(want) > 1000
    np.testing.assert_array_equal(read_recording(piped(FILES[name]), RATE), want)
    np.testing.assert_array_equal(read_recording(path, RATE), want)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_of_any_rate_is_known_by_its_frames(rate, channels):
    content = encoded(RANDOM.normal(size=(rate // 2, channels)) / 10, "MP3", "MPEG_LAYER_III", rate)
    assert content[0] == 0xFF and is_file(content)


def test_other_bytes_are_samples_as_they_are():
    rows = [NOISE, NOISE[:1], np.zeros(5_000), np.rint(RANDOM.normal(size=5_000) * 30), np.full(5_000, -1),
            np.full(5_000, -1025)]  # ff fb, as a frame of MP3 begins
    frames = [(second << 8 | 0xFF) - 0x10000 for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)]
    rows += [np.concatenate([[first], row]) for row in rows for first in frames]
    for row in rows:
        content = np.asarray(row).astype("<i2").tobytes()
        found = read_recording(piped(content), RATE)
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found, row)


BAD = {"odd": (NOISE.tobytes()[:-1], ["19999 bytes, an odd number"]), "nothing": (b"", ["is empty"]),
       "names": ("\n".join(["clips/größe.wav", "clips/b.wav"] * 300).encode(), ["is text", "arguments"]),
       "a cut character": (b"x" * 4095 + "ä".encode(), ["is text"]),
       "AIFF": (encoded(NOISE, "AIFF"), ["no readable WAV"]), "AU": (encoded(NOISE, "AU"), ["no readable WAV"]),
       "MP4": (b"\0\0\0\x20ftypM4A " + NOISE.tobytes(), ["no readable WAV"]),
       "WebM": (b"\x1aE\xdf\xa3" + NOISE.tobytes(), ["no readable WAV"]),
       "a cut header": (encoded(NOISE)[:30], ["no readable WAV"]), "no frames": (encoded(NOISE[:0]), ["no samples"]),
       "NaN": (encoded(np.full(9, np.nan), subtype="FLOAT"), ["NaN"])}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_sound_is_refused(predict, model, what):
    content, words = BAD[what]
    out, err = predict("-", given=content, status=2)
    assert out == "" and not model.given and err.startswith("Standard input ") and err.count("\n") == 1
    if "no readable WAV" not in words:
        words = [*words, "pipe" if what not in ("no frames", "NaN") else "take it out"]
    assert all(word in err for word in words), err


def test_too_much_is_refused_before_it_fills_the_memory(predict, model, monkeypatch, tmp_path):
    for module in (speech_app, sounds):
        monkeypatch.setattr(module, "LARGEST", 8_000)
    _, err = predict("-", given=bytes(16_002), status=2)
    assert err.startswith("Standard input gives more than") and "cut it into parts" in err
    stream = SimpleNamespace(buffer=io.BytesIO(bytes(1_000_000)))
    Speech().from_standard_input(stream)
    assert stream.buffer.tell() == 16_001
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(np.zeros(100_000, np.int16), "FLAC"))
    for given in ([path], ["-"]):
        _, err = predict(*given, given=path.read_bytes(), status=2)
        assert "is longer than 0.0 hours: cut it into parts" in err
    assert not model.given
    predict("-", given=bytes(16_000))
    assert len(model.given) == 3


def test_standard_input_is_answered_in_a_line_or_an_object(predict, model, tmp_path):
    loud = np.full(3_000, LOUD, np.int16)
    assert predict("-", given=loud.tobytes())[0] == "Standard input: loud 68.6 %  soft 31.4 %\n"
    np.testing.assert_array_equal(model.given[0], loud)
    out, _ = predict("-", "--json", given=encoded(loud, "FLAC"))
    np.testing.assert_array_equal(model.given[1], loud)
    row = json.loads(out)
    assert row["input"] == "Standard input" and row["label"] == "loud"
    predict("-", "--output", tmp_path / "out", given=loud.tobytes())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
def test_a_whole_file_is_not_broken_at_any_rate(name, rate):
    assert not is_broken(piped(FILES[name]), rate, len(read_recording(piped(FILES[name]), rate)))


ODD = {"a cut WAV": (encoded(NOISE)[:-4_000], "fewer samples than the header says, cut off or damaged"),
       "a cut FLAC": (encoded(NOISE, "FLAC")[:-4_000], "fewer samples than the header says, cut off or damaged"),
       "silence": (encoded(np.zeros(4_000)), "digital silence, all samples are equal"),
       "an offset": (encoded(NOISE // 4 + 3_000), "a DC offset of more than 1% of full scale"),
       "raw silence": (bytes(8_000), "digital silence, all samples are equal")}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_recording_is_answered_and_told(predict, model, tmp_path, what):
    content, word = ODD[what]
    out, err = predict("-", given=content)
    assert out.startswith("Standard input: ") and err == f"Standard input: {word}.\n"
    if not what.startswith("raw"):
        path = tmp_path / "odd.wav"
        path.write_bytes(content)
        out, err = predict(path, "--json")
        assert json.loads(out)["input"] == str(path) and err == f"{path}: {word}.\n"
    assert predict("-", given=encoded(NOISE // 4))[1] == ""


def test_a_process_reads_bytes_from_a_pipe(tmp_path):
    code = ("import sys; from apps.speech.app import Speech; from shared.facts import Facts\n"
            "[given] = Speech().from_standard_input(sys.stdin)\n"
            "raw = Speech().read_input(given, Facts({'rate': 8000}))\n"
            "sys.stdout.buffer.write(raw['samples'].tobytes()); sys.exit('tensorflow' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], input=NOISE.astype("<i2").tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int16), NOISE)


def test_a_named_pipe_is_no_file(predict):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        name = f"/dev/fd/{process.stdout.fileno()}"
        _, err = predict(name, status=2)
        process.stdin.close()
    assert err == f"{name} is a pipe: give what comes out of it to standard input, and name -.\n"


def test_help_says_what_a_dash_means_and_only_speech_listens(capsys):
    def shown(app):
        assert main([app, "predict", "--help"], APPS) == 0
        return " ".join(capsys.readouterr().out.split())
    speech, text = shown("speech"), shown("text")
    assert "- for a sound from standard input: a file, or raw samples (signed 16-bit little-endian" in speech
    assert "- for one a line from standard input" in text
    assert "--microphone" in speech and "--microphone" not in text
    assert main(["text", "predict", "--microphone"], APPS) == 2
    assert "There is no flag --microphone" in capsys.readouterr().err
    assert main(["text", "predict"], APPS) == 2
    assert "microphone" not in capsys.readouterr().err


def test_an_hour_is_answered_in_the_memory_of_its_samples(tmp_path):
    path, model = tmp_path / "hour.flac", Loudness()
    model.answer = lambda raw: {"label": np.zeros(len(raw["length"]), np.int32),
                                "probabilities": np.tile(np.float32([0.9, 0.1]), (len(raw["length"]), 1))}
    with sf.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * RATE, np.int16))
    answer = answering(Speech(), model, model.inputs, model.facts)
    tracemalloc.start()
    try:
        raw = Speech().read_input(path, model.facts)
        [said] = answer([raw])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raw["length"] == 3_600 * RATE and said["label"] == 0
    assert peak < 1.3 * raw["samples"].nbytes + 20_000_000  # of float32 it would be twice as much


# The microphone

class Sound:
    """Stands for the package sounddevice: a microphone that hears known samples, block by block.

    Args:
        heard: int16 samples, at the rate of the device.
        own: the only rate that it has; none: any.
    """

    class PortAudioError(Exception):
        pass

    def __init__(self, heard=(), own=None):
        self.heard, self.own, self.opened, self.closed = np.asarray(heard, np.int16), own, None, False

    def check_input_settings(self, samplerate, channels, dtype):
        assert channels == 1 and dtype == "int16"
        if self.own not in (None, samplerate):
            raise self.PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def query_devices(self, kind):
        assert kind == "input"
        return {"name": "made", "default_samplerate": float(self.own)}

    def RawInputStream(self, samplerate, blocksize, channels, dtype, callback):  # noqa: N802
        self.opened = samplerate, blocksize, channels, dtype
        self.callback = callback
        return self

    def __enter__(self):
        for start in range(0, len(self.heard), self.opened[1]):
            block = bytearray(self.heard[start:start + self.opened[1]].tobytes())
            self.callback(memoryview(block), len(block) // 2, None, None)
            block[:] = bytes(len(block))  # the device writes the next into the same place

    def __exit__(self, *_):
        self.closed = True


@pytest.fixture
def listen(predict, monkeypatch):
    """Runs `predict --microphone` with a made device, which is unplugged when it has nothing more."""
    def run(sound, *arguments, status=2):
        monkeypatch.setitem(sys.modules, "sounddevice", sound)
        monkeypatch.setattr(microphone, "MUTE", 0.05)
        return predict("--microphone", *arguments, status=status)
    return run


def test_each_window_that_is_heard_is_answered_a_new_one_every_half(listen, model):
    heard = np.concatenate([NOISE[:SIZE], np.full(SIZE, LOUD), NOISE[:SIZE // 2 + 7]])
    sound = Sound(heard)
    out, err = listen(sound, "--json")
    assert sound.opened == (RATE, RATE // 10, 1, "int16") and sound.closed
    assert "Listening; Ctrl-C ends it." in err and "given nothing for 0.05 s" in err
    assert len(model.given) == 4
    for number, window in enumerate(model.given):
        np.testing.assert_array_equal(window, heard[number * SIZE // 2:number * SIZE // 2 + SIZE])
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["input"] for row in rows] == ["0.00 s", "0.25 s", "0.50 s", "0.75 s"]
    assert [row["label"] for row in rows] == ["soft", "loud", "loud", "loud"]


def test_of_words_the_likely_ones_are_told(listen):
    unsure = np.full(SIZE, 16_000)  # 48.8 % loud, 51.2 % soft
    out, _ = listen(Sound(np.concatenate([np.full(SIZE, LOUD), unsure])))
    assert out == "0.00 s: loud 91.4 %\n0.25 s: loud 70.1 %\n0.50 s: soft 51.2 %\n"


def test_words_of_which_none_is_likely_are_passed_over():
    facts, app = Facts({"labels": ["x", "y", "z"]}), Speech()
    for shares, said in (([0.49, 0.3, 0.21], ""), ([0.2, 0.5, 0.3], "y 50.0 %"), ([np.nan] * 3, "")):
        assert app.heard({}, {"label": np.array(0), "probabilities": np.array(shares)}, facts) == said


def test_of_sentences_each_window_that_says_something_is_told(listen, monkeypatch):
    monkeypatch.setattr(shared.cli.predict, "open_artifact", lambda *_: Loudness(sentences=True))
    out, _ = listen(Sound(np.concatenate([np.full(SIZE, LOUD), np.zeros(SIZE)])))
    assert out == "0.00 s: ab\n"


def test_a_device_of_another_rate_is_resampled(listen, model):
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000) * 20_000
    sound = Sound(tone, own=48_000)
    listen(sound)
    assert sound.opened[:2] == (48_000, 4_800)
    want = np.sin(2 * np.pi * 440 * np.arange(SIZE) / RATE) * 20_000
    np.testing.assert_allclose(model.given[0][400:], want[400:], atol=20)


def test_ctrl_c_ends_it_and_closes_the_device(listen, model, monkeypatch):
    def interrupted(raw):
        raise KeyboardInterrupt
    monkeypatch.setattr(model, "answer", interrupted)
    sound = Sound(NOISE)
    out, err = listen(sound, status=130)
    assert out == "" and sound.closed and "Interrupted." in err


def test_answers_that_fall_behind_end_it(listen, monkeypatch):
    monkeypatch.setattr(microphone, "BEHIND", 0.5)
    _, err = listen(Sound(np.zeros(2 * RATE)))
    assert "behind what is said" in err and "--artifact" in err


def no_device(sound, error):
    def query(kind):
        raise error
    sound.own, sound.query_devices = -1, query
    return sound


@pytest.mark.parametrize("sound,words", [
    (None, ["needs the package sounddevice", "pip install 'pocketconv[microphone]'"]),
    (no_device(Sound(), Sound.PortAudioError("Error querying device -1")),
     ["No microphone", "querying device -1", "plug one in"]),
    (no_device(Sound(), ValueError("Not an input device: 'x'")), ["No microphone", "plug one in"])])
def test_without_package_or_device_one_sentence_says_how(listen, sound, words):
    out, err = listen(sound)
    assert out == "" and err.count("\n") == 1 and all(word in err for word in words), err


def test_without_portaudio_one_sentence_says_how(predict, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    _, err = predict("--microphone", status=2)
    assert "PortAudio library not found" in err and "libportaudio2" in err and err.count("\n") == 1


def test_the_microphone_stands_alone(predict):
    for others in (["a.wav"], ["-"], ["--output", "x"]):
        assert "leave out all inputs and --output" in predict("--microphone", *others, status=2)[1]
    assert "or --microphone" in predict(status=2)[1]


def test_windows_of_one_sample_go_on():
    made = islice(microphone.windows([np.arange(3, dtype=np.int16)], RATE, 1), 5)
    assert [raw["samples"].tolist() for _, raw in made] == [[0], [1], [2]]
