"""Scoring of one label an example; used by every app that classifies."""

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np

from shared.app import Answer, Averaging, Scorer
from shared.errors import UserError
from shared.evaluation.confusion import most_confused, shown_classes
from shared.evaluation.report import Curve, Figure, Gallery, Matrix, Report
from shared.facts import Facts

BINS = 15


class ClassificationScorer(Scorer):
    """Accuracy, precision, recall, F1, confusions, calibration and worst mistakes.

    Examples hold `label` (the true number); answers `label` and `probabilities`, float32 `[classes]`.

    Args:
        labels: class names by number.
        picture: an example as a picture, uint8 `[h, w]` or `[h, w, 3]`, for the worst mistakes; None for no pictures.
        describe: an example in further columns of the table of mistakes.
        worst: how many mistakes are kept.
    """

    def __init__(self, labels: list[str], picture: Callable[[dict[str, Any]], np.ndarray] | None = None,
                 worst: int = 24, describe: Callable[[dict[str, Any]], dict[str, Any]] = lambda example: {}):
        self.describe = describe
        self.labels, self.picture, self.worst = [str(label) for label in labels], picture, worst
        self.confusion = np.zeros((len(labels), len(labels)), np.int64)
        self.bins = np.zeros((BINS, 3))  # examples, correct ones, sum of confidence
        self.log_loss = 0.0
        self.top_5 = 0
        self.nan_answers = 0
        self.mistakes: list[tuple[float, int, dict[str, Any]]] = []

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        truth, label = int(example["label"]), int(answer["label"])
        probabilities = np.asarray(answer["probabilities"], np.float64)
        sound = bool(np.isfinite(probabilities).all())
        if not sound:
            # An answer that is no number is wrong with full confidence, whatever its label says.
            self.nan_answers += 1
            label = (truth + 1) % len(self.labels)
            probabilities = np.eye(len(self.labels))[label]
        self.confusion[truth, label] += 1
        confidence = float(probabilities[label])
        bin_ = min(max(int(np.ceil(confidence * BINS)) - 1, 0), BINS - 1)
        self.bins[bin_] += 1, label == truth, confidence
        self.log_loss -= float(np.log(max(probabilities[truth], np.finfo(np.float32).eps)))
        self.top_5 += int(sound and (probabilities > probabilities[truth]).sum() < 5)
        if label != truth:
            # The worst mistakes are those in which the truth was thought least likely.
            index = example["meta"]["index"]
            entry = (-float(probabilities[truth]), -index, {
                "index": index, "file": example["meta"].get("file", ""), "truth": self.labels[truth],
                "predicted": self.labels[label], "confidence": round(confidence, 6),
                "picture": self.picture(example) if self.picture else None, **self.describe(example)})
            if len(self.mistakes) < self.worst:
                heapq.heappush(self.mistakes, entry)
            elif entry[:2] > self.mistakes[0][:2]:
                heapq.heapreplace(self.mistakes, entry)

    def report(self) -> Report:
        total = int(self.confusion.sum())
        correct, support, predicted = np.diag(self.confusion), self.confusion.sum(1), self.confusion.sum(0)
        precision, recall = divide(correct, predicted), divide(correct, support)
        f1 = divide(2 * correct, support + predicted)
        seen = (support + predicted) > 0  # as scikit-learn: classes that occur in truth or answers

        def mean(values: np.ndarray) -> float:
            return float(values[seen].mean()) if seen.any() else float("nan")

        nan = float("nan")
        metrics = {"accuracy": correct.sum() / total if total else nan, "precision": mean(precision),
                   "recall": mean(recall), "f1": mean(f1),
                   "balanced_accuracy": float(recall[support > 0].mean()) if total else nan,
                   "log_loss": self.log_loss / total if total else nan,
                   "calibration_error": self._calibration_error()}
        if len(self.labels) > 5:
            metrics["top_5_accuracy"] = self.top_5 / total if total else nan
        if self.nan_answers:
            metrics["nan_answers"] = self.nan_answers
        classes = [{"label": label, "precision": float(precision[i]), "recall": float(recall[i]), "f1": float(f1[i]),
                    "support": int(support[i])} for i, label in enumerate(self.labels)]
        worst = [entry[2] for entry in sorted(self.mistakes, key=lambda entry: entry[:2], reverse=True)]
        tables = {"classes": classes, "confusions": self._confusions(),
                  "mistakes": [{key: value for key, value in row.items() if key != "picture"} for row in worst]}
        return Report({key: float(value) for key, value in metrics.items()}, tables, self._figures(worst), total)

    def _calibration_error(self) -> float:
        """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017)."""
        total = self.bins[:, 0].sum()
        return float(np.abs(self.bins[:, 1] - self.bins[:, 2]).sum() / total) if total else float("nan")

    def _confusions(self) -> list[dict[str, Any]]:
        return [{"truth": self.labels[row], "predicted": self.labels[column],
                 "count": int(self.confusion[row, column])} for row, column in most_confused(self.confusion)]

    def _figures(self, worst: list[dict[str, Any]]) -> dict[str, Figure]:
        chosen, which = shown_classes(self.confusion)
        title = "Confusion matrix" + which
        names = [self.labels[i] for i in chosen]
        counts, right, confidence = self.bins.T
        filled = counts > 0
        x = np.where(filled, divide(confidence, counts), (np.arange(BINS) + 0.5) / BINS)
        y = np.where(filled, divide(right, counts), np.nan)
        figures: dict[str, Figure] = {
            "confusion": Matrix(title, names, names, self.confusion[np.ix_(chosen, chosen)].tolist(), "truth",
                                "predicted"),
            "reliability": Curve(f"Reliability (calibration error {100 * self._calibration_error():.2f} %)",
                                 "confidence", "accuracy", x.tolist(), {"accuracy": y.tolist()}, diagonal=True,
                                 bars=counts.tolist())}
        if self.picture and worst:
            figures["mistakes"] = Gallery(
                "Worst mistakes", [row["picture"] for row in worst],
                [f"{row['truth']}, not {row['predicted']} ({100 * row['confidence']:.0f} %)" for row in worst])
        return figures


def averaging_labels(facts: list[Facts]) -> Averaging:
    """`averaged`, for `App.averaging`. Raises UserError where the artifacts do not know the same labels."""
    if any(own.get("labels") != facts[0].get("labels") for own in facts):
        raise UserError("the artifacts know different classes, or have them in a different order.")
    return averaged


def averaged(answers: list[Answer]) -> Answer:
    """The answer of an ensemble: the mean of its members' log-probabilities, which is the geometric mean of their
    probabilities, with the sum made 1 again.

    Args:
        answers: of each member, `probabilities` float32 `[classes]`; 0 counts as the smallest normal float32, so that
            one member alone rules nothing out for certain.

    Returns:
        `label` int32 and `probabilities` float32 `[classes]`, as the graphs give them.

    Reference:
        Genest and Zidek 1986 (https://doi.org/10.1214/ss/1177013825): the logarithmic opinion pool.

    Example:
        >>> both = [{"probabilities": np.float32([0.5, 0.5])}, {"probabilities": np.float32([0.8, 0.2])}]
        >>> averaged(both)["probabilities"].round(3).tolist()
        [0.667, 0.333]
    """
    given = np.array([answer["probabilities"] for answer in answers], np.float64)
    logs = np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean(0)
    shares = np.exp(logs - logs.max())
    return {"label": np.array(logs.argmax(), np.int32), "probabilities": (shares / shares.sum()).astype(np.float32)}


def label_json(answer: Answer, labels: list[str]) -> dict[str, Any]:
    """A label and all probabilities by name."""
    shares = zip(labels, (round(float(share), 6) for share in answer["probabilities"]), strict=True)
    return {"label": labels[int(answer["label"])], "probabilities": dict(shares)}


def most_likely(answer: Answer, labels: list[str], most: int = 3) -> str:
    """The likeliest labels, in percent, on a line."""
    order = np.argsort(answer["probabilities"])[::-1][:most]
    return "  ".join(f"{labels[i]} {100 * answer['probabilities'][i]:.1f} %" for i in order)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.shape(a), float), where=np.asarray(b) != 0)
