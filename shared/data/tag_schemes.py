"""Tags of entities in every usual scheme, the spans they mean, and the one scheme used inside; no TensorFlow.

A tag is O, or a prefix and a type: B-PER. Schemes:

    IOB1   I- inside, B- only where an entity touches the one before it, of the same type (CoNLL-2003)
    IOB2   B- on the first token, I- on the others; also called BIO (CoNLL-2002)
    BIOES  as IOB2, with E- on the last token and S- on an only one; also IOBES. Used inside
    BMES   the same with M- for I-; also BMEOS
    BILOU  the same with L- for E- and U- for S-; also BIOUL
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

Span = tuple[int, int, str]  # first token, the one behind the last, type

PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}
ALIASES = {"IO": "IOB1", "BIO": "IOB2", "IOBES": "BIOES", "BMEOS": "BMES", "BMESO": "BMES", "BIOUL": "BILOU"}
UNTYPED = "ENTITY"  # the type of a bare B, I, …
BEGIN, INSIDE, END, SINGLE = "B", "IM", "EL", "SU"
# How each scheme writes the prefixes of BIOES. IOB1 is not here: a B- that it does not need harms nothing.
WRITTEN = {"IOB2": {"E": "I", "S": "B"}, "BIOES": {}, "BMES": {"I": "M"}, "BILOU": {"E": "L", "S": "U"}}

_TAG = re.compile(f"([{BEGIN}{INSIDE}{END}{SINGLE}])(?:-(.+))?", re.DOTALL)


class TagError(ValueError):
    """A tag that cannot be understood: `sentence` and `token` say which."""

    def __init__(self, why: str, sentence: int, token: int):
        super().__init__(why)
        self.sentence, self.token = sentence, token


@lru_cache(4096)
def parts(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag; ("O", "") for O. A bare prefix has the type ENTITY.

    Raises:
        ValueError: it is no tag of any scheme.
    """
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    if not match:
        shown = tag if len(tag) <= 40 else tag[:40] + "…"
        raise ValueError(f"{shown!r} is no tag: a tag is O, or one of B-, I-, E-, S-, M-, L-, U- and a type, as B-PER")
    return match[1], match[2] or UNTYPED


def is_tag(text: str) -> bool:
    """Whether `parts` can read it."""
    return text == "O" or _TAG.fullmatch(text) is not None


def scheme_named(name: str) -> str:
    """The scheme that a person means, whatever the case; ValueError where there is none."""
    found = ALIASES.get(name.upper(), name.upper())
    if found not in PREFIXES:
        raise ValueError(f"choose one of IOB1, IOB2 (BIO), BIOES (IOBES), BMES (BMEOS), BILOU, not '{name}'")
    return found


def entities(tags: Iterable[str]) -> list[Span]:
    """The entities of one sentence, in order: (start, end, type), in tokens, the end not included.

    All schemes are read alike, and broken sequences as conlleval (Tjong Kim Sang 2000) and seqeval read them: a tag
    goes on with an entity if it has the same type, is none that begins one (B-, S-, U-), and the tag before it is
    none that ends one (E-, L-, S-, U-, O); any other begins an entity.

    Example:
        >>> entities(["I-PER", "I-PER", "I-LOC", "O"])
        [(0, 2, 'PER'), (2, 3, 'LOC')]
    """
    found: list[Span] = []
    start, before, of_before = 0, "O", ""
    for at, tag in enumerate([*tags, "O"]):
        prefix, of_tag = parts(tag)
        goes_on = prefix in INSIDE + END and before in BEGIN + INSIDE and of_tag == of_before
        if not goes_on:
            if before != "O":
                found.append((start, at, of_before))
            start = at
        before, of_before = prefix, of_tag
    return found


def scheme_of(sentences: Iterable[Sequence[str]], asked: str | None = None) -> str:
    """The scheme that tagged sentences are written in: one of `PREFIXES`.

    E-, S- mean BIOES, M- BMES, L-, U- BILOU. Of B- and I- alone it is IOB1 where more entities begin with I- than
    with a B- that does not part them from an entity of the same type; else IOB2.

    Args:
        sentences: tags of each.
        asked: the scheme as `scheme_named` gives it, to be checked only.

    Raises:
        TagError: a tag has an unknown prefix, or one that does not go with the others.
    """
    met = ""  # prefixes in the order in which they appear
    begun = {"B": 0, "I": 0}
    for number, tags in enumerate(sentences):
        before = "O", ""
        for at, tag in enumerate(tags):
            try:
                prefix, of_tag = parts(tag)
            except ValueError as error:
                raise TagError(str(error), number, at) from error
            if prefix != "O" and prefix not in met:
                met += prefix
                if asked and prefix not in PREFIXES[asked]:
                    raise TagError(f"{tag!r} is no tag of {asked}", number, at)
                if not any(set(met) <= set(known) for known in PREFIXES.values()):
                    raise TagError(f"{tag!r} and the {', '.join(f'{one}-' for one in met[:-1])} of tags before it "
                                   f"belong to no one scheme", number, at)
            if prefix in begun and before != ("B", of_tag) and before != ("I", of_tag):
                begun[prefix] += 1
            before = prefix, of_tag
    if asked:
        return asked
    found = next(name for name, known in PREFIXES.items() if set(met) <= set(known))
    return found if found != "IOB1" or begun["I"] > begun["B"] else "IOB2"


def to_bioes(spans: Iterable[Span], length: int) -> list[str]:
    """Tags of a sentence of `length` tokens; ValueError for spans that are empty, outside, or overlap.

    Example:
        >>> to_bioes([(0, 2, "PER"), (3, 4, "LOC")], 4)
        ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    tags = ["O"] * length
    for start, end, of_span in spans:
        if not 0 <= start < end <= length or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"span {start} to {end} is empty, outside of {length} tokens, or overlaps another")
        inside = [f"I-{of_span}"] * (end - start - 2)
        tags[start:end] = [f"B-{of_span}", *inside, f"E-{of_span}"] if end - start > 1 else [f"S-{of_span}"]
    return tags


def misplaced(tags: Sequence[str], scheme: str) -> list[int]:
    """Positions at which `scheme` would write the entities of `tags` with another prefix (an I- without its B-, …)."""
    if scheme not in WRITTEN:
        return []
    written = WRITTEN[scheme]
    right = (parts(tag)[0] for tag in to_bioes(entities(tags), len(tags)))
    return [at for at, (tag, prefix) in enumerate(zip(tags, right, strict=True))
            if parts(tag)[0] != written.get(prefix, prefix)]


def tag_names(types: Iterable[str]) -> list[str]:
    """All tags that the project uses inside for these types, by number: O, then B-, I-, E-, S- of each."""
    return ["O"] + [f"{prefix}-{of_tag}" for of_tag in types for prefix in "BIES"]


def allowed_steps(names: Sequence[str]) -> tuple[list[list[int]], list[int], list[int]]:
    """Which tag may follow which, for the constraint of a CRF.

    Args:
        names: all tags, in any order. Where one of them has E-, S-, L- or U- (BIOES, BMES, BILOU) an entity must be
            ended; else they are taken as IOB2.

    Returns:
        allowed: 1 or 0 for the step from tag i to tag j at `[i][j]`.
        first, last: 1 or 0 for tags that a sentence may begin, end with.
    """
    tags = [parts(name) for name in names]
    has_ends = any(prefix in END + SINGLE for prefix, _ in tags)

    def fits(before: tuple[str, str], after: tuple[str, str]) -> bool:
        is_open = before[0] in BEGIN + INSIDE
        if after[0] in INSIDE + END:
            return is_open and before[1] == after[1]
        return not (is_open and has_ends)

    outside = "O", ""
    return ([[int(fits(before, after)) for after in tags] for before in tags],
            [int(fits(outside, tag)) for tag in tags], [int(fits(tag, outside)) for tag in tags])
