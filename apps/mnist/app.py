"""The image classifier's part of the verbs; no TensorFlow here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from apps.mnist.data import load, sample
from shared.app import Answer, App, Averaging, Raw
from shared.data.class_weights import class_weights
from shared.data.dataset import Dataset, Split
from shared.data.images import EXTENSIONS, read_image
from shared.evaluation.classification import ClassificationScorer, averaging_labels, label_json, most_likely
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings, setting


@dataclass(kw_only=True)
class Settings(FitSettings):
    """Settings of `pocketconv mnist fit`."""

    data: str = setting("tfds:mnist", "sample (5,000 real digits, offline), tfds:NAME, or a folder of class folders",
                        metavar="DATA")
    model: Literal["cnn", "allconv", "resnet", "separable"] = setting(
        "cnn", "cnn (textbook), allconv, resnet (deeper, better), separable (small)")
    image_size: Optional[int] = setting(None, "side in pixels to which images are brought [from the data]",
                                        metavar="PIXELS", at_least=10, at_most=1024)
    augment: Literal["standard", "none"] = setting("standard", "standard (small movements, see --help-all) or none")
    width: float = setting(1.0, "factor on every layer's channels", advanced=True, at_least=0.1, at_most=8)
    dropout: float = setting(0.25, "share of the last features dropped while training", advanced=True,
                             at_least=0, at_most=0.9)
    rotate: float = setting(12.0, "augmentation: largest rotation, degrees", advanced=True, at_least=0, at_most=180)
    scale: float = setting(0.12, "augmentation: largest change of size, as a share", advanced=True,
                           at_least=0, at_most=1)
    shear: float = setting(0.15, "augmentation: largest shear, as a share", advanced=True, at_least=0, at_most=1)
    shift: float = setting(0.08, "augmentation: largest shift, as a share of the side", advanced=True,
                           at_least=0, at_most=0.5)
    bend: float = setting(0.05, "augmentation: largest elastic movement, as a share of the side", advanced=True,
                          at_least=0, at_most=0.3)
    erase: float = setting(0.0, "augmentation: largest erased rectangle, as a share of the side", advanced=True,
                           at_least=0, at_most=0.9)
    mirror: bool = setting(False, "augmentation: flip left and right (never for letters or digits)", advanced=True)


class Mnist(App):
    name = "mnist"
    summary = "classify images: digits, or any folder of classes"
    Settings = Settings
    raw = ("image",)
    file_types = EXTENSIONS
    headline = Headline("accuracy")
    model_class = "apps.mnist.model:ImageClassifier"

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return load(settings, facts)

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        images = train.take(np.random.default_rng(0).permutation(len(train))[:10_000])["image"]
        seen = images / np.float32(255)
        labels = np.asarray(train.columns["label"][np.arange(len(train))])
        values: dict[str, Any] = {
            "labels": dataset.labels, "image_size": list(seen.shape[1:3]), "channels": int(seen.shape[3]),
            "mean": float(seen.mean(dtype=np.float64)), "std": max(float(seen.std(dtype=np.float64)), 1e-3),
            "light_background": light_background(images)}
        if settings.class_weights != "none":
            values["class_weights"] = class_weights(labels, len(dataset.labels), settings.class_weights)
        return Facts(values)

    def scorer(self, facts: Facts) -> ClassificationScorer:
        return ClassificationScorer(facts["labels"], lambda example: example["image"].squeeze())

    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        height, width = facts["image_size"]
        return {"image": read_image(argument, height, width, facts["channels"])}

    def golden(self, facts: Facts) -> Raw:
        digits = sample(tuple(facts["image_size"]), facts["channels"]).splits["train"]
        return {"image": digits.take(np.arange(250, len(digits), 500))["image"]}

    def averaging(self, facts: list[Facts]) -> Averaging:
        return averaging_labels(facts)

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        return label_json(answer, facts["labels"])

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        shares = most_likely(answer, facts["labels"])
        turned = light_background(raw["image"]) != facts["light_background"]
        return shares + ("  (its background is not as in training, light or dark: invert it?)" if turned else "")


def light_background(images: np.ndarray) -> bool:
    """Whether the edges of images, uint8 `[…, h, w, c]`, are rather light than dark."""
    edges = (images[..., 0, :, :], images[..., -1, :, :], images[..., :, 0, :], images[..., :, -1, :])
    return bool(np.median(np.concatenate([edge.ravel() for edge in edges])) > 127)
