"""Scoring of ranked lists against what came next, all items of the catalogue being ranked."""

from typing import Any

import numpy as np

from apps.recommend import attributes, baselines
from shared.app import Answer, Scorer
from shared.data.dataset import Ragged
from shared.evaluation.answering import Answering
from shared.evaluation.report import Curve, Report

CUTS = (1, 5, 10, 20, 50)
SHOWN = 5  # items of a list, and examples
LENGTHS = (5, 10, 20, 50, 100, 200, 500)  # of histories
COMPARED, AT_ONCE = 5000, 250  # people for whom the baselines are asked too, and how many at once
PARTS = 5  # of the catalogue by popularity, each with as many training events


def at_cut(hits: np.ndarray, targets: int, cut: int) -> dict[str, float]:
    """The usual figures of one list (Manning et al. 2008, Introduction to Information Retrieval, chapter 8).

    Args:
        hits: which places of the list are right, bool `[n]`.
        targets: how many items are right, in the list or not.
        cut: places that count; what is missing of them is wrong.
    """
    hits = hits[:cut]
    places = np.flatnonzero(hits) + 1
    best = min(targets, cut)
    precisions = np.arange(1, len(places) + 1) / places
    gains = 1 / np.log2(places + 1)
    ideal = (1 / np.log2(np.arange(2, best + 2))).sum()
    return {"hit": float(len(places) > 0), "ndcg": float(gains.sum() / ideal), "precision": len(places) / cut,
            "recall": len(places) / targets, "map": float(precisions.sum() / best),
            "mrr": float(1 / places[0]) if len(places) else 0.0}


def figures(hits: np.ndarray, targets: int, cuts: list[int]) -> dict[str, float]:
    """Those of `at_cut` at each cut, by names as `ndcg_at_10`."""
    return {f"{name}_at_{cut}": value for cut in cuts for name, value in at_cut(hits, targets, cut).items()}


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in ("hit_at_10", "ndcg_at_10", "hit_at_50")
            if name in rows[0]}


class RankingScorer(Scorer):
    """Means over people.

    Args:
        titles: of the items, number 1 first.
        counts: how often each item stands in training histories, `[items]`.
        trained: those histories, where they are at hand: what learning bought is then told too.
        most: places of the lists.
        item_values: values of attributes of each item, see `attributes.learned`, where they are known.
    """

    def __init__(self, titles: list[str], counts: np.ndarray, trained: Ragged | None = None, most: int = max(CUTS),
                 item_values: np.ndarray | None = None):
        self.cuts = [cut for cut in CUTS if cut < most] + [most]
        self.titles, self.counts, self.trained = titles, np.asarray(counts, np.float64), trained
        self.people: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # history, excluded, targets
        self.item_values = item_values
        self.baselines: list[dict[str, Any]] = []
        order = np.argsort(-self.counts, kind="stable")
        below = np.cumsum(self.counts[order]) - self.counts[order]
        self.part = np.empty(len(order), np.int64)  # of the catalogue; 0 is the most popular
        self.part[order] = np.minimum(below / max(1.0, self.counts.sum()) * PARTS, PARTS - 1).astype(np.int64)
        self.figures: list[dict[str, float]] = []
        self.lengths: list[int] = []
        self.parts: list[int] = []
        self.cold: list[bool] = []
        self.given = np.zeros(len(titles), np.int64)  # how often each item stood in the first ten
        self.places = np.zeros(max(self.cuts), np.int64)  # how often a right item stood there
        self.examples: list[dict[str, Any]] = []

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        targets = example["targets"][example["targets"] > 0]
        history = example["history"][example["history"] > 0]
        items = answer["items"][answer["items"] > 0][:max(self.cuts)]
        hits = np.isin(items, targets)
        excluded = example["exclude"][example["exclude"] > 0]
        self.figures.append(figures(hits, len(targets), self.cuts))
        self.lengths.append(len(history))
        self.parts.append(int(self.part[targets[0] - 1]))
        self.cold.append(bool(self.counts[targets[0] - 1] == 0))
        self.given[items[:10] - 1] += 1
        self.places[np.flatnonzero(hits)] += 1
        if self.trained and len(self.people) < COMPARED:
            self.people.append((history, excluded, targets))
        if len(self.examples) < SHOWN:
            self.examples.append({
                "person": example["meta"].get("user", ""), "had": self._named(history[-3:]),
                "recommended": self._named(items[:SHOWN]), "next": self._named(targets[:1]),
                "place": int(np.flatnonzero(hits)[0]) + 1 if hits.any() else None})

    def _named(self, items: np.ndarray) -> str:
        return "; ".join(self.titles[item - 1] for item in items)

    def explain(self, answer: Answering) -> None:
        """Asks the baselines for the first people."""
        if not self.trained or len(self.titles) > baselines.MOST:
            return
        own = self.figures[:len(self.people)]
        self.baselines = [{"model": "this", **means(own)}]
        if all(self.cold):
            self.baselines += self._of_new_items()
            return
        for kind in baselines.DECAYS:
            tables, rows = baselines.table(kind, self.trained, len(self.titles)), []
            for start in range(0, len(self.people), AT_ONCE):
                histories, excluded, targets = zip(*self.people[start:start + AT_ONCE], strict=True)
                scores = baselines.scores(kind, list(histories), list(excluded), tables)
                best = np.argsort(-scores, 1, kind="stable")[:, :max(self.cuts)]
                rows += [figures(np.isin(items, right), len(right), self.cuts)
                         for items, right in zip(best, targets, strict=True)]
            self.baselines.append({"model": kind, **means(rows)})

    def _of_new_items(self) -> list[dict[str, Any]]:
        """What likeness of attributes, popularity and chance find where training has none of the items."""
        random, every = np.random.default_rng(0), np.arange(1, len(self.titles) + 1)
        scores = {"random": lambda history: random.random(len(self.titles) + 1)}
        if self.item_values is not None and self.item_values.any():
            made = attributes.features(self.item_values)
            popular = attributes.guessed_popularity(made, self.counts)
            scores = {"attributes": lambda history: attributes.likeness(made, history),
                      "popularity": lambda history: popular, **scores}
        rows = []
        for name, score in scores.items():
            found = []
            for history, excluded, targets in self.people:
                candidates = np.setdiff1d(every, np.concatenate([history, excluded]))
                best = candidates[np.argsort(-score(history)[candidates], kind="stable")]
                found.append(figures(np.isin(best, targets), len(targets), self.cuts))
            rows.append({"model": name, **means(found)})
        return rows

    def report(self) -> Report:
        count = len(self.figures)
        metrics = {name: float(np.mean([row[name] for row in self.figures])) for name in self.figures[0]}
        share = (self.counts + 1) / (self.counts.sum() + len(self.counts))
        given = self.given / max(1, self.given.sum())
        metrics["coverage_at_10"] = float((self.given > 0).mean())
        metrics["novelty_at_10"] = float(-(given * np.log2(share)).sum())  # bits: Zhou et al. 2010
        metrics["popularity_at_10"] = float(given[self.part == 0].sum())
        edges = np.searchsorted(LENGTHS, self.lengths)
        names = [f"up to {length}" for length in LENGTHS] + [f"over {LENGTHS[-1]}"]
        tables = {"baselines": self.baselines, "history": self._table("history", edges, names),
                  "popularity": self._table("item", np.array(self.parts),
                                            [f"{number + 1} of {PARTS}" for number in range(PARTS)]),
                  "examples": self.examples}
        if not self.baselines:
            del tables["baselines"]
        if any(self.cold):
            tables["cold"] = self._table("item", np.array(self.cold, np.int64), ["in training", "never in training"])
        rising = (np.cumsum(self.places) / count).tolist()
        curve = Curve("How often what came next is in the list", "places of the list",
                      "right items by person", list(range(1, max(self.cuts) + 1)), {"found": rising})
        return Report(metrics, tables, {"found": curve}, count)

    def _table(self, title: str, of: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
        rows = []
        for number, name in enumerate(names):
            own = [row for row, part in zip(self.figures, of, strict=True) if part == number]
            if own:
                rows.append({title: name, **means(own), "support": len(own)})
        return rows
