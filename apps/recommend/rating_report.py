"""Scoring of answered ratings against those that people gave."""

from array import array
from typing import Any

import numpy as np

from shared.app import Answer, Scorer
from shared.evaluation.report import Curve, Report
from shared.facts import Facts

EDGES = (0, 5, 20, 50, 100, 200, 500)  # ratings that a person or an item has in training
WORST = 20  # examples


def errors(off: np.ndarray) -> dict[str, float]:
    """Root mean square and mean of how far answers are off, `[n]`."""
    off = np.asarray(off, np.float64)
    return {"rmse": float(np.sqrt(np.mean(off ** 2))), "mae": float(np.mean(np.abs(off)))}


class RatingScorer(Scorer):
    """Errors over pairs, by what training knew of them, beside those of the mean and of biases alone.

    Args:
        facts: of the model.
    """

    def __init__(self, facts: Facts):
        self.facts = facts
        self.user, self.item, self.truth, self.given = array("i"), array("i"), array("f"), array("f")

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        self.user.append(int(example["user"]))
        self.item.append(int(example["item"]))
        self.truth.append(float(example["rating"]))
        self.given.append(float(answer["rating"]))

    def report(self) -> Report:
        facts, user, item, truth = self.facts, np.array(self.user), np.array(self.item), np.array(self.truth)
        off = np.array(self.given) - truth
        biased = facts["mean"] + facts["user_bias"][user] + facts["item_bias"][item]
        others = {"biases": np.clip(biased, *facts["range"]) - truth, "constant": facts["mean"] - truth}
        tables = {"baselines": [{"model": name, **errors(one)} for name, one in {"this": off, **others}.items()],
                  "person": self._table("person", facts["user_counts"][user], off, others["biases"]),
                  "item": self._table("item", facts["item_counts"][item], off, others["biases"]),
                  "worst": [self._example(row) for row in np.argsort(-np.abs(off), kind="stable")[:WORST]]}
        steps = np.linspace(0, 2, 21)
        lines = {name: [float(np.mean(np.abs(one) <= step)) for step in steps]
                 for name, one in {"this": off, **others}.items()}
        curve = Curve("How near answers are", "at most so far off", "share of the ratings", steps.tolist(), lines)
        return Report(errors(off), tables, {"near": curve}, len(off))

    def _table(self, title: str, counts: np.ndarray, off: np.ndarray, biased: np.ndarray) -> list[dict[str, Any]]:
        of = np.searchsorted(EDGES, counts)
        names = ["unknown to training", *(f"up to {edge} ratings" for edge in EDGES[1:]), f"over {EDGES[-1]} ratings"]
        return [{title: name, **errors(off[of == number]), "rmse of biases": errors(biased[of == number])["rmse"],
                 "support": int((of == number).sum())} for number, name in enumerate(names) if (of == number).any()]

    def _example(self, row: int) -> dict[str, Any]:
        def name(number: int, names: list[str]) -> str:
            return names[number - 1] if number else "(unknown)"
        return {"person": name(self.user[row], self.facts["users"]),
                "item": name(self.item[row], self.facts["titles"]),
                "rating": self.truth[row], "answer": self.given[row]}
