"""Transcripts against the truth: word and character errors, and what they are; no TensorFlow."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from rapidfuzz.distance import Levenshtein

KINDS = {"equal": "equal", "replace": "substituted", "delete": "deleted", "insert": "inserted"}  # by rapidfuzz's names
LENGTHS = tuple(4 << step for step in range(8))  # characters of a true sentence
MOST = 20  # rows of a table

Pair = tuple[str, Any, Any]


def aligned(truth: Sequence[Hashable], given: Sequence[Hashable]) -> list[Pair]:
    """The fewest edits that turn one sequence into the other.

    Returns:
        (kind, true one, given one), in order; kind is `equal`, `substituted`, `deleted` (given is None) or `inserted`
        (true is None). Of several ways with as few edits, one.

    Example:
        >>> aligned(["set", "red"], ["set", "it", "red"])
        [('equal', 'set', 'set'), ('inserted', None, 'it'), ('equal', 'red', 'red')]
    """
    return [(KINDS[part.tag], one, other) for part in Levenshtein.opcodes(truth, given)
            for one, other in zip_longest(truth[part.src_start:part.src_end], given[part.dest_start:part.dest_end])]


@dataclass
class Edits:
    """Words or characters by what became of them."""

    equal: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    def add(self, pairs: list[Pair]) -> None:
        for kind, _, _ in pairs:
            setattr(self, kind, getattr(self, kind) + 1)

    @property
    def reference(self) -> int:
        """How many the truth has."""
        return self.equal + self.substituted + self.deleted

    @property
    def rate(self) -> float:
        """Errors by size of the truth; their number where the truth is empty."""
        return (self.substituted + self.deleted + self.inserted) / max(self.reference, 1)


@dataclass
class Tally:
    """Counts over some sentences."""

    sentences: int = 0
    right: int = 0
    words: Edits = field(default_factory=Edits)
    characters: Edits = field(default_factory=Edits)

    def add(self, words: list[Pair], characters: list[Pair]) -> None:
        self.sentences += 1
        self.right += all(kind == "equal" for kind, _, _ in words)
        self.words.add(words)
        self.characters.add(characters)

    def row(self) -> dict[str, float]:
        return {"word_error_rate": self.words.rate, "character_error_rate": self.characters.rate,
                "right": self.right / max(self.sentences, 1), "sentences": self.sentences,
                "words": self.words.reference}


class ErrorRates:
    """Counts errors of transcripts; keeps counters only, so that it grows with the words and not with the sentences.

    Words are what white space parts, characters include the spaces between words. Errors of all sentences are divided
    by the words or characters of all true ones, so an empty truth adds errors alone; where all are empty, the rate is
    the number of insertions. These are jiwer's figures for a set.

    Example:
        >>> rates = ErrorRates()
        >>> rates.add("set white by p", "set white by b", speaker="s1")
        >>> rates.metrics()["word_error_rate"]
        0.25
    """

    def __init__(self) -> None:
        self.all = Tally()
        self.lengths = [Tally() for _ in range(len(LENGTHS) + 1)]
        self.about: dict[str, dict[Any, Tally]] = {}
        self.confused: Counter[tuple[str, str]] = Counter()
        self.deleted: Counter[str] = Counter()
        self.inserted: Counter[str] = Counter()

    def add(self, truth: str, given: str, **about: Hashable) -> None:
        """Counts one sentence.

        Args:
            truth: what was said.
            given: what was answered.
            about: groups to count it in as well, as `speaker="s1"`; None for unknown.
        """
        truth, given = truth.strip(), given.strip()
        words, characters = aligned(truth.split(), given.split()), aligned(truth, given)
        groups = [self.about.setdefault(key, {}).setdefault(value, Tally())
                  for key, value in about.items() if value is not None]
        for tally in (self.all, self.lengths[bisect_left(LENGTHS, len(truth))], *groups):
            tally.add(words, characters)
        for kind, one, other in words:
            if kind == "substituted":
                self.confused[one, other] += 1
            elif kind == "deleted":
                self.deleted[one] += 1
            elif kind == "inserted":
                self.inserted[other] += 1

    def metrics(self) -> dict[str, float]:
        """Single figures, for a `Report`."""
        return {"word_error_rate": self.all.words.rate, "character_error_rate": self.all.characters.rate,
                "right_sentences": self.all.right / max(self.all.sentences, 1)}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Rows by name, for a `Report`: `errors`, `lengths`, `confused_words`, `deleted_words`, `inserted_words`, and
        one for each `about` key (`by_speaker`), its worst group first."""
        made = {
            "errors": [{"of": name, "rate": edits.rate, "substituted": edits.substituted, "deleted": edits.deleted,
                        "inserted": edits.inserted, "reference": edits.reference}
                       for name, edits in (("words", self.all.words), ("characters", self.all.characters))],
            "lengths": [{"characters": f"up to {LENGTHS[i]}" if i < len(LENGTHS) else f"over {LENGTHS[-1]}",
                         **tally.row()} for i, tally in enumerate(self.lengths) if tally.sentences],
            "confused_words": [{"truth": truth, "given": given, "count": count}
                               for (truth, given), count in self.confused.most_common(MOST)],
            "deleted_words": [{"word": word, "count": count} for word, count in self.deleted.most_common(MOST)],
            "inserted_words": [{"word": word, "count": count} for word, count in self.inserted.most_common(MOST)]}
        for key, groups in self.about.items():
            worst = sorted(groups.items(), key=lambda item: -item[1].words.rate)
            made[f"by_{key}"] = [{key: value, **tally.row()} for value, tally in worst]
        return made
