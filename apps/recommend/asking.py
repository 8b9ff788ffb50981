"""Other ways to ask a recommender than for its list: what each item scores, and why the first one came first."""

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.app import Answer, Answering, Raw
from shared.facts import Facts

SHOWN = 3  # reasons that people are told


def by_scores(score: Any) -> Callable[[Raw], Answer]:
    """What `serving_default` answers, by an opened signature `score` that is asked for every item."""
    facts, size = score.facts, score.inputs["items"].shape[0]
    count, top = len(facts["labels"]), facts["top"]

    def answer(raw: Raw) -> Answer:
        asked = np.pad(np.arange(1, count + 1, dtype=np.int32), (0, -count % size)).reshape(-1, size)
        rows = len(raw["history"])
        scores = np.concatenate([score({**raw, "items": np.tile(items, (rows, 1))})["scores"] for items in asked],
                                1)[:, :count]
        items = np.argsort(-scores, 1, kind="stable")[:, :top]
        best = np.take_along_axis(scores, items, 1)
        return {"items": np.where(best > 0, items + 1, -1), "scores": best}
    return answer


def explained(raw: Raw, answer: Answer, answer_rows: Answering, facts: Facts) -> tuple[str, list[dict[str, Any]]]:
    """How much likelier each item of a history made the first answer: a line for people, and for each item the
    logarithm of that answer's probability, over that without the item (which stays excluded), the largest first."""
    had = np.flatnonzero(raw["history"] > 0)[-facts["length"]:]
    first = int(answer["items"][0])
    if not len(had) or first < 1:
        return "", []
    without = [{"history": np.delete(raw["history"], place),
                "exclude": np.append(raw["exclude"], raw["history"][place])} for place in had]
    moved = []
    for other in answer_rows(without):
        left = other["scores"][other["items"] == first]  # where it is no longer in the list: at most the last one's
        moved.append(float(np.log(answer["scores"][0] / max(left[0] if len(left) else other["scores"][-1], 1e-9))))
    items = raw["history"][had] - 1
    made = [{"item": facts["labels"][items[at]], "title": facts["titles"][items[at]], "moved": moved[at]}
            for at in np.argsort(moved)[::-1]]
    told = [f"{row['title']} (x {np.exp(row['moved']):.2f})" for row in made if row["moved"] > 0][:SHOWN]
    return (f"\n    {facts['titles'][first - 1]}, because of " + "; ".join(told) if told else ""), made
