"""Where clips come from: the sample, a TFDS set, a folder for each word, or tables of files."""

import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from apps.speech.joined import strings
from apps.speech.sounds import EXTENSIONS, read_all, read_sound
from shared.app import Answer
from shared.data.dataset import Column, Dataset, Ragged, Split
from shared.data.splits import SPLITS
from shared.data.stored import Source, Stored
from shared.data.tables import SUFFIXES, read_table, read_text
from shared.data.text_bytes import decoded, to_bytes
from shared.data.tfds import open_tfds
from shared.errors import UserError
from shared.facts import Facts

FILES = ("path", "file", "filename", "file_name", "audio", "clip", "wav", "audio_filepath")
TEXTS = ("text", "sentence", "transcript", "transcription")
LABELS = ("label", "word", "class", "keyword", "command", "category")
SPEAKERS = ("speaker", "client_id", "speaker_id", "user")
SAMPLES = ("sample", "sample:joined")
STRINGS = {"train": 1000, "validation": 100, "test": 200}  # that are made of the sample's words
MOST_NOISE = 600  # seconds of recordings for noise
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass
class Clips:
    """Those of one split: files, what is said in each, and by whom (empty where nobody knows)."""

    sources: list[Source] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)

    def add(self, source: Source, truth: str, speaker: str = "") -> None:
        self.sources.append(source)
        self.truth.append(truth)
        self.speakers.append(speaker)


@dataclass
class Heard:
    """The samples of one split, int16, and what is known of each clip."""

    samples: Ragged
    truth: list[str]
    speakers: list[str]
    files: list[str]


def load(settings: Any, facts: Facts | None = None) -> Dataset:
    """The data that `settings.data` names, at the rate and with the classes of `facts` where given.

    Raises:
        UserError: no such data, or what is in them cannot be understood.
    """
    rate, notes = facts["rate"] if facts else settings.rate, list[str]()
    if settings.data.startswith("tfds:"):
        splits, sentences = from_tfds(settings.data.removeprefix("tfds:"), settings.data_dir, rate)
    else:
        clips, sentences = (sample(), False) if settings.data in SAMPLES else load_path(Path(settings.data))
        splits = {name: heard(name, own, rate, settings.max_bad, notes) for name, own in clips.items()}
        if settings.data == "sample:joined":
            splits, sentences = in_strings(splits, rate), True
    if facts and sentences == bool(facts.get("labels")):
        has, knows = ("sentences", "words") if sentences else ("words", "sentences")
        raise UserError(f"{settings.data} has {has}, but the model was trained on {knows}: name data of {knows} by "
                        f"--data.")
    public = settings.data in SAMPLES or settings.data.startswith("tfds:")
    return made(settings.data, splits, sentences, notes, facts.get("labels") if facts else None, public)


def heard(split: str, clips: Clips, rate: int, max_bad: float, notes: list[str]) -> Heard:
    """Clips read from their files; those that cannot be read are left out."""
    samples, kept, said = read_all(clips.sources, rate, max_bad)
    notes += [f"{split}: {note}" for note in said]
    truth, speakers = ([of[row] for row in kept] for of in (clips.truth, clips.speakers))
    return Heard(samples, truth, speakers, [str(clips.sources[row]) for row in kept])


def sample() -> dict[str, Clips]:
    """780 spoken digits of six speakers; CC BY-SA 4.0, see sample/README.md."""
    splits = {name: Clips() for name in ("train", "validation", "test")}
    with tarfile.open(Path(__file__).parent / "sample" / "fsdd.tar") as archive:
        for member in sorted(archive.getnames()):
            digit, speaker, number = Path(member).stem.split("_")
            name = "test" if int(number) < 5 else "train" if int(number) < 12 else "validation"
            file = archive.extractfile(member)
            assert file
            splits[name].add(Stored(member, file.read()), DIGITS[int(digit)], speaker)
    return splits


def in_strings(splits: dict[str, Heard], rate: int) -> dict[str, Heard]:
    """Single words, joined to sentences of one speaker: the same ones every time."""
    random, made = np.random.default_rng(2026), {}
    for name, own in splits.items():
        clips = [(own.samples.row(row).astype(np.float32) / 32768, word, speaker)
                 for row, (word, speaker) in enumerate(zip(own.truth, own.speakers, strict=True))]
        samples, truth, speakers = zip(*strings(clips, rate, STRINGS[name], random), strict=True)
        values = np.concatenate([np.rint(row * 32767).astype(np.int16) for row in samples])
        made[name] = Heard(Ragged(values, np.cumsum([0, *map(len, samples)])), list(truth), list(speakers),
                           [f"{name} {number}" for number in range(len(truth))])
    return made


def made(name: str, splits: dict[str, Heard], sentences: bool, notes: list[str], labels: list[str] | None = None,
         public: bool = False) -> Dataset:
    """Clips as columns: `samples` (int16) and `length`, how many there are; `label` or `text` (UTF-8 bytes)."""
    seen = Counter(truth for own in splits.values() for truth in own.truth)
    if not sentences and labels is None:
        labels = sorted(seen, key=lambda word: (DIGITS.index(word) if seen.keys() <= set(DIGITS) else 0, word))
    numbers = {label: number for number, label in enumerate(labels or [])}
    columns = {}
    for split, own in splits.items():
        about: dict[str, Sequence[Any]] = {"file": own.files}
        if any(own.speakers):
            about["speaker"] = own.speakers
        sounds: dict[str, Column] = {"samples": own.samples,
                                     "length": np.diff(own.samples.offsets).astype(np.int32)}
        if sentences:
            columns[split] = Split({**sounds, "text": to_bytes([plain(text) for text in own.truth])}, about)
            continue
        if unknown := sorted(set(own.truth) - set(numbers)):
            raise UserError(f"{own.files[own.truth.index(unknown[0])]}: the model does not know the word "
                            f"'{unknown[0]}'; it knows {', '.join(list(numbers)[:10])}.")
        columns[split] = Split({**sounds, "label": np.array([numbers[word] for word in own.truth], np.int64)}, about)
    spoken = all("speaker" in split.meta for split in columns.values())
    return Dataset(name, columns, list(labels or []), notes, public, "speaker" if spoken else None)


def plain(text: str) -> str:
    """A transcript in lower case, its words parted by single spaces; NUL is padding elsewhere, and none here."""
    return " ".join(text.lower().replace("\0", " ").split())


def load_path(top: Path) -> tuple[dict[str, Clips], bool]:
    """A table of files; or a folder with tables, transcripts as LibriSpeech has them, or a folder for each word."""
    if top.is_file() and top.suffix.lower() in SUFFIXES:
        return from_tables({"train": top})
    if not top.is_dir():
        raise UserError(f"There is no folder or table {top}: --data takes sample, tfds:NAME, {', '.join(SUFFIXES)} "
                        f"files and folders.")
    tables = {SPLITS[path.stem.lower()]: path for path in sorted(top.iterdir())
              if path.suffix.lower() in SUFFIXES and path.stem.lower() in SPLITS}
    if tables:
        return from_tables(tables)
    inside = {path.name.lower(): path for path in sorted(top.iterdir()) if path.is_dir()}
    parts = {SPLITS[name]: path for name, path in inside.items() if name in SPLITS}
    parts = parts if "train" in parts or "test" in parts else {"train": top}
    if any(top.rglob("*.trans.txt")):
        return {split: from_transcripts(path) for split, path in parts.items()}, True
    return {split: from_folders(path) for split, path in parts.items()}, False


def from_tables(paths: dict[str, Path]) -> tuple[dict[str, Clips], bool]:
    """A table a split, or one table whose column `split` names them; files lie beside it, or below `clips`."""
    splits: dict[str, Clips] = {}
    kinds = set()
    for name, path in paths.items():
        table = read_table(path)
        columns = {column.lower(): column for column in table.names}

        def find(usual: tuple[str, ...], columns: dict[str, str] = columns) -> str | None:
            return next((columns[column] for column in usual if column in columns), None)
        file, text, label, speaker = find(FILES), find(TEXTS), find(LABELS), find(SPEAKERS)
        truth = text or label
        if not file or not truth:
            lacking, usual = ("files", FILES) if not file else ("texts or words", TEXTS + LABELS)
            raise UserError(f"{path} has no column of {lacking}: line 1 names {', '.join(table.names[:10])}; name one "
                            f"of them {', '.join(usual[:3])}.")
        kinds.add(bool(text))
        parts = table.column(columns["split"]) if len(paths) == 1 and "split" in columns else [name] * len(table.rows)
        for part, where, said, who, line in zip(
                parts, table.column(file), table.column(truth),
                table.column(speaker) if speaker else [""] * len(table.rows), table.lines, strict=True):
            if part.lower() not in SPLITS:
                raise UserError(f"{path} line {line}: the split '{part}' is none of {', '.join(SPLITS)}.")
            found = next((place for place in (path.parent / where, path.parent / "clips" / where) if place.is_file()),
                         None)
            if found is None:
                raise UserError(f"{path} line {line}: there is no file '{where}' beside the table, or in 'clips': put "
                                f"it there, or take the line out.")
            if label and not text and not said.strip():
                raise UserError(f"{path} line {line}: the column '{label}' is empty: name the word, or take the line "
                                f"out.")
            splits.setdefault(SPLITS[part.lower()], Clips()).add(found, said, who)
    if len(kinds) > 1:
        raise UserError(f"{' and '.join(map(str, paths.values()))} differ: one has sentences, the other single words.")
    return splits, kinds.pop()


def from_transcripts(top: Path) -> Clips:
    """As LibriSpeech has them: SPEAKER/CHAPTER/*.trans.txt, whose lines are a file's name without its end, and a
    text."""
    clips = Clips()
    for path in sorted(top.rglob("*.trans.txt")):
        for number, line in enumerate(read_text(path)[0].splitlines(), 1):
            name, _, text = line.partition(" ")
            found = next((path.parent / f"{name}{end}" for end in sorted(EXTENSIONS)
                          if (path.parent / f"{name}{end}").is_file()), None)
            if found is None:
                raise UserError(f"{path} line {number}: there is no sound file '{name}' beside it: put it there, "
                                f"or take the line out.")
            clips.add(found, text, name.split("-")[0])
    return clips


def from_folders(top: Path) -> Clips:
    """A folder for each word; speakers are told by names as Speech Commands has them, `SPEAKER_nohash_0.wav`."""
    clips = Clips()
    for folder in sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in EXTENSIONS:
                speaker, mark, _ = path.stem.partition("_nohash_")
                clips.add(path, folder.name, speaker if mark else "")
    if not clips.sources:
        raise UserError(f"The folders in {top} hold no sounds: put {', '.join(sorted(EXTENSIONS))} files into a "
                        f"folder for each word, or name the table of their words or texts by --data.")
    return clips


def recordings(folder: Path, rate: int) -> np.ndarray:
    """All sounds below a folder one after another, float32 from -1 to 1; of many the first ten minutes.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    made, left = [], MOST_NOISE * rate
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS):
        if left > 0:
            made.append(read_sound(path, rate, left / rate))
            left -= len(made[-1])
    if not made:
        raise UserError(f"--noise-dir {folder} holds no sounds: put {', '.join(sorted(EXTENSIONS))} files into it.")
    return np.concatenate(made).astype(np.float32) / 32768


def made_up(size: int, rate: int) -> dict[str, np.ndarray]:
    """Tones, noise and silence of several lengths, as batched raw inputs: float32 `[8, size]`, int32 `[8]`."""
    rng, time = np.random.default_rng(0), np.arange(size) / rate
    rows = [0.3 * np.sin(2 * np.pi * 200 * (1 + time) * time), 0.5 * np.sin(2 * np.pi * 440 * time),
            rng.normal(size=size) * 0.1, rng.normal(size=size) * np.sin(6 * time) * 0.1, np.zeros(size),
            0.2 * np.sign(np.sin(2 * np.pi * 110 * time)), np.where(rng.random(size) < 1e-3, 0.9, 0.0),
            rng.normal(size=size).cumsum() * 1e-3]
    length = np.array([size, size // 2, size, size // 3, size, size * 2 // 3, size, 0], np.int32)
    samples = np.stack(rows).clip(-1, 1).astype(np.float32)
    return {"samples": np.where(np.arange(size) < length[:, None], samples, np.float32(0)), "length": length}


# TensorFlow Datasets

def from_tfds(name: str, data_dir: str | None, rate: int) -> tuple[dict[str, Heard], bool]:
    """A TFDS set with sound, and a class or a text for each."""
    chosen: dict[str, str] = {}

    def fits(builder: Any) -> None:
        import tensorflow_datasets as tfds
        features = builder.info.features
        kinds = dict(features.items()) if hasattr(features, "items") else {}
        for what, kind in (("sound", tfds.features.Audio), ("label", tfds.features.ClassLabel),
                           ("text", tfds.features.Text)):
            if found := [key for key, feature in kinds.items() if isinstance(feature, kind)]:
                usual = TEXTS if what == "text" else LABELS
                chosen[what] = next((key for key in found if key in usual), found[0])
        if "text" in chosen and chosen["text"] not in TEXTS:
            del chosen["text"]  # an identifier
        if "sound" not in chosen or not {"label", "text"} & chosen.keys():
            raise UserError(f"tfds:{name} has no sound with a class or a text among its features "
                            f"({', '.join(kinds)}): choose a speech set.")

    builder = open_tfds(name, data_dir, fits)
    features = builder.info.features
    own = features[chosen["sound"]].sample_rate or rate
    speaker = next((key for key in SPEAKERS if key in features), None)
    splits: dict[str, Heard] = {}
    for given in builder.info.splits:
        if given not in SPLITS:
            continue
        rows, values, offsets = Heard(Ragged(np.zeros(0, np.int16), np.zeros(1)), [], [], []), bytearray(), [0]
        for number, row in enumerate(builder.as_dataset(split=given).as_numpy_iterator()):
            clip = at_rate(row[chosen["sound"]], own, rate)
            values += clip.tobytes()
            offsets.append(offsets[-1] + len(clip))
            rows.truth.append(row[chosen["text"]].decode("utf-8", "replace") if "text" in chosen else
                              features[chosen["label"]].names[int(row[chosen["label"]])])
            rows.speakers.append(str(row[speaker]) if speaker else "")
            rows.files.append(f"{given} {number}")
        rows.samples = Ragged(np.frombuffer(values, np.int16), np.array(offsets))
        splits[SPLITS[given]] = rows
    return splits, "text" in chosen


def at_rate(clip: np.ndarray, own: int, rate: int) -> np.ndarray:
    """int16 `[samples]` at another rate; of integers as they are, or of floats from -1 to 1."""
    if clip.dtype.kind == "f":
        clip = clip * 32768
    clip = clip.clip(-32768, 32767).astype(np.int16)
    clip = clip if clip.ndim == 1 else clip.mean(-1).astype(np.int16)
    return clip if own == rate else np.asarray(soxr.resample(clip, own, rate))


# Checks

def examine(dataset: Dataset, kind: str, frames: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """What a person should know of speakers and transcripts.

    Args:
        dataset: with its splits.
        kind: of symbols.
        frames: of an answer, by the samples of a clip.
    """
    notes, splits = [], dataset.splits
    speakers = {name: set(split.meta["speaker"]) - {""} for name, split in splits.items() if "speaker" in split.meta}
    for name, others in (("validation", ["train"]), ("test", ["train", "validation"])):
        known = set[str]().union(*(speakers.get(other, set()) for other in others))
        if both := speakers.get(name, set()) & known:
            notes.append(f"{len(both)} of {len(speakers[name])} speakers of {name} are also in {' or '.join(others)} "
                         f"({min(both)}, …): scores tell little of strangers.")
    if "text" not in splits["train"].columns:
        return notes
    known = set("".join(texts(splits["train"])))
    for name, split in splits.items():
        said, files = texts(split), split.meta["file"]
        if empty := [file for text, file in zip(said, files, strict=True) if not text]:
            notes.append(f"{len(empty)} transcript(s) of {name} are empty, as if nothing were said, the first: "
                         f"{empty[0]}.")
        if new := [(text, file) for text, file in zip(said, files, strict=True) if set(text) - known]:
            notes.append(f"{len(new)} transcript(s) of {name} have characters that training lacks, which are never "
                         f"answered, the first: {min(set(new[0][0]) - known)!r} in {new[0][1]}.")
        room = frames(split.columns["length"][np.arange(len(split))])
        if long := [file for text, file, most in zip(said, files, room, strict=True) if needed(text, kind) > most]:
            notes.append(f"{len(long)} transcript(s) of {name} have more {kind} than their clips have frames, and are "
                         f"not learned from, the first: {long[0]}; check them, or try --hop 0.01.")
    return notes


def needed(text: str, kind: str) -> int:
    """Frames that CTC needs: one a symbol, and one between two that are alike."""
    symbols = symbols_in(text, kind)
    return len(symbols) + sum(one == other for one, other in zip(symbols, symbols[1:], strict=False))


def texts(split: Split) -> list[str]:
    column = split.columns["text"]
    assert isinstance(column, Ragged)
    return [decoded(column.row(row)) for row in range(len(column))]


# Transcripts as symbols

def symbols_of(train: Split, kind: str) -> list[str]:
    """The characters, or the words, of all training transcripts."""
    found = sorted({symbol for text in texts(train) for symbol in symbols_in(text, kind)})
    if not found:
        raise UserError("All training transcripts are empty: write down what is said in the clips.")
    return found


def symbols_in(text: str, kind: str) -> list[str]:
    return text.split() if kind == "words" else list(text)


def text_of(answer: Answer, facts: Facts) -> str:
    """An answer's symbols as text."""
    symbols = [facts["symbols"][int(symbol)] for symbol in answer["symbols"][:int(answer["count"])]]
    return (" " if facts["of"] == "words" else "").join(symbols)
