"""Scoring of named entities: whole spans with their types, as conlleval and seqeval count them."""

import heapq
from collections.abc import Container
from typing import Any, NamedTuple

import numpy as np

from shared.app import Answer, Scorer
from shared.data.plain_tokens import token_bounds
from shared.data.tag_schemes import entities, tag_names
from shared.evaluation.classification import BINS, divide
from shared.evaluation.confusion import most_confused, shown_classes
from shared.evaluation.marked_spans import Span, marked
from shared.evaluation.report import Curve, Figure, Matrix, Report

NONE = "(none)"  # in confusions: no entity
LENGTHS = tuple(8 << step for step in range(8))  # tokens of a sentence
EXCERPT, BEFORE = 400, 80  # bytes shown of a long text, and how many of them before what is wrong
RIGHT, MISSED, SPURIOUS = "right", "missed", "spurious"
PAIRED = (RIGHT, "wrong type, right boundary", "wrong boundary, right type", "wrong boundary and type, overlapping")


class Entity(NamedTuple):
    """An entity in bytes from `start` to before `end`. A confidence that is no number marks one that cannot be right:
    it lies outside of the text or its tokens, has no known type, or was answered by numbers that are none."""

    start: int
    end: int
    type: str
    confidence: float = float("nan")


class EntityScorer(Scorer):
    """Precision, recall and F1 of entities, kinds of errors, confusions, calibration and worst sentences.

    Examples hold `text`, uint8 `[bytes]` (padded with 0), and `tags`, integers `[tokens]` (padded with -1): numbers of
    `shared.data.tag_schemes.tag_names`. Answers hold, int32 but for the float32 confidences, `tags`, `offsets`,
    `lengths`, `confidences` `[tokens]` and their `count`, `span_type`, `span_start`, `span_length` `[spans]` and
    `span_count`; places in bytes of the text, unused ones behind the counts.

    An entity is right where start, end and type are: `precision`, `recall` and `f1` are of all entities together,
    `macro_f1` is the mean over the types that occur in truth or answers. The confidence of an entity is the lowest of
    its tokens'. `token_accuracy` compares tags in sentences that have as many tokens in the answer as in truth.

    Args:
        labels: entity types by number.
        known: (`surface`, type) of the entities in the training data, for recall of seen and of unseen ones; None:
            without.
        worst: how many sentences with wrong entities are kept.

    Reference:
        Tjong Kim Sang and De Meulder 2003, "Introduction to the CoNLL-2003 shared task" (conlleval); Guo et al. 2017,
        "On calibration of modern neural networks" (calibration error).
    """

    def __init__(self, labels: list[str], known: Container[tuple[str, str]] | None = None, worst: int = 24):
        self.labels, self.known, self.worst = [str(label) for label in labels], known, worst
        classes = len(labels)
        self.number = {label: number for number, label in enumerate(self.labels)}
        self.right, self.support, self.predicted = np.zeros((3, classes), np.int64)
        self.untyped = 0  # answered entities without known type
        self.kinds = dict.fromkeys((*PAIRED, MISSED, SPURIOUS), 0)
        self.confusion = np.zeros((classes + 1, classes + 1), np.int64)  # the last: no entity
        self.seen = np.zeros((2, 2), np.int64)  # unseen, seen; right, all
        self.bins = np.zeros((BINS, 3))  # entities, right ones, sum of confidence
        self.lengths = np.zeros((len(LENGTHS) + 1, 4), np.int64)  # sentences; entities right, true, answered
        self.tokens = np.zeros(2, np.int64)  # right, all
        self.examples = 0
        self.nan_answers = 0
        self.mistakes: list[tuple[float, int, dict[str, Any]]] = []

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        text, tags = text_of(example["text"]), np.asarray(example["tags"])
        tags = tags[tags >= 0]
        gold, given = true_entities(text, tags, self.labels), answered_entities(answer, self.labels, len(text))
        pairs = paired(gold, given)
        self.examples += 1
        self._sort(text, pairs)
        right = sum(kind == RIGHT for kind, _, _ in pairs)
        self.lengths[np.searchsorted(LENGTHS, len(tags))] += 1, right, len(gold), len(given)
        count = number_of(answer["count"], answer["tags"])
        confidences = np.asarray(answer["confidences"], np.float64)[:count]
        self.nan_answers += not np.isfinite(confidences).all()
        if count == len(tags):
            self.tokens += ((answer["tags"][:count] == tags) & np.isfinite(confidences)).sum(), count
        if right < len(pairs):
            self._keep(example["meta"], text, gold, given,
                       [(one, other) for kind, one, other in pairs if kind != RIGHT], answer)

    def _sort(self, text: bytes, pairs: list[tuple[str, Entity | None, Entity | None]]) -> None:
        none = len(self.labels)
        for kind, gold, given in pairs:
            right = kind == RIGHT
            self.kinds[kind] += 1
            row, column = (self.number.get(one.type, none) if one else none for one in (gold, given))
            self.confusion[row, column] += 1
            if gold:
                self.support[row] += 1
                self.right[row] += right
                if self.known is not None:
                    self.seen[int((surface(text, gold), gold.type) in self.known)] += right, 1
            if given:
                if column == none:
                    self.untyped += 1
                else:
                    self.predicted[column] += 1
                # As in classification, what is no number is wrong with full confidence.
                sure = 1.0 if np.isnan(given.confidence) else min(max(given.confidence, 0.0), 1.0)
                self.bins[max(int(np.ceil(sure * BINS)) - 1, 0)] += 1, right, sure

    def _keep(self, meta: dict[str, Any], text: bytes, gold: list[Entity], given: list[Entity],
              wrong: list[tuple[Entity | None, Entity | None]], answer: Answer) -> None:
        """Among the worst sentences, if it is one: those with the most errors, each weighed with the confidence of
        what was answered in its place."""
        places = [given or gold for gold, given in wrong]
        sure = [lowest_confidence(answer, place.start, place.end) for place in places if place]
        weight = float(np.nan_to_num(sure, nan=1.0).clip(0, 1).sum())
        order = weight, -meta["index"]
        if len(self.mistakes) == self.worst and (not self.worst or order < self.mistakes[0][:2]):
            return
        first = min(max(0, one.start) for pair in wrong for one in pair if one)
        begin = max(0, min(first - BEFORE, len(text) - EXCERPT))
        part = begin, begin + EXCERPT
        row = {"index": meta["index"], "file": meta.get("file", ""), "wrong": len(wrong), "weight": round(weight, 4),
               **{name: marked(text, [Span(*one[:3]) for one in spans], self.labels, part)
                  for name, spans in (("gold", gold), ("predicted", given))}}
        if len(self.mistakes) < self.worst:
            heapq.heappush(self.mistakes, (*order, row))
        else:
            heapq.heapreplace(self.mistakes, (*order, row))

    def report(self) -> Report:
        right, support, answered = self.right.sum(), self.support.sum(), self.predicted.sum() + self.untyped
        f1 = divide(2 * self.right, self.support + self.predicted)
        occurs = self.support + self.predicted > 0
        metrics = {"f1": ratio(2 * right, support + answered), "precision": ratio(right, answered),
                   "recall": ratio(right, support),
                   "macro_f1": f1[occurs].mean() if occurs.any() else float("nan"),
                   "token_accuracy": ratio(self.tokens[0], self.tokens[1], nothing=float("nan")),
                   "calibration_error": self._calibration_error(), "entities": support, "predicted_entities": answered}
        if self.known is not None:
            for name, (found, all_) in zip(("unseen", "seen"), self.seen, strict=True):
                metrics[f"recall_{name}"] = ratio(found, all_, nothing=float("nan"))
                metrics[f"{name}_entities"] = all_
        if self.nan_answers:
            metrics["nan_answers"] = self.nan_answers
        precision, recall = divide(self.right, self.predicted), divide(self.right, self.support)
        tables = {
            "types": [{"label": label, "precision": float(precision[i]), "recall": float(recall[i]),
                       "f1": float(f1[i]), "support": int(self.support[i]), "predicted": int(self.predicted[i])}
                      for i, label in enumerate(self.labels)],
            "errors": self._errors(int(support), int(answered)),
            "lengths": [{"tokens": f"up to {LENGTHS[i]}" if i < len(LENGTHS) else f"over {LENGTHS[-1]}",
                         "f1": ratio(2 * hits, true + made), "sentences": int(sentences), "support": int(true)}
                        for i, (sentences, hits, true, made) in enumerate(self.lengths) if sentences],
            "confusions": [{"gold": self._name(row), "predicted": self._name(column),
                            "count": int(self.confusion[row, column])}
                           for row, column in most_confused(self.confusion)],
            "mistakes": [entry[2] for entry in sorted(self.mistakes, key=lambda entry: entry[:2], reverse=True)]}
        return Report({key: float(value) for key, value in metrics.items()}, tables, self._figures(), self.examples)

    def _name(self, number: int) -> str:
        return [*self.labels, NONE][number]

    def _errors(self, support: int, answered: int) -> list[dict[str, Any]]:
        """Pairs (or single entities: missed, spurious) of each kind, and their shares of all true and all answered
        entities: each entity is in one kind, so a column of shares sums to 1."""
        return [{"kind": kind, "count": count,
                 "of_gold": 0.0 if kind == SPURIOUS else ratio(count, support),
                 "of_predicted": 0.0 if kind == MISSED else ratio(count, answered)}
                for kind, count in self.kinds.items()]

    def _calibration_error(self) -> float:
        counts, right, confidence = self.bins.T
        return ratio(float(np.abs(right - confidence).sum()), float(counts.sum()), nothing=float("nan"))

    def _figures(self) -> dict[str, Figure]:
        chosen, which = shown_classes(self.confusion)
        names = [self._name(i) for i in chosen]
        error = f"{100 * self._calibration_error():.2f} %"
        counts, right, confidence = self.bins.T
        x = np.where(counts > 0, divide(confidence, counts), (np.arange(BINS) + 0.5) / BINS)
        y = np.where(counts > 0, divide(right, counts), np.nan)
        return {
            "confusion": Matrix("Types of overlapping entities" + which, names, names,
                                self.confusion[np.ix_(chosen, chosen)].tolist(), "truth", "predicted"),
            "reliability": Curve(f"Reliability of entities (calibration error {error})", "confidence",
                                 "precision", x.tolist(), {"precision": y.tolist()}, diagonal=True,
                                 bars=counts.tolist())}


def paired(gold: list[Entity], given: list[Entity]) -> list[tuple[str, Entity | None, Entity | None]]:
    """Every true and every answered entity once: (kind, true one, answered one).

    Two that overlap are a pair: first those that are right, then those of one boundary, then those of one type, then
    any; within a kind those that share the most bytes, then the first. Who is left alone was missed or is spurious.
    """
    candidates = []
    for i, one in enumerate(gold):
        for j, other in enumerate(given):
            shared = min(one.end, other.end) - max(one.start, other.start)
            if shared > 0 and not np.isnan(other.confidence):
                kind = 2 * (one[:2] != other[:2]) + (one.type != other.type)
                candidates.append((kind, -shared, i, j))
    pairs: list[tuple[str, Entity | None, Entity | None]] = []
    true_left, given_left = dict(enumerate(gold)), dict(enumerate(given))
    for kind, _, i, j in sorted(candidates):
        if i in true_left and j in given_left:
            pairs.append((PAIRED[kind], true_left.pop(i), given_left.pop(j)))
    return [*pairs, *((MISSED, one, None) for one in true_left.values()),
            *((SPURIOUS, None, other) for other in given_left.values())]


def true_entities(text: bytes, tags: np.ndarray, labels: list[str]) -> list[Entity]:
    """The entities that tags say.

    Args:
        text: UTF-8, without padding.
        tags: integers `[tokens]`, numbers of `shared.data.tag_schemes.tag_names`, without padding; broken sequences
            are read as conlleval reads them.
        labels: entity types by number.

    Raises:
        ValueError: there are not as many tags as tokens.
    """
    bounds, names = token_bounds(text), tag_names(labels)
    if len(bounds) != len(tags):
        raise ValueError(f"{len(tags)} tags for the {len(bounds)} tokens of {text[:80]!r}.")
    return [Entity(bounds[first][0], bounds[end - 1][1], kind)
            for first, end, kind in entities([names[int(tag)] for tag in tags])]


def answered_entities(answer: Answer, labels: list[str], size: int) -> list[Entity]:
    """The entities of an answer (see `EntityScorer`) to a text of `size` bytes, in its order."""
    made = []
    for place in range(number_of(answer["span_count"], answer["span_type"])):
        start, length, kind = (int(answer[name][place]) for name in ("span_start", "span_length", "span_type"))
        end, known = start + length, 0 <= kind < len(labels)
        sound = known and 0 <= start < end <= size
        made.append(Entity(start, end, labels[kind] if known else NONE,
                           lowest_confidence(answer, start, end) if sound else float("nan")))
    return made


def lowest_confidence(answer: Answer, start: int, end: int) -> float:
    """Of the answer's tokens between two bytes; NaN where there are none, or one of them is no number."""
    count = number_of(answer["count"], answer["tags"])
    starts = np.asarray(answer["offsets"])[:count]
    inside = (starts < end) & (starts + np.asarray(answer["lengths"])[:count] > start)
    found = np.asarray(answer["confidences"], np.float64)[:count][inside]
    return float(found.min()) if len(found) and np.isfinite(found).all() else float("nan")


def surface(text: bytes, entity: Entity) -> str:
    """An entity's text in lower case, one space between its words."""
    plain = text[entity.start:entity.end].decode("utf-8", "replace")
    return " ".join(plain.lower().split())  # for Python U+001F is a space too


def text_of(column: np.ndarray) -> bytes:
    """The bytes of a text column without its padding."""
    return np.asarray(column).astype(np.uint8).tobytes().rstrip(b"\0")


def ratio(part: float, whole: float, nothing: float = 0.0) -> float:
    return float(part / whole) if whole else nothing


def number_of(given: Any, places: np.ndarray) -> int:
    """A count, scalar or `[1]`, as far as there are places."""
    return min(max(int(np.ravel(given)[0]), 0), len(places))
