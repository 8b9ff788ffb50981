"""Scoring of a class for each pixel; used by every app that segments."""

import heapq
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from shared.app import Answer, Scorer
from shared.data.images import fit_pixels
from shared.evaluation.classification import divide
from shared.evaluation.confusion import most_confused, shown_classes
from shared.evaluation.overlay import overlay, palette, touching
from shared.evaluation.report import Figure, Gallery, Matrix, Report

TOLERANCE = 0.0075  # of the image's diagonal: how far off a boundary may lie
NEAR = 12  # pixels; up to here trying every shift is quicker than distance transforms
LONGEST_SIDE = 320  # of a kept picture
NAMED = 24  # classes of a legend
UNTINTED = " (no tint)"  # of a class whose colour is black: its pixels are shown without a tint
HATCHED = [77, 77, 77]  # of a legend, for the lines over void
GAP = 4  # white columns between truth and answer
NOTHING = -1  # class of pixels that do not count
ABSENT = "absent from the truth, left out of the means"

Picture = tuple[np.ndarray, np.ndarray, np.ndarray]  # image, true mask, answered mask


class SegmentationScorer(Scorer):
    """IoU, Dice, accuracies, boundary F1 and confusions of classes by pixel; of two classes Rand error too.

    Examples hold `image`, uint8 `[h, w, 1]` or `[h, w, 3]`, and `mask`, integers `[h, w]`; answers `mask`, integers
    `[h, w]` of the same size, and `confidence`, float `[h, w]`, where they have it: a pixel whose confidence is no
    number is wrong, whatever its class. Sizes may differ from example to example.

    All metrics but `boundary_f1` and Rand errors are of all pixels together. Means over classes take the classes that
    occur in the truth: others are left out even where they were answered, which the present ones lost already.
    Void pixels count nowhere, so an example without other pixels changes no metric.

    Args:
        labels: class names by number.
        colors: uint8 `[classes, 3]`; `palette` where None.
        void: the number of pixels without true class.
        worst: of how many images with the lowest IoU a picture is kept.
        shown: of how many examples a picture is kept whatever their IoU, drawn by a fixed seed: the same ones at
            every scoring, and not only the first, which of a film are all alike.
    """

    def __init__(self, labels: list[str], colors: np.ndarray | None = None, void: int = 255, worst: int = 8,
                 shown: int = 6):
        self.labels, self.void, self.worst, self.shown = [str(label) for label in labels], void, worst, shown
        self.colors = palette(len(labels)) if colors is None else colors
        self.confusion = np.zeros((len(labels), len(labels)), np.int64)
        self.boundaries = np.zeros((2, len(labels)))  # sum of F1, images
        self.rand_errors: list[tuple[float, float]] = []  # as answered, and with borders thinned
        self.examples = 0
        self.nan_answers = 0
        self.lowest: list[tuple[float, int, dict[str, Any], Picture]] = []
        self.drawn: list[tuple[int, str, Picture]] = []
        self.random = np.random.default_rng(0)

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        classes, meta = len(self.labels), example["meta"]
        true_mask, mask = np.asarray(example["mask"], np.int32), np.asarray(answer["mask"], np.int32)
        known = true_mask != self.void
        truth, answered = (np.where(known, each, NOTHING).astype(np.int16) for each in (true_mask, mask))
        if "confidence" in answer and not (sound := np.isfinite(answer["confidence"])).all():
            self.nan_answers += int((known & ~sound).sum())
            answered = np.where(known & ~sound, (truth + 1) % classes, answered)
            mask = np.where(sound, mask, self.void)

        confusion = confusions(truth, answered, classes)
        self.confusion += confusion
        present = confusion.sum(1) > 0
        iou = float(intersection_over_union(confusion)[present].mean()) if present.any() else float("nan")
        tolerance = max(1.0, TOLERANCE * float(np.hypot(*truth.shape)))
        self.boundaries += np.where(present, [boundary_f1(truth, answered, classes, tolerance), present], 0)
        if classes == 2 and present[1]:
            self.rand_errors.append((rand_error(truth == 1, answered == 1),
                                     rand_error(truth == 1, answered == 1, thinned=True)))

        entry = -iou, -int(meta["index"])
        enters = present.any() and self.worst > 0 and (
            len(self.lowest) < self.worst or entry > self.lowest[0][:2])
        # A reservoir (Vitter 1985): each example is as likely as any other to be among those shown at the end.
        place = self.examples if self.examples < self.shown else int(self.random.integers(self.examples + 1))
        if enters or place < self.shown:
            picture = reduced(example["image"], true_mask, mask)
            if place < self.shown:
                self.drawn[place:place + 1] = [(self.examples, caption(meta, iou), picture)]
            if enters:
                row = {"index": int(meta["index"]), "file": meta.get("file", ""), "mean_iou": iou}
                keep = heapq.heappush if len(self.lowest) < self.worst else heapq.heapreplace
                keep(self.lowest, (*entry, row, picture))
        self.examples += 1

    def report(self) -> Report:
        nan = float("nan")
        total = int(self.confusion.sum())
        correct, support, predicted = np.diag(self.confusion), self.confusion.sum(1), self.confusion.sum(0)
        present, share = support > 0, divide(support, support.sum())
        iou, dice = intersection_over_union(self.confusion), divide(2 * correct, support + predicted)
        precision, recall = divide(correct, predicted), divide(correct, support)
        boundary = divide(*self.boundaries)

        def mean(values: np.ndarray) -> float:
            return float(values[present].mean()) if total else nan

        accuracy = correct.sum() / total if total else nan
        metrics = {"mean_iou": mean(iou), "pixel_accuracy": accuracy, "mean_accuracy": mean(recall),
                   "mean_dice": mean(dice), "frequency_weighted_iou": float(share @ iou) if total else nan,
                   "boundary_f1": mean(boundary)}
        if len(self.labels) == 2:
            rand, thinned = map(float, np.mean(self.rand_errors, 0)) if self.rand_errors else (nan, nan)
            metrics |= {"pixel_error": 1 - accuracy, "dice": dice[1] if support[1] + predicted[1] else nan,
                        "rand_error": rand, "rand_error_thinned": thinned}
        if self.nan_answers:
            metrics["nan_answers"] = self.nan_answers
        columns = {"iou": iou, "dice": dice, "precision": precision, "recall": recall, "boundary_f1": boundary}
        classes = [{"label": label, **{key: float(column[i]) if present[i] else None
                                       for key, column in columns.items()},
                    "pixels": int(support[i]), "share": float(share[i]), "note": None if present[i] else ABSENT}
                   for i, label in enumerate(self.labels)]
        lowest = sorted(self.lowest, key=lambda entry: entry[:2], reverse=True)
        tables = {"classes": classes, "confusions": self._confusions(), "worst": [entry[2] for entry in lowest]}
        figures: dict[str, Figure] = {"confusion": self._matrix()}
        if lowest:
            figures["worst"] = self._gallery(
                "Lowest IoU", [(caption(row, row["mean_iou"]), picture) for *_, row, picture in lowest])
        if self.drawn:
            shown = sorted(self.drawn, key=lambda entry: entry[0])
            figures["examples"] = self._gallery("Examples", [(text, picture) for _, text, picture in shown])
        return Report({key: float(value) for key, value in metrics.items()}, tables, figures, self.examples)

    def _confusions(self) -> list[dict[str, Any]]:
        counts = self.confusion
        return [{"truth": self.labels[row], "predicted": self.labels[column],
                 "share": float(counts[row, column] / counts[row].sum()), "pixels": int(counts[row, column])}
                for row, column in most_confused(counts)]

    def _matrix(self) -> Matrix:
        chosen, which = shown_classes(self.confusion)
        title = "Confusions in % of the true class's pixels" + which
        percent = 100 * divide(self.confusion, self.confusion.sum(1, keepdims=True))
        names = [self.labels[i] for i in chosen]
        return Matrix(title, names, names, percent[np.ix_(chosen, chosen)].round().tolist(), "truth", "predicted")

    def _gallery(self, title: str, pictures: list[tuple[str, Picture]]) -> Gallery:
        pairs, captions = [], [text for text, _ in pictures]
        for _, (image, *masks) in pictures:
            truth, answer = (overlay(image, mask, self.colors, self.void) for mask in masks)
            pairs.append(np.hstack([truth, np.full((len(truth), GAP, 3), 255, np.uint8), answer]))
        return Gallery(title, pairs, captions, self._legend([picture for _, picture in pictures]))

    def _legend(self, pictures: list[Picture]) -> dict[str, list[int]]:
        """The colours of the classes that stand in the pictures, of the largest ones where they are many."""
        values = np.concatenate([mask.ravel() for _, *masks in pictures for mask in masks])
        pixels = dict(zip(*(column.tolist() for column in np.unique(values, return_counts=True)), strict=True))
        largest = sorted((number for number in pixels if number != self.void), key=lambda number: -pixels[number])
        named = {self.labels[number] + ("" if self.colors[number].any() else UNTINTED): self.colors[number].tolist()
                 for number in sorted(largest[:NAMED])}
        return named | ({"counts nowhere": HATCHED} if self.void in pixels else {})


def caption(about: dict[str, Any], iou: float) -> str:
    """The line over a picture of truth and answer.

    Args:
        about: `index`, and `file` where there is one.
        iou: NaN where the image has no pixels that count.
    """
    name = Path(about.get("file") or "").stem or about["index"]
    return f"{name}, IoU {'unknown' if np.isnan(iou) else f'{iou:.2f}'}, truth | answer"


def reduced(image: np.ndarray, truth: np.ndarray, answered: np.ndarray) -> Picture:
    """An image, uint8 `[h, w, c]`, and two masks, `[h, w]`, brought to at most 320 pixels a side; copies."""
    (height, width), channels = image.shape[:2], image.shape[2]
    factor = min(1.0, LONGEST_SIDE / max(height, width))
    rows, columns = (((np.arange(max(1, round(factor * side))) + 0.5) / factor).astype(int).clip(0, side - 1)
                     for side in (height, width))
    few = np.ix_(rows, columns)
    return fit_pixels(image, len(rows), len(columns), channels), truth[few], answered[few]


def confusions(truth: np.ndarray, answered: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true class and answered class.

    Args:
        truth: class numbers `[h, w]`, -1 where nothing counts.
        answered: the same.
        classes: how many there are.

    Returns:
        int64 `[classes, classes]`.

    Raises:
        ValueError: a number is of no class.
    """
    truth, answered = truth[truth >= 0], answered[truth >= 0]
    for mask, name in ((truth, "truth"), (answered, "answer")):
        if mask.min(initial=0) < 0 or mask.max(initial=0) >= classes:
            raise ValueError(f"The {name}'s mask holds {mask.min()} to {mask.max()}: there are {classes} classes.")
    return np.bincount(truth.astype(np.int64) * classes + answered, minlength=classes ** 2).reshape(classes, classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """float64 `[classes]` of a confusion matrix; 0 for a class that is nowhere."""
    correct = np.diag(confusion)
    return divide(correct, confusion.sum(0) + confusion.sum(1) - correct)


def boundary_f1(truth: np.ndarray, answered: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    """How well the boundaries of each class agree in one image (Csurka et al. 2013).

    A boundary pixel has one of its four neighbours in another class, not in void and not beyond the rim. It is right
    where the other mask has a boundary pixel of its class within the tolerance. Precision is the share of right ones
    in the answer, recall in the truth. A class without boundary in both masks has 1 where the answer has the class,
    else 0.

    Args:
        truth: class numbers, int16 `[h, w]`, -1 where nothing counts.
        answered: the same.
        classes: how many there are.
        tolerance: in pixels.

    Returns:
        float64 `[classes]`, of meaning where the truth has the class.
    """
    edges, answered_edges = boundary(truth), boundary(answered)
    right, answered_right = matches(edges, answered_edges, tolerance)

    def count(mask: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(mask[where], minlength=classes)

    all_true, all_answered = count(edges, edges >= 0), count(answered_edges, answered_edges >= 0)
    recall = divide(count(edges, right), all_true)
    precision = divide(count(answered_edges, answered_right), all_answered)
    bare = all_true + all_answered == 0
    return np.where(bare, count(answered, answered >= 0) > 0, divide(2 * precision * recall, precision + recall))


def boundary(mask: np.ndarray) -> np.ndarray:
    """The class at its boundary pixels, -1 elsewhere; int16 `[h, w]` both."""
    return np.where(touching(mask, NOTHING), mask, np.int16(NOTHING))


def matches(a: np.ndarray, b: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each of two masks has a class that the other has too within `tolerance` pixels.

    Args:
        a: class numbers, int16 `[h, w]`, -1 for none.
        b: the same.
        tolerance: the greatest distance.

    Returns:
        for `a` and for `b`, bool `[h, w]`.
    """
    if tolerance >= NEAR + 1:
        found = np.zeros((2, *a.shape), bool)
        for class_ in np.intersect1d(a[a >= 0], b[b >= 0]):
            for hit, one, other in ((found[0], a, b), (found[1], b, a)):
                hit |= (one == class_) & (ndimage.distance_transform_edt(other != class_) <= tolerance)
        return found[0], found[1]
    # Rows with room at their end lie in one line: every shift in the plane is then a shift along the line.
    reach, (height, width) = int(tolerance), a.shape
    line_a, line_b = (np.pad(mask, ((0, reach), (0, reach)), constant_values=none).ravel()
                      for mask, none in ((a, -1), (np.where(b < 0, np.int16(-2), b), -2)))
    found = np.zeros((2, line_a.size), bool)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down ** 2 + right ** 2 <= tolerance ** 2:
                shift = down * (width + reach) + right
                at = slice(max(0, -shift), line_a.size - max(0, shift))
                there = slice(at.start + shift, at.stop + shift)
                same = line_a[at] == line_b[there]
                found[0, at] |= same
                found[1, there] |= same
    first, second = found.reshape(2, height + reach, width + reach)[:, :height, :width]
    return first, second


def rand_error(truth: np.ndarray, answered: np.ndarray, thinned: bool = False) -> float:
    """1 - the Rand F-score of components over the true foreground (Arganda-Carreras et al. 2015,
    https://doi.org/10.3389/fnana.2015.00142), from 0 to 1.

    Components hang together by four neighbours; the answer's background is one component. 0 where there is no pair of
    pixels to be joined or parted.

    Args:
        truth: foreground, bool `[h, w]`.
        answered: the same.
        thinned: whether the answer's borders are first made as thin as nothing, each of their pixels given to the
            nearest component: how objects are parted then counts, and how wide the borders are drawn does not.
    """
    components, _ = ndimage.label(truth)
    parts, count = ndimage.label(answered)
    if thinned and count:
        nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        parts = parts[tuple(nearest)]
    pairs = np.unique(components[truth].astype(np.int64) * (count + 1) + parts[truth], return_counts=True)

    def joined(keys: np.ndarray) -> float:
        sizes = np.bincount(keys, weights=pairs[1])
        return float(sizes @ sizes - sizes.sum())

    together = float(pairs[1] @ pairs[1] - pairs[1].sum())
    apart = joined(pairs[0] // (count + 1)) + joined(pairs[0] % (count + 1))
    return 1 - 2 * together / apart if apart else 0.0
