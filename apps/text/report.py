"""Scoring of texts: as of any classes, and what moved the worst mistakes, and how long texts fare."""

from typing import Any

import numpy as np

from shared.app import Answer
from shared.data import plain_tokens
from shared.evaluation.answering import Answering
from shared.evaluation.classification import ClassificationScorer
from shared.evaluation.report import Report

EXCERPT = 200  # characters
EXPLAINED = 10  # mistakes
WINDOWS = 48  # parts of a text that are hidden one after another
LENGTHS = tuple(32 << step for step in range(10))  # characters


class TextScorer(ClassificationScorer):
    """Adds to the report a table of scores by length and, once asked to explain, the words behind each mistake."""

    def __init__(self, labels: list[str]):
        super().__init__(labels, describe=self._describe)
        self.lengths = np.zeros((len(LENGTHS) + 1, 2), np.int64)  # right, all

    @staticmethod
    def _describe(example: dict[str, Any]) -> dict[str, Any]:
        text = text_of(example)
        return {"text": text[:EXCERPT] + ("…" if len(text) > EXCERPT else ""), "raw": example["text"]}

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        super().update(example, answer)
        right = int(answer["label"]) == int(example["label"])
        self.lengths[np.searchsorted(LENGTHS, len(text_of(example)))] += right, 1

    def explain(self, answer: Answering) -> None:
        """Occlusion: hides each word (of long texts: each stretch) of a mistake, and sees how far its answer moves."""
        worst = sorted(self.mistakes, key=lambda entry: entry[:2], reverse=True)[:EXPLAINED]
        for _, _, row in worst:
            raw = row["raw"]
            text = text_of({"text": raw})
            spans = list(plain_tokens.spans(text))
            size = -(-len(spans) // WINDOWS) or 1
            groups = [spans[start:start + size] for start in range(0, len(spans), size)]
            windows = [(group[0][0], group[-1][1]) for group in groups]
            hidden = [np.frombuffer((text[:start] + " " * (end - start) + text[end:]).encode(), np.uint8)
                      for start, end in windows]
            given = self.labels.index(row["predicted"])
            before, *after = [float(made["probabilities"][given])
                              for made in answer([{"text": part} for part in [raw, *hidden]])]
            moved = sorted(zip(windows, after, strict=True), key=lambda item: item[1])[:3]
            row["moved_by"] = ", ".join(f"{text[start:end][:40]} ({100 * (before - now):+.0f})"
                                        for (start, end), now in moved if now < before)

    def report(self) -> Report:
        made = super().report()
        made.tables["mistakes"] = [{key: value for key, value in row.items() if key != "raw"}
                                   for row in made.tables["mistakes"]]
        shares = [{"characters": f"up to {LENGTHS[i]}" if i < len(LENGTHS) else f"over {LENGTHS[-1]}",
                   "accuracy": float(right / total), "support": int(total)}
                  for i, (right, total) in enumerate(self.lengths) if total]
        made.tables["lengths"] = shares
        return made


def text_of(example: dict[str, Any]) -> str:
    return example["text"].astype(np.uint8).tobytes().decode("utf-8", "replace").rstrip("\0")
