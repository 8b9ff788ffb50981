"""Where texts come from: the sample, a TFDS set, tables, a folder a class, or a file a class."""

import json
import lzma
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.splits import SPLITS
from shared.data.tables import SUFFIXES, lines_of, read_table, read_text
from shared.data.text_bytes import to_bytes
from shared.data.tfds import open_tfds
from shared.errors import UserError
from shared.facts import Facts
from shared.settings import DataSettings

TEXTS = ("text", "sentence", "review", "content", "question", "title", "text_a", "body", "comment", "message")
LABELS = ("label", "class", "category", "sentiment", "target", "labels", "coarse_label", "rating", "star_rating")
LINES = (".txt", ".pos", ".neg", ".text")  # files with a text a line


@dataclass
class Rows:
    """Examples of one split: texts, names of their classes, and where each stands."""

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, text: str, label: str, file: str) -> None:
        self.texts.append(text)
        self.labels.append(label)
        self.files.append(file)


def load(settings: DataSettings, facts: Facts | None = None) -> Dataset:
    """The data that `settings.data` names, with the classes of `facts` where given.

    Raises:
        UserError: no such data, or what is in them cannot be understood; the line is named.
    """
    asked = getattr(settings, "text_column", None), getattr(settings, "label_column", None)
    if facts:
        asked = tuple(own or facts.get(name) for own, name in zip(asked, ("text_column", "label_column"), strict=True))
    labels = facts.get("labels") if facts else None
    if settings.data == "sample":
        return made("sample", sample(), [], labels, public=True)
    if settings.data.startswith("tfds:"):
        return load_tfds(settings.data.removeprefix("tfds:"), settings.data_dir, *asked, labels)
    notes: list[str] = []
    return made(settings.data, load_path(Path(settings.data), *asked, notes), notes, labels)


def sample() -> dict[str, Rows]:
    """3,000 sentences of reviews, positive or negative; CC BY 4.0, see sample/README.md."""
    splits = {name: Rows() for name in ("train", "validation", "test")}
    path = Path(__file__).parent / "sample" / "sentiment_sentences.jsonl.xz"
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            name = SPLITS[row["split"]]
            splits[name].add(row["text"], ("negative", "positive")[row["label"]], f"{path.name}:{number}")
    return splits


def made(name: str, splits: dict[str, Rows], notes: list[str], labels: list[str] | None = None,
         public: bool = False) -> Dataset:
    """Rows as columns: `text` (UTF-8 bytes) and `label`; classes in the order of `labels`, else of their names."""
    seen = Counter(label for rows in splits.values() for label in rows.labels)
    if not seen:
        raise UserError(f"{name} holds no texts.")
    notes = [*notes, *alike(seen)]
    if labels is None:
        labels = sorted(seen, key=in_order)
    elif unknown := sorted(seen.keys() - set(labels)):
        where = next(rows.files[rows.labels.index(unknown[0])] for rows in splits.values()
                     if unknown[0] in rows.labels)
        raise UserError(f"{where}: the model does not know the class '{unknown[0]}'; it knows "
                        f"{', '.join(labels[:10])}.")
    numbers = {label: number for number, label in enumerate(labels)}
    columns = {}
    for split, rows in splits.items():
        if empty := [file for text, file in zip(rows.texts, rows.files, strict=True) if not text.strip()]:
            notes.append(f"{len(empty)} text(s) of {split} are empty, the first: {empty[0]}.")
        columns[split] = Split({"text": to_bytes(rows.texts),
                                "label": np.array([numbers[label] for label in rows.labels], np.int64)},
                               {"file": rows.files})
    return Dataset(name, columns, list(labels), notes, public)


def in_order(label: str) -> tuple[int, int, str]:
    """Numbers by their size, and before words."""
    number = label.removeprefix("-").isdecimal() and len(label) < 20  # Python reads no numbers of thousands of digits
    return (0, int(label), label) if number else (1, 0, label)


def alike(seen: Iterable[str]) -> list[str]:
    """Notes on classes whose names differ by case or spaces only."""
    groups: dict[str, list[str]] = {}
    for label in seen:
        groups.setdefault(" ".join(label.casefold().split()), []).append(label)
    return [f"Classes {' and '.join(repr(label) for label in sorted(same))} differ by case or spaces only: one class, "
            f"written in several ways?" for same in groups.values() if len(same) > 1]


# Files

def load_path(top: Path, text: str | None, label: str | None, notes: list[str]) -> dict[str, Rows]:
    """A table; or a folder with tables, class folders or class files, below split folders or not."""
    if top.is_file():
        if top.suffix.lower() not in SUFFIXES:
            raise UserError(f"{top} is no table: --data takes {', '.join(SUFFIXES)} files, folders, tfds:NAME and "
                            f"sample.")
        return from_tables({"train": top}, text, label, notes)
    if not top.is_dir():
        raise UserError(f"There is no {top}: --data takes sample, tfds:NAME, a table or a folder.")
    inside = [path for path in sorted(top.iterdir()) if not path.name.startswith(".")]
    tables: dict[str, Path] = {}
    for path in inside:
        if path.suffix.lower() in SUFFIXES and path.stem.lower() in SPLITS:
            split = SPLITS[path.stem.lower()]
            if split in tables:
                raise UserError(f"{tables[split]} and {path} are both the {split} split: take one of them away.")
            tables[split] = path
    if "train" in tables or "test" in tables:
        return from_tables(tables, text, label, notes)
    parts = {SPLITS[path.name.lower()]: path for path in inside if path.is_dir() and path.name.lower() in SPLITS}
    parts = parts if "train" in parts or "test" in parts else {"train": top}
    return {split: from_classes(place, notes) for split, place in parts.items()}


def from_tables(paths: dict[str, Path], text: str | None, label: str | None, notes: list[str]) -> dict[str, Rows]:
    """A table a split; or one table whose column `split` names them."""
    splits: dict[str, Rows] = {}
    for name, path in paths.items():
        table = read_table(path, [column for column in (text, label) if column])
        notes += table.notes
        own = pick(table.names, text, TEXTS, "--text-column", str(path), {label})
        truth = pick(table.names, label, LABELS, "--label-column", str(path), {own})
        parts = table.column("split") if len(paths) == 1 and "split" in table.names else [name] * len(table.rows)
        for given, one, what, line in zip(parts, table.column(own), table.column(truth), table.lines, strict=True):
            if given.lower() not in SPLITS:
                raise UserError(f"{path} line {line}: the split '{given}' is none of {', '.join(SPLITS)}.")
            if not what.strip():
                raise UserError(f"{path} line {line}: the column '{truth}' is empty.")
            splits.setdefault(SPLITS[given.lower()], Rows()).add(one, what, f"{path}:{line}")
    return splits


def pick(names: list[str], asked: str | None, usual: tuple[str, ...], flag: str, where: str,
         taken: set[str | None]) -> str:
    """The column that was asked for, or the one whose name is usual, or the only one left."""
    if asked:
        return asked
    free = [name for name in names if name not in taken and name != "split"]
    found = next((name for want in usual for name in free if name.lower() == want), None)
    if found is None and len(free) == 1:
        found = free[0]
    if not free:
        raise UserError(f"{where} has the columns {', '.join(names[:10])} alone: add the one that {flag} would name.")
    if found is None:
        raise UserError(f"{where} has the columns {', '.join(names[:10])}: name the right one by {flag}.")
    return found


def from_classes(top: Path, notes: list[str]) -> Rows:
    """A folder a class, a text a file; or a file a class, a text a line."""
    rows = Rows()
    folders = [path for path in sorted(top.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if folders:
        for folder in folders:
            for path in sorted(folder.rglob("*.txt")):
                text, said = read_text(path)
                notes += said[:1] if len(notes) < 3 else []
                rows.add(text, folder.name, str(path))
        if not rows.texts:
            raise UserError(f"The folders in {top} hold no .txt files: put each class into a folder of its own.")
        return rows
    files = [path for path in sorted(top.iterdir()) if path.suffix.lower() in LINES]
    if len(files) < 2:
        raise UserError(f"{top} has no texts: put there train.csv (.tsv, .jsonl), a folder for each class, or a file "
                        f"of lines for each class.")
    one_stem = len({path.stem for path in files}) == 1  # reviews.pos and reviews.neg
    for path in files:
        text, said = read_text(path)
        notes += said
        if not text.strip():
            raise UserError(f"{path} is empty: write a text of its class on each line, or take it out.")
        for number, line in enumerate(lines_of(text), 1):
            if line.strip():
                rows.add(line, path.suffix[1:] if one_stem else path.stem, f"{path}:{number}")
    return rows


# TensorFlow Datasets

def load_tfds(name: str, data_dir: str | None, text: str | None, label: str | None,
              labels: list[str] | None = None) -> Dataset:
    """A TFDS set with a text and a class; found by type where its features have unusual names."""
    chosen: dict[str, str] = {}

    def fits(builder: Any) -> None:
        import tensorflow_datasets as tfds
        features = builder.info.features
        kinds = dict(features.items()) if hasattr(features, "items") else {}
        texts = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.Text)]
        classes = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.ClassLabel)]
        if not texts or not classes:
            raise UserError(f"tfds:{name} has no text or no class among its features ({', '.join(kinds)}): choose a "
                            f"text-classification set.")
        chosen["text"] = named(texts, text, TEXTS, "--text-column")
        chosen["label"] = named(classes, label, LABELS, "--label-column")

    def named(found: list[str], asked: str | None, usual: tuple[str, ...], flag: str) -> str:
        if asked and asked not in found:
            raise UserError(f"{flag} {asked}: tfds:{name} offers {', '.join(found)}.")
        return asked or pick(found, None, usual, flag, f"tfds:{name}", set())

    builder = open_tfds(name, data_dir, fits)
    names = list(builder.info.features[chosen["label"]].names)
    splits: dict[str, Rows] = {}
    for given in builder.info.splits:
        if given in SPLITS:
            rows = splits.setdefault(SPLITS[given], Rows())
            for number, row in enumerate(builder.as_dataset(split=given).as_numpy_iterator()):
                if row[chosen["label"]] >= 0:  # the test splits of some sets hide their truth
                    rows.add(row[chosen["text"]].decode("utf-8", "replace"), names[int(row[chosen["label"]])],
                             f"{given} {number}")
    return made(f"tfds:{name}", {split: rows for split, rows in splits.items() if rows.texts}, [], labels or names,
                public=True)
