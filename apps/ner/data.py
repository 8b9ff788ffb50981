"""Where sentences with named entities come from: the samples, a TFDS set, columns of CoNLL, JSON lines with spans.

A corpus with tokens of its own gives texts in which each token is followed by U+001F; every other text is parted into
tokens by `shared.data.plain_tokens`, as the graph does it.
"""

import lzma
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from apps.ner.columns import from_columns
from apps.ner.json_lines import TAGS, TOKENS, from_json
from apps.ner.sentences import Marked, Oddities, Place, Tagged, as_raw, joint, marked
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.splits import SPLITS
from shared.data.tables import read_text
from shared.data.tag_schemes import (
    TagError,
    is_tag,
    scheme_named,
    scheme_of,
    tag_names,
    to_bioes,
)
from shared.data.tfds import open_tfds
from shared.errors import UserError
from shared.facts import Facts
from shared.settings import DataSettings

SAMPLES = {"sample": "wiki_en.{}.conll.xz", "sample:zh": "zh_gsdsimp.{}.char.conll.xz"}
JSON = (".jsonl", ".ndjson", ".json")
FOREIGN = (".md", ".rst", ".pdf", ".htm", ".html", ".xml", ".py", ".csv", ".ann", ".yaml", ".yml", ".zip", ".gz",
           ".xz", ".bz2", ".tar", ".tgz", ".npy", ".npz", ".pkl", ".png")
ORDER = ("train", "validation", "test")

_SPLIT = re.compile(r"(?<![a-z])(train(?:ing)?|dev(?:el)?|valid(?:ation)?|val|test[ab]?)(?![a-z])")
_NAMES = SPLITS | {"training": "train", "devel": "validation", "testa": "validation", "testb": "test"}


def load(settings: DataSettings, facts: Facts | None = None) -> Dataset:
    """The data that `settings.data` names.

    Returns:
        A data set with the columns `text` (`Ragged` uint8, UTF-8) and `tags` (`Ragged` int32 filled with -1: for each
        token the number of its tag in `tag_names(labels)`), and the meta `file`, the place at which the sentence
        begins. `labels` are the types of entities, sorted, or those of `facts` where given.

    Raises:
        UserError: no such data, or what is in them cannot be understood; the line is named.
    """
    def asked(name: str) -> str | None:
        own = getattr(settings, name, None)
        return facts.get(name) if own is None and facts else own

    column, scheme = asked("tag_column"), asked("scheme")
    try:
        scheme = scheme_named(scheme) if scheme else None
    except ValueError as error:
        raise UserError(f"--scheme: {error}.") from error
    name, odd = settings.data, Oddities()
    notes: list[str] = []
    if name in SAMPLES:
        splits = sample(name)
    elif name.startswith("tfds:"):
        splits = from_tfds(name.removeprefix("tfds:"), settings.data_dir, column)
    else:
        splits = from_path(Path(name), column, notes, odd)
    marked = by_scheme({split: splits[split] for split in ORDER if splits.get(split)}, scheme, notes, odd)
    if share := getattr(settings, "as_raw", 0):
        rows, draw = marked.get("train", []), np.random.default_rng([settings.seed, 20_28])
        between = joint(rows)
        marked["train"] = [as_raw(row, between) if draw.random() < share else row for row in rows]
    return made(name, marked, [*notes, *odd.notes()], facts.get("labels") if facts else None,
                public=name in SAMPLES or name.startswith("tfds:"))


def sample(name: str) -> dict[str, list[Any]]:
    """Sentences of Wikipedia; CC BY-SA 4.0, see sample/README.md."""
    splits: dict[str, list[Any]] = {}
    for split in ("train", "val", "test"):
        path = Path(__file__).parent / "sample" / SAMPLES[name].format(split)
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as content:
            splits[SPLITS[split]] = [*from_columns(path.name, content.read(), None, [])]
    return splits


def by_scheme(splits: dict[str, list[Any]], asked: str | None, notes: list[str], odd: Oddities
              ) -> dict[str, list[Marked]]:
    """Sentences with tags as texts with spans; their scheme is looked for in all of them together."""
    tagged = [one for rows in splits.values() for one in rows if isinstance(one, Tagged)]
    if not tagged:
        return splits
    try:
        scheme = scheme_of((one.tags for one in tagged), asked)
    except TagError as error:
        where = tagged[error.sentence].place.at(error.token)
        mend = "mend it, or name another scheme by --scheme" if asked else "mend it"
        raise UserError(f"{where}: {error}; {mend}.") from error
    notes.append(f"Tags are read as {scheme}{'' if asked else ', which they look like'}.")
    return {split: [marked(one, scheme, odd) if isinstance(one, Tagged) else one for one in rows]
            for split, rows in splits.items()}


def made(name: str, splits: dict[str, list[Marked]], notes: list[str], labels: list[str] | None = None,
         public: bool = False) -> Dataset:
    """Texts with spans as columns."""
    if not any(splits.values()):
        raise UserError(f"{name} holds no sentences.")
    seen: dict[str, dict[str, str]] = {}  # type, split, where it stands there first
    for split, rows in splits.items():
        for row in rows:
            for start, _, of_span in row.spans:
                seen.setdefault(of_span, {}).setdefault(split, row.place.at(start))
    if labels is None:
        if not seen:
            first = next(rows[0] for rows in splits.values() if rows)
            raise UserError(f"{first.place.at()}: from here on there is no entity in all of {name}: mark some.")
        labels = sorted(seen)
        lacking = [f"{of_span} ({next(iter(seen[of_span].values()))})" for of_span in labels
                   if "train" in splits and "train" not in seen[of_span]]
        if lacking:
            notes = [*notes, f"Training has no entities of {', '.join(lacking[:10])}: they can only be missed."]
    elif unknown := sorted(seen.keys() - set(labels)):
        where = next(iter(seen[unknown[0]].values()))
        raise UserError(f"{where}: the model does not know the type '{unknown[0]}'; it knows "
                        f"{', '.join(labels[:10])}: rename it, or take it out.")
    numbers = {tag: number for number, tag in enumerate(tag_names(labels))}
    columns = {}
    for split, rows in splits.items():
        if empty := [row.place.at() for row in rows if not row.count]:
            notes = [*notes, f"{len(empty)} text(s) of {split} are without a token, the first: {empty[0]}."]
        texts = [row.text.encode() for row in rows]
        tags = [numbers[tag] for row in rows for tag in to_bioes(row.spans, row.count)]
        columns[split] = Split({"text": ragged(np.frombuffer(b"".join(texts), np.uint8), map(len, texts)),
                                "tags": ragged(np.array(tags, np.int32), (row.count for row in rows), -1)},
                               {"file": [row.place.at() for row in rows]})
    return Dataset(name, columns, list(labels), notes, public)


def ragged(values: np.ndarray, lengths: Iterable[int], fill: int = 0) -> Ragged:
    return Ragged(values, np.cumsum([0, *lengths]), fill)


# Files

def split_of(name: str) -> str | None:
    """The split that a file or folder is by the parts of its name (`eng.testa`, `wnut17train.conll`), if one only."""
    found = {_NAMES[part] for part in _SPLIT.findall(name.lower())}
    return found.pop() if len(found) == 1 else None


def from_path(top: Path, column: str | None, notes: list[str], odd: Oddities) -> dict[str, list[Any]]:
    """A file; or a folder with a file, or a folder of files, for each split."""
    if top.is_dir():
        paths = from_folder(top, notes)
    elif top.is_file():
        split = split_of(top.name) or "train"
        paths = {split: [top]}
        if split != "train":
            notes.append(f"{top} is taken as the {split} split, as its name says.")
    else:
        raise UserError(f"There is no {top}: --data takes {', '.join(SAMPLES)}, tfds:NAME, a file or a folder.")
    splits: dict[str, list[Any]] = {}
    for split, files in paths.items():
        for path in files:
            text, said = read_text(path)
            notes += said
            if path.suffix.lower() in JSON:
                for own, row in from_json(str(path), text, column, odd):
                    splits.setdefault(own or split, []).append(row)
            else:
                splits.setdefault(split, []).extend(from_columns(str(path), text, column, notes))
    return splits


def from_folder(top: Path, notes: list[str]) -> dict[str, list[Path]]:
    """The files of each split, found by their names."""
    def readable(folder: Path) -> list[Path]:
        return [path for path in sorted(folder.iterdir())
                if path.is_file() and not path.name.lower().startswith((".", "readme", "license"))
                and path.suffix.lower() not in FOREIGN]

    files = readable(top)
    found: dict[str, tuple[Path, list[Path]]] = {}
    for path in sorted([*files, *(path for path in top.iterdir() if path.is_dir())]):
        inside, split = [path] if path.is_file() else readable(path), split_of(path.name)
        if not split or not inside:
            continue
        if split in found:
            raise UserError(f"{found[split][0]} and {path} are both the {split} split by their names: take one of "
                            f"them away.")
        found[split] = path, inside
    if not found and len(files) == 1:
        found["train"] = files[0], files
    if not found:
        raise UserError(f"{top} holds {'no file that is a split by its name' if files else 'nothing to read'}: put "
                        f"there train.conll, dev.conll and test.conll, or train.jsonl.")
    taken = {name for name, _ in found.values()}
    left = [path.name for path in files if path not in taken]
    notes.append("; ".join(f"{split}: {found[split][0].name}" for split in ORDER if split in found)
                 + (f"; left out: {', '.join(left[:5])}." if left else "."))
    return {split: inside for split, (_, inside) in found.items()}


# TensorFlow Datasets

def from_tfds(name: str, data_dir: str | None, asked: str | None) -> dict[str, list[Any]]:
    """A TFDS set with a sequence of tokens and a sequence of tags, found by type, and of several by name."""
    chosen: dict[str, str] = {}

    def fits(builder: Any) -> None:
        import tensorflow_datasets as tfds
        features = builder.info.features
        kinds = {key: kind.feature for key, kind in (features.items() if hasattr(features, "items") else ())
                 if isinstance(kind, tfds.features.Sequence)}
        tokens = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.Text)]
        tags = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.ClassLabel)
                and kind.names and all(map(is_tag, kind.names))]
        if not tokens or not tags:
            raise UserError(f"tfds:{name} has no sequence of tokens or none of tags, as B-PER, among its features "
                            f"({', '.join(features)}): choose a set with named entities.")
        if asked and asked not in tags:
            raise UserError(f"--tag-column {asked}: tfds:{name} offers {', '.join(sorted(tags))}.")
        chosen["tokens"] = usual(tokens, TOKENS)
        chosen["tags"] = asked or usual(tags, TAGS)

    def usual(found: list[str], names: tuple[str, ...]) -> str:
        known = [key for key in names if key in found] or (found if len(found) == 1 else [])
        if not known:
            raise UserError(f"tfds:{name} has the features {', '.join(sorted(found))}: name that of the tags by "
                            f"--tag-column.")
        return known[0]

    builder = open_tfds(name, data_dir, fits)
    names = builder.info.features[chosen["tags"]].feature.names
    splits: dict[str, list[Any]] = {}
    for given in builder.info.splits:
        if given not in SPLITS:
            continue
        for number, row in enumerate(builder.as_dataset(split=given).as_numpy_iterator()):
            tags = row[chosen["tags"]].tolist()
            if min(tags, default=0) >= 0:  # test splits that hide their truth have -1
                tokens = [token.decode("utf-8", "replace") for token in row[chosen["tokens"]].tolist()]
                splits.setdefault(SPLITS[given], []).append(
                    Tagged(tokens, [names[tag] for tag in tags], Place(f"{given} {number}")))
    return splits
