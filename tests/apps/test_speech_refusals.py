"""Bad recordings and tables, as a person may have them: what `fit` says of them before it trains, and what `predict`
says; sounds by themselves are in test_speech_sounds.py."""

import io

import numpy as np
import pytest
import soundfile as sf

import shared.cli.predict
from apps import APPS
from apps.speech.app import Settings, Speech
from apps.speech.data import symbols_of
from shared.cli.main import main
from shared.data.checks import check
from shared.errors import UserError
from shared.facts import Facts

APP, RATE = Speech(), 8_000
RANDOM = np.random.default_rng(8)


def voice(count=4_000):
    """Noise that comes and goes."""
    return RANDOM.normal(size=count) * 0.1 * np.abs(np.sin(np.arange(count) / 700))


def encoded(samples, rate=RATE, subtype="PCM_16", form="WAV"):
    file = io.BytesIO()
    sf.write(file, samples, rate, subtype=subtype, format=form)
    return file.getvalue()


GOOD = encoded(voice())


def write(path, content=GOOD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def examined(data, **options):
    """All that `fit` says of data before it trains."""
    settings = Settings(data=str(data), rate=RATE, **options)
    dataset = APP.dataset(settings)
    return dataset, [*dataset.notes, *check(dataset, APP.raw), *APP.examine(settings, dataset)]


def refused(action, *words):
    with pytest.raises(UserError) as error:
        action()
    sentence = str(error.value)
    assert "\n" not in sentence and sentence.endswith("."), sentence
    assert all(str(word) in sentence for word in words), sentence


# Sounds

NONE = {"a text": (b"No sound, a text.\n" * 9, "no readable"), "nothing": (b"", "no readable"),
        "a cut header": (GOOD[:30], "no readable"), "a header alone": (encoded(np.zeros(0)), "no samples"),
        "NaN": (encoded(np.where(np.arange(4_000) == 3_999, np.nan, voice()), subtype="FLOAT"), "NaN"),
        "100 Hz": (encoded(voice(), 100), "100 Hz")}
READ = {"8 bits": (encoded(voice(), subtype="PCM_U8"), None), "24 bits": (encoded(voice(), subtype="PCM_24"), None),
        "float": (encoded(voice(), subtype="FLOAT"), None), "cut off": (GOOD[:5_000], "than the header says"),
        "stereo": (encoded(np.stack([voice()] * 2, 1)), "2 channels"),
        "5.1": (encoded(np.stack([voice()] * 6, 1)), "6 channels"),
        "192 kHz": (encoded(np.repeat(voice(), 24), 192_000), "192000 Hz, brought to 8000"),
        "off zero": (encoded(voice() + 0.1), "DC offset"), "silence": (encoded(np.zeros(4_000)), "digital silence"),
        "clipped": (encoded((voice() * 20).clip(-1, 1)), "clipped"), "soft": (encoded(voice() / 1e3), "nearly silent"),
        "long": (encoded(voice(64_000)), "4 times longer than the median"),
        "an hour": (encoded(np.zeros(60 * 60 * RATE), form="FLAC"), "longer than 60 s left out")}


@pytest.fixture
def words(tmp_path):
    """A folder for each of two words, of four speakers."""
    for word in ("no", "yes"):
        for number in range(8):
            write(tmp_path / word / f"s{number % 4}_nohash_{number}.wav", encoded(voice()))
    return tmp_path


def test_good_recordings_have_no_notes(words):
    dataset, notes = examined(words)
    assert all("held out" in note for note in notes), notes
    assert sum(map(len, dataset.splits.values())) == 16


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_recording_is_left_out_by_name_or_stops(words, what):
    content, word = NONE[what]
    bad = write(words / "no" / "bad.wav", content)
    dataset, notes = examined(words, max_bad=0.1)
    assert notes[0].startswith(f"train: 1 unreadable sound(s) left out; the first: {bad} ") and word in notes[0]
    assert sum(map(len, dataset.splits.values())) == 16
    refused(lambda: examined(words), "1 of 17 sounds cannot be read (--max-bad allows 1%)", bad, word, "take it out")


@pytest.mark.parametrize("what", READ)
def test_odd_recordings_are_read_and_told_by_name(words, what):
    content, word = READ[what]
    odd = write(words / "no" / "odd.wav", content)
    dataset, notes = examined(words)
    said = [note for note in notes if "held out" not in note]
    if word is None:
        assert not said
    else:
        assert len(said) == 1 and said[0].startswith("train: 1 clip(s)") and word in said[0] and str(odd) in said[0]
    assert sum(map(len, dataset.splits.values())) == (16 if what == "an hour" else 17)


@pytest.mark.parametrize("what", [*NONE, *READ])
def test_predict_answers_what_it_can_and_names_what_it_cannot(tmp_path, what, monkeypatch, capsys):
    facts = Facts({"rate": RATE, "max_samples": 4_000, "labels": ["no", "yes"]})
    given = []

    def answer(raw):
        given.append(raw)
        return {"label": np.zeros(len(raw["length"]), np.int32),
                "probabilities": np.tile(np.float32([0.75, 0.25]), (len(raw["length"]), 1))}
    model = type("Made", (), {"app": "speech", "facts": facts, "inputs": ("samples", "length"),
                              "__call__": lambda self, raw: answer(raw)})()
    monkeypatch.setattr(shared.cli.predict, "open_artifact", lambda *_: model)
    content, word = {**NONE, **READ}[what]
    path, good = write(tmp_path / "odd.wav", content), write(tmp_path / "good.wav")
    status = main(["speech", "predict", "--artifact", "made", str(path), str(good)], APPS)
    out, err = capsys.readouterr()
    lines = [f"{file}: no 75.0 %  yes 25.0 %" for file in ([good] if what in NONE else [path, good])]
    assert out.splitlines() == lines and status == (2 if what in NONE else 0)
    if what in NONE:
        assert err.startswith(f"{path} ") and err.count("\n") == 1 and word in err and "take it out" in err
    assert all(np.isfinite(raw["samples"]).all() and np.abs(raw["samples"]).max() <= 1 for raw in given)


# Words

def test_one_class_is_nothing_to_tell_apart(tmp_path):
    for number in range(9):
        write(tmp_path / "yes" / f"s{number % 3}_nohash_{number}.wav", encoded(voice()))
    refused(lambda: examined(tmp_path), tmp_path, "one class only", "yes", "add examples of another")
    rows = [f"yes/s{number % 3}_nohash_{number}.wav,yes\n" for number in range(9)]
    table = write(tmp_path / "all.csv", "path,label\n" + "".join(rows))
    refused(lambda: examined(table), table, "one class only")


def test_speakers_in_two_splits_are_told(words):
    for split, numbers in (("train", range(4)), ("test", range(4, 8))):
        for word in ("no", "yes"):
            for number in numbers:
                name = f"s{number % 4 if number < 6 else number}_nohash_{number}.wav"  # s0 and s1 are in both
                write(words / split / word / name, (words / word / f"s{number % 4}_nohash_{number}.wav").read_bytes())
    _, notes = examined(words)
    said = [note for note in notes if "speakers of test are also in train or validation" in note]
    assert len(said) == 1 and said[0].startswith("2 of 4 speakers of test") and "(s0, …)" in said[0]


# Tables

@pytest.mark.parametrize("table,words", [
    ("path,text\n1.wav,go\n2.wav,on\n", ["line 3", "no file '2.wav'", "put it there, or take the line out"]),
    ("path,text\n,go\n", ["line 2", "no file ''"]), ("path,text\n.,go\n", ["line 2", "no file '.'"]),
    ("name,text\n1.wav,go\n", ["no column of files", "line 1 names name, text", "path"]),
    ("path,said\n1.wav,go\n", ["no column of texts or words", "line 1 names path, said", "text, sentence"]),
    ("path,label\n1.wav,go\n1.wav, \n", ["line 3", "'label' is empty", "name the word"]),
    ("path,text\n1.wav\n", ["line 2", "1 fields", "2"]), ("path,text\n", ["no rows"]), ("", ["is empty"]),
    ("path,label,split\n1.wav,go,tran\n", ["line 2", "'tran'", "validation"]),
    ("path,text,text\n1.wav,a,b\n", ["line 1", "'text' twice"]), ("path,text\n1.wav,\0\n", ["line 2", "NUL"])])
def test_tables_that_lack_something_are_refused_by_line(tmp_path, table, words):
    write(tmp_path / "1.wav")
    path = write(tmp_path / "made.csv", table)
    refused(lambda: examined(path), path, *words)


def test_a_missing_file_of_librispeech_is_refused_by_line(tmp_path):
    path = write(tmp_path / "84" / "84-121.trans.txt", "84-121-0000 GO\n84-121-0001 ON\n")
    write(tmp_path / "84" / "84-121-0000.flac", encoded(voice(), form="FLAC"))
    refused(lambda: examined(tmp_path), f"{path} line 2", "no sound file '84-121-0001'", "take the line out")


def test_a_folder_without_sounds_is_refused(tmp_path):
    (tmp_path / "yes").mkdir()
    refused(lambda: examined(tmp_path), tmp_path, ".wav", "a folder for each word", "--data")
    refused(lambda: examined(tmp_path / "none"), tmp_path / "none", "no folder or table")


# Sentences

def sentences(folder, more, first="go on"):
    """A table of twenty clips, the last of them with these sentences; half a second has 35 frames with its margins."""
    said = [first] * (20 - len(more)) + list(more)
    for number in range(20):
        write(folder / f"{number}.wav", encoded(voice()))
    for split in ("validation", "test"):
        write(folder / f"{split}.csv", "path,text\n" + "".join(f"{number}.wav,go on\n" for number in range(2)))
    rows = [f"{number}.wav,{text}\n" for number, text in enumerate(said)]
    return write(folder / "train.csv", "path,text\n" + "".join(rows)).parent


def test_transcripts_that_are_empty_or_too_long_are_told(tmp_path):
    _, notes = examined(sentences(tmp_path, ["", "go on " * 9, "  "]))
    [empty] = [note for note in notes if "empty" in note]
    assert empty.startswith("2 transcript(s) of train are empty") and f"{tmp_path / '17.wav'}" in empty
    [long] = [note for note in notes if "frames" in note]
    assert long.startswith("1 transcript(s) of train have more characters than their clips have frames")
    assert f"{tmp_path / '18.wav'}" in long and "--hop" in long


def test_characters_that_training_lacks_are_told(tmp_path):
    folder = sentences(tmp_path, [])
    write(folder / "test.csv", "path,text\n0.wav,go on\n1.wav,go 漢\n2.wav,zoo\n")
    _, notes = examined(folder)
    [new] = [note for note in notes if "lacks" in note]
    assert new.startswith("2 transcript(s) of test have characters that training lacks")
    assert f"'漢' in {tmp_path / '1.wav'}" in new


def test_without_any_transcript_there_is_nothing_to_learn(tmp_path):
    dataset, _ = examined(sentences(tmp_path, [], first=" "))
    refused(lambda: symbols_of(dataset.splits["train"], "characters"), "transcripts are empty", "write down")
