"""Makes the folders that apps/speech/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_speech fsdd SOURCE FOLDER [--leave-out SPEAKER] [--voices COMMANDS]
        SOURCE: `recordings` of https://github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0), WAV or FLAC.
        Numbers 0 to 4 of each speaker and digit test, as its README rules, 45 to 49 validate. With --leave-out all of
        that speaker's recordings test, and no other's. With --voices the digits in COMMANDS, the source of `commands`,
        are trained on too: 240 recordings of 118 speakers, each four times.
    python -m benchmarks.prepare_speech joined SOURCE FOLDER [--leave-out SPEAKER] [--strings N] [--voices COMMANDS]
        The same recordings, joined: strings of 3 to 7 digits of one speaker with gaps, over a floor of noise; N to
        train (3,000), 300 to validate, 300 to test, drawn by fixed seeds from the parts above; N changes no other.
        With --voices 2,000 more to train, of the digits in COMMANDS, several speakers in a string.
    python -m benchmarks.prepare_speech commands SOURCE FOLDER [--words | --strings N]
        SOURCE: the canonical test set of Speech Commands v0.02 (Warden 2018, CC BY 4.0),
        http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz, 12 classes, 4,890 clips, with
        `index.csv`: clip (path without its ending), label, speaker, own_split. Speakers are divided by the SHA-1 of
        their name modulo 10: 0 and 1 test, 2 validates, the others train; clips of silence, which have none, by their
        own. With --words what was said of 35 words, also of those that the 12 classes call unknown (a column `word`).
        With --strings N strings of those words to train on, joined as above, half of one speaker each, half of
        several, by all who do not validate; 300 to validate and 300 to test by those who do.
    python -m benchmarks.prepare_speech grid SOURCE FOLDER
        SOURCE: the sound of speaker s1 of the GRID corpus (Cooke et al. 2006, https://doi.org/10.1121/1.2229005, free
        for research use), with `index.csv`: utt, text, own_split: SHA-1 of the name modulo 10, 0 tests, 1 validates.
"""

import argparse
import csv
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from apps.speech.joined import Clip, strings
from apps.speech.sounds import read_sound
from shared.errors import UserError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
Rows = dict[str, list[dict[str, str]]]  # by split: file, label or text, speaker
STRINGS = {"train": 3000, "validation": 300, "test": 300}  # drawn in a row; further ones by their own seed
OTHERS = 2000  # strings of other speakers' digits
TIMES = 4  # that one of them stands in a table of single digits
FEWEST_WORDS = 5  # recordings of a speaker from whom whole strings are made
RATE = 8000  # of FSDD
SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def recordings(source: Path, left_out: str | None) -> dict[str, list[tuple[Path, str, str]]]:
    """(file, digit as a word, speaker) by split."""
    files = sorted(path for path in source.iterdir() if path.suffix in (".wav", ".flac"))
    if len(files) != 3000:
        sys.exit(f"{source} has {len(files)} recordings, not the set's 3,000: see --help for where it comes from.")
    parts: dict[str, list[tuple[Path, str, str]]] = {"train": [], "validation": [], "test": []}
    for path in files:
        digit, speaker, number = path.stem.split("_")
        split = "test" if int(number) < 5 else "train" if int(number) < 45 else "validation"
        if left_out:
            split = "test" if speaker == left_out else "train" if split == "test" else split
        parts[split].append((path, DIGITS[int(digit)], speaker))
    if left_out and len(parts["test"]) != 500:
        sys.exit(f"--leave-out {left_out}: the speakers are {', '.join(sorted({row[2] for row in parts['train']}))}.")
    return parts


def fsdd(source: Path, clips: Path, left_out: str | None, voices: Path | None) -> Rows:
    made: Rows = {}
    for split, rows in recordings(source, left_out).items():
        for path, digit, speaker in rows:
            shutil.copyfile(path, clips / path.name)
            made.setdefault(split, []).append({"file": path.name, "label": digit, "speaker": speaker})
    if voices:
        for number, (samples, digit, speaker) in enumerate(digits_in(voices)):
            name = f"voices_{number:03}.flac"
            soundfile.write(clips / name, samples, RATE, "PCM_16")
            made["train"] += TIMES * [{"file": name, "label": digit, "speaker": speaker}]
    return made


def joined(source: Path, clips: Path, left_out: str | None, to_train: int, voices: Path | None) -> Rows:
    random, made = np.random.default_rng(2026), Rows()
    for split, rows in recordings(source, left_out).items():
        sounds = [(heard(path), digit, speaker) for path, digit, speaker in rows]
        drawn = strings(sounds, RATE, STRINGS[split], random)
        if split == "train":
            drawn = chain(drawn, strings(sounds, RATE, to_train - STRINGS[split], np.random.default_rng(2027)))
            if voices:
                others = together(digits_in(voices))
                drawn = chain(drawn, strings(others, RATE, OTHERS, np.random.default_rng(2028)))
        made[split] = written(split, drawn, clips)
    return made


def joined_words(source: Path, clips: Path, to_train: int) -> Rows:
    said, random = spoken(source), np.random.default_rng(1)
    often = Counter(speaker for _, (_, _, speaker) in said)
    frequent = [(split, clip) for split, clip in said if often[clip[2]] >= FEWEST_WORDS]
    others = [clip for split, clip in said if split != "validation"]
    own = [clip for split, clip in frequent if split != "validation"]
    strange = [clip for split, clip in frequent if split == "validation"]
    if not own or not strange:
        sys.exit(f"{source} has no speaker of {FEWEST_WORDS} words to train on, or none to validate: give all of it.")
    drawn = {"train": chain(strings(own, RATE, to_train - to_train // 2, random),
                            strings(together(others), RATE, to_train // 2, random)),
             "validation": strings(strange, RATE, STRINGS["validation"], random),
             "test": strings(strange, RATE, STRINGS["test"], random)}
    return {split: written(split, rows, clips) for split, rows in drawn.items()}


def written(split: str, drawn: Iterable[Clip], clips: Path) -> list[dict[str, str]]:
    rows = []
    for number, (samples, text, speaker) in enumerate(drawn):
        name = f"{split}_{number:04}.flac"
        soundfile.write(clips / name, samples, RATE, "PCM_16")
        rows.append({"file": name, "text": text, "speaker": speaker})
    return rows


def heard(path: Path) -> np.ndarray:
    """Samples at FSDD's rate, from -1 to 1."""
    return read_sound(path, RATE).astype(np.float32) / 32768


def spoken(source: Path) -> list[tuple[str, Clip]]:
    """The words of Speech Commands with their split, without the silence around them."""
    found = []
    for path, row in listed(source, "clip", "word", "speaker"):
        if row["word"] != "_silence_":
            samples = heard(path)
            power = np.convolve(samples ** 2, np.ones(round(0.03 * RATE)), "same")
            loud = np.flatnonzero(power >= power.max() / 300)  # 25 decibels
            within = slice(max(loud[0] - round(0.03 * RATE), 0), loud[-1] + round(0.03 * RATE))
            found.append((SPLITS[row["own_split"]], (samples[within], row["word"], row["speaker"])))
    return found


def digits_in(source: Path) -> list[Clip]:
    found = [clip for _, clip in spoken(source) if clip[1] in DIGITS]
    return found or sys.exit(f"{source} has no recording of a digit: give the source of `commands`.")


def together(clips: list[Clip]) -> list[Clip]:
    """As if one speaker's."""
    return [(samples, word, "others") for samples, word, _ in clips]


def listed(source: Path, name: str, *columns: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """The files that `index.csv` lists in its column `name`, and their rows, which have these columns too."""
    if not (source / "index.csv").is_file():
        sys.exit(f"{source} has no index.csv: see --help for what stands in it.")
    with (source / "index.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if missing := [column for column in (name, *columns, "own_split") if column not in row]:
                sys.exit(f"{source / 'index.csv'} has no column {missing[0]}: see --help for what stands in it.")
            path = next(source.glob(f"{row[name]}.*"), None)
            if path is None:
                sys.exit(f"{source} has no file {row[name]}, which index.csv lists.")
            yield path, row


def by_index(source: Path, clips: Path, name: str, truth: str, kind: str) -> Rows:
    """Clips that `index.csv` lists; its column `truth` is their `kind`: label or text."""
    made: Rows = {}
    for path, row in listed(source, name, truth):
        flat = row[name].replace("/", "_") + path.suffix
        shutil.copyfile(path, clips / flat)
        made.setdefault(SPLITS[row["own_split"]], []).append(
            {"file": flat, kind: row[truth], "speaker": row.get("speaker", "s1")})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("fsdd", "joined", "commands", "grid"))
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--leave-out", metavar="SPEAKER")
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--strings", metavar="N", type=int)
    parser.add_argument("--voices", metavar="COMMANDS", type=Path)
    args = parser.parse_args()
    for flag, given, sets in (("--leave-out", args.leave_out, ("fsdd", "joined")),
                              ("--words", args.words, ("commands",)),
                              ("--strings", args.strings, ("joined", "commands")),
                              ("--voices", args.voices, ("fsdd", "joined"))):
        if given and args.set not in sets:
            sys.exit(f"{flag} is of {' and '.join(sets)}, not of {args.set}: leave it out.")
    if args.strings is not None and args.strings < STRINGS["train"]:
        sys.exit(f"--strings {args.strings}: give at least {STRINGS['train']:,}.")
    if args.strings and args.words:
        sys.exit("--words makes clips of one word, --strings of several: give one of the two.")
    if args.folder.exists():
        sys.exit(f"{args.folder} exists already: name a new folder.")
    if not args.source.is_dir():
        sys.exit(f"There is no folder {args.source}: see --help for where the set comes from.")
    clips = args.folder / "clips"
    clips.mkdir(parents=True)
    try:
        match args.set:
            case "fsdd":
                made = fsdd(args.source, clips, args.leave_out, args.voices)
            case "joined":
                made = joined(args.source, clips, args.leave_out, args.strings or STRINGS["train"], args.voices)
            case "commands" if args.strings:
                made = joined_words(args.source, clips, args.strings)
            case "commands":
                made = by_index(args.source, clips, "clip", "word" if args.words else "label", "label")
            case "grid":
                made = by_index(args.source, clips, "utt", "text", "text")
    except BaseException as stopped:  # nothing is left behind
        shutil.rmtree(args.folder)
        if isinstance(stopped, UserError):
            sys.exit(str(stopped))
        raise
    for split, rows in made.items():
        with (args.folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.DictWriter(table, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    print(f"{', '.join(f'{len(rows)} {split}' for split, rows in made.items())}; use it by --data {args.folder}")


if __name__ == "__main__":
    main()
