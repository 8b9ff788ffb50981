"""Where sentences with named entities come from: the samples, a TFDS set, columns of CoNLL, JSON lines with spans.

A corpus with tokens of its own gives texts in which each token is followed by U+001F; every other text is parted into
tokens by `shared.data.plain_tokens`, as the graph does it.
"""

import json
import lzma
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.data import plain_tokens
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.plain_tokens import SEPARATOR
from shared.data.splits import SPLITS
from shared.data.tables import lines_of, read_text
from shared.data.tag_schemes import (
    Span,
    TagError,
    entities,
    is_tag,
    misplaced,
    parts,
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
TOKENS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "ner", "labels", "label")
SPANS = ("entities", "spans", "labels", "label", "ents")
STARTS, ENDS = ("start", "start_offset", "begin", "start_char"), ("end", "end_offset", "stop", "end_char")
TYPES = ("label", "type", "entity", "tag", "labels")
JSON = (".jsonl", ".ndjson", ".json")
FOREIGN = (".md", ".rst", ".pdf", ".htm", ".html", ".xml", ".py", ".csv", ".ann", ".yaml", ".yml", ".zip", ".gz",
           ".xz", ".bz2", ".tar", ".tgz", ".npy", ".npz", ".pkl", ".png")
ORDER = ("train", "validation", "test")
FIRST_SPACELESS = 0x2E80  # from here on most scripts put no spaces between words

_SPLIT = re.compile(r"(?<![a-z])(train(?:ing)?|dev(?:el)?|valid(?:ation)?|val|test[ab]?)(?![a-z])")
_NAMES = SPLITS | {"training": "train", "devel": "validation", "testa": "validation", "testb": "test"}


@dataclass
class Place:
    """Where a sentence stands: a file and a line (None where `file` says it all); by_token: a token a line."""

    file: str
    line: int | None = None
    by_token: bool = False

    def at(self, token: int = 0) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line + token * self.by_token}"


@dataclass
class Tagged:
    """A sentence of a corpus with its own tokens and tags."""

    tokens: list[str]
    tags: list[str]
    place: Place


@dataclass
class Marked:
    """A text of `count` tokens with its entities, spans of tokens."""

    text: str
    spans: list[Span]
    count: int
    place: Place


class Oddities(defaultdict[str, list[str]]):
    """Places by what was found there and mended."""

    def __init__(self) -> None:
        super().__init__(list)

    def notes(self) -> list[str]:
        return [f"{len(places)} {what}, the first: {places[0]}." for what, places in self.items()]


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


def marked(sentence: Tagged, scheme: str, odd: Oddities) -> Marked:
    """A sentence with own tokens as a text with spans."""
    for at in misplaced(sentence.tags, scheme):
        odd[f"tag(s) are not as {scheme} writes an entity (it lacks its begin or end) and were read as conlleval does"
            ].append(sentence.place.at(at))
    tokens = []
    for at, token in enumerate(sentence.tokens):
        if SEPARATOR in token:
            odd["token(s) held U+001F, which parts tokens, and got a space instead"].append(sentence.place.at(at))
        token = clean(token).replace(SEPARATOR, " ")
        if not token:
            odd["token(s) were empty and became a space"].append(sentence.place.at(at))
        tokens.append((token or " ") + SEPARATOR)
    return Marked("".join(tokens), entities(sentence.tags), len(tokens), sentence.place)


def clean(text: str) -> str:
    """NUL, which is padding, becomes a space; half surrogates become question marks. No character more or less."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


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


def from_columns(file: str, text: str, asked: str | None, notes: list[str]) -> list[Tagged]:
    """A token and its tag on each line, with tabs or spaces between; blank lines end sentences.

    Args:
        file: its name in messages.
        text: its content.
        asked: the tags' column: a number from 1, or `last`; found where None, the last of several.
        notes: gets what a person should know.
    """
    lines = [(number, line.rstrip(" \t")) for number, line in enumerate(lines_of(text), 1)]
    plain = [line for _, line in lines if line and line[0] != "#"] or [line for _, line in lines if line]
    tabs = 2 * sum("\t" in line for line in plain) > len(plain)
    blocks: list[list[tuple[int, list[str]]]] = [[]]
    for number, line in lines:
        if not line.strip() or line.startswith("-DOCSTART-"):
            blocks.append([])
        else:
            blocks[-1].append((number, line.split("\t") if tabs else [word for word in line.split(" ") if word]))
    rows = [row for block in blocks for row in block]
    sure = [row for row in rows if row[1][0][:1] != "#"] or rows  # the others may be comments
    if not sure:
        raise UserError(f"{file}:1: the file is empty or blank: put a token and its tag on each line, and a blank "
                        f"line after each sentence.")
    width = Counter(len(found) for _, found in sure).most_common(1)[0][0]

    def right_width(number: int, found: list[str]) -> list[str]:
        if len(found) != width or width == 1:
            expected = "a token and its tag" if width == 1 else f"the {width} of most lines"
            raise UserError(f"{file}:{number}: {len(found)} column(s) where there must be {expected}: part columns by "
                            f"{'one tab' if tabs else 'spaces or tabs'}, and sentences by a blank line.")
        return found

    tag = tag_column(file, [(number, right_width(number, found)) for number, found in sure], asked, notes)
    sentences: list[tuple[int, list[list[str]]]] = []
    for block in blocks:
        head = 0  # comments of CoNLL-U
        while head < len(block) and block[head][1][0][:1] == "#" and not (
                len(block[head][1]) == width and is_tag(block[head][1][tag])):
            head += 1
        if head < len(block):
            sentences.append((block[head][0], [right_width(*row) for row in block[head:]]))
    # The word is first, but in files with the tag there, or (CoNLL-U, GermEval) the number of the token.
    numbered = width > 2 and all(row[0] == str(at) for _, found in sentences for at, row in enumerate(found, 1))
    word = int(tag == 0 or (numbered and tag > 1))
    return [Tagged([row[word] for row in found], [row[tag] for row in found], Place(file, line, True))
            for line, found in sentences]


def tag_column(file: str, rows: Sequence[tuple[int, list[str]]], asked: str | None, notes: list[str]) -> int:
    """The column that holds nothing but tags, from 0; rows have their line numbers."""
    width = len(rows[0][1])
    columns = range(width)
    if asked is not None:
        number = width if asked == "last" else int(asked) if asked.isdecimal() and len(asked) < 5 else 0
        if not 1 <= number <= width:
            raise UserError(f"--tag-column {asked}: {file}:{rows[0][0]} has {width} columns; give a number from 1 to "
                            f"{width}, or last.")
        columns = range(number - 1, number)
    counts = [Counter(row[column] for _, row in rows) for column in columns]
    fitting = [sum(count for value, count in values.items() if is_tag(value)) for values in counts]
    best = max(fitting)
    *others, column = [column for column, fits in zip(columns, fitting, strict=True) if fits == best]
    if best < len(rows):
        line, value = next((line, row[column]) for line, row in rows if not is_tag(row[column]))
        try:
            parts(value)
        except ValueError as error:
            raise UserError(f"{file}:{line}: in column {column + 1} of {width}, {error}; mend it, or name the tags' "
                            f"column by --tag-column.") from error
    if others:
        note = (f"Columns {', '.join(str(other + 1) for other in others)} and {column + 1} of {width} look like tags: "
                f"column {column + 1} is taken, --tag-column names another.")
        notes += [note] if note not in notes else []
    return column


# JSON lines

def from_json(file: str, text: str, asked: str | None, odd: Oddities) -> Iterable[tuple[str | None, Tagged | Marked]]:
    """A JSON object a line: `text` with spans, in characters, or `tokens` with `tags`; `split` may name its split."""
    some = False
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip():
            continue
        some, place = True, Place(file, number)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place.at()}: no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise UserError(f"{place.at()}: each line must be one object {{…}}.")
        split = row.get("split")
        if split is not None and str(split).lower() not in SPLITS:
            raise UserError(f"{place.at()}: the split '{split}' is none of {', '.join(SPLITS)}.")
        yield SPLITS[str(split).lower()] if split is not None else None, from_object(row, place, asked, odd)
    if not some:
        raise UserError(f"{file}:1: the file is empty or blank: put an object with text and entities on each line.")


def from_object(row: dict[str, Any], place: Place, asked: str | None, odd: Oddities) -> Tagged | Marked:
    tokens = first_of(row, TOKENS)
    if is_texts(tokens):
        tags = first_of(row, (asked,) if asked else TAGS)
        if is_texts(tags) and (len(tags) or "text" not in row):
            if len(tags) != len(tokens):
                raise UserError(f"{place.at()}: {len(tokens)} tokens have {len(tags)} tags: give each token one tag.")
            return Tagged(tokens, [clean(tag) for tag in tags], place)
        if "text" not in row:
            raise UserError(f"{place.at()}: tokens need a list of their tags' names, as B-PER or O, called tags or "
                            f"as --tag-column says.")
    text = row.get("text")
    if not isinstance(text, str):
        raise UserError(f"{place.at()}: there is no text: give it as 'text' with 'entities', or 'tokens' with 'tags'.")
    names = (asked,) if asked else SPANS
    if not any(name in row for name in names):
        raise UserError(f"{place.at()}: the entities are missing: give '{names[0]}', an empty list where there are "
                        f"none.")
    found = first_of(row, names)
    found = [] if found is None else found
    if not isinstance(found, list):
        raise UserError(f"{place.at()}: the entities must be a list of objects with start, end and label.")
    return to_tokens(clean(text), sorted(to_span(one, len(text), place) for one in found), place, odd)


def first_of(row: dict[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def to_span(given: Any, length: int, place: Place) -> Span:
    """Start, end and type of an object or of a list of three, in characters."""
    if isinstance(given, dict):
        given = [first_of(given, STARTS), first_of(given, ENDS), first_of(given, TYPES)]
    start, end, of_span = given if isinstance(given, list) and len(given) == 3 else (None, None, None)
    if isinstance(of_span, list) and len(of_span) == 1:
        of_span = of_span[0]
    if type(start) is not int or type(end) is not int or not isinstance(of_span, str) or not of_span.strip():
        raise UserError(f"{place.at()}: each entity must have start and end, whole numbers of characters, and a "
                        f"label.")
    if start < 0 or end > length:
        raise UserError(f"{place.at()}: the entity {start} to {end} points outside of its text of {length} "
                        f"characters: count in characters, not in bytes, from 0.")
    if start >= end:
        raise UserError(f"{place.at()}: the entity {start} to {end} is empty: its end must be the character behind "
                        f"its last one.")
    return start, end, clean(of_span.strip())


def to_tokens(text: str, spans: list[Span], place: Place, odd: Oddities) -> Marked:
    """Spans of characters, sorted, as spans of tokens; one whose edge lies inside a token takes the whole token."""
    edges = list(plain_tokens.spans(text, SEPARATOR))
    starts, ends = [start for start, _ in edges], [end for _, end in edges]
    found: list[Span] = []
    for number, (start, end, of_span) in enumerate(spans):
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        if first == last:
            raise UserError(f"{place.at()}: the entity {start} to {end} has nothing but spaces in it: take it out.")
        if number and start < spans[number - 1][1]:
            before, until, _ = spans[number - 1]
            raise UserError(f"{place.at()}: the entities {before} to {until} and {start} to {end} overlap: keep one "
                            f"of them.")
        if found and first < found[-1][1]:
            raise UserError(f"{place.at()}: two entities share the token {text[starts[first]:ends[first]][:40]!r}: "
                            f"keep one of them, or put a space between.")
        if starts[first] < start or ends[last - 1] > end:
            odd["entity(ies) began or ended inside a token and were widened to it"].append(place.at())
        found.append((first, last, of_span))
    return Marked(text, found, len(edges), place)


def joint(rows: Sequence[Marked]) -> str:
    """What stands between the tokens of a raw text: a space, or nothing where most are one ideograph or kana."""
    tokens = [token for row in rows[:1000] for token in row.text.split(SEPARATOR)[:-1]]
    return "" if 2 * sum(len(token) == 1 and ord(token) >= FIRST_SPACELESS for token in tokens) > len(tokens) else " "


def as_raw(row: Marked, between: str) -> Marked:
    """A sentence with its own tokens as the text that a person would write, cut as the graph cuts it; as it was where
    two of its entities would share a token."""
    if SEPARATOR not in row.text:
        return row
    tokens = row.text.split(SEPARATOR)[:-1]
    ends = np.cumsum([len(token) + len(between) for token in tokens])
    spans = [(int(ends[first]) - len(tokens[first]) - len(between), int(ends[last - 1]) - len(between), of_span)
             for first, last, of_span in row.spans]
    try:
        return to_tokens(between.join(tokens), spans, row.place, Oddities())
    except UserError:
        return row


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
