"""Sentences from JSON lines: a text with spans of characters, or tokens with tags."""

from collections.abc import Iterable, Sequence
from typing import Any

from apps.ner.sentences import Marked, Oddities, Place, Tagged, clean, to_tokens
from shared.data.splits import SPLITS
from shared.data.tables import json_objects
from shared.data.tag_schemes import Span
from shared.errors import UserError

TOKENS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "ner", "labels", "label")
SPANS = ("entities", "spans", "labels", "label", "ents")
STARTS, ENDS = ("start", "start_offset", "begin", "start_char"), ("end", "end_offset", "stop", "end_char")
TYPES = ("label", "type", "entity", "tag", "labels")


def from_json(file: str, text: str, asked: str | None, odd: Oddities) -> Iterable[tuple[str | None, Tagged | Marked]]:
    """A JSON object a line: `text` with spans, in characters, or `tokens` with `tags`; `split` may name its split."""
    some = False
    for number, row in json_objects(text, lambda number: Place(file, number).at()):
        some, place = True, Place(file, number)
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
