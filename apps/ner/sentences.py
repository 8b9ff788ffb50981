"""Sentences on their way from a source to columns: as their corpus tags them, and with their entities."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.data import plain_tokens
from shared.data.plain_tokens import SEPARATOR
from shared.data.tag_schemes import Span, entities, misplaced
from shared.errors import UserError

FIRST_SPACELESS = 0x2E80  # from here on most scripts put no spaces between words


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
