"""The app: its settings, and the parts that need no TensorFlow."""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
from PIL import Image

from apps.segment import data, pieces
from shared.app import Answer, App, Raw
from shared.data.dataset import Dataset, Split
from shared.data.images import EXTENSIONS, common_size, fit_pixels, open_image
from shared.errors import UserError
from shared.evaluation.overlay import overlay, palette
from shared.evaluation.report import Headline
from shared.evaluation.segmentation import SegmentationScorer
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings, setting
from shared.signature import Tensor

TILE = 256  # side of a tile where nothing is said
MOST_PIXELS = 500_000_000  # of an image to be answered: 20,000 x 20,000 go through as tiles
MOST_AT_ONCE = 1 << 20  # pixels that are answered at once, in all ways they are laid
LOOKED_AT = 200  # images that pixel statistics are taken from
WAYS = {"none": 1, "mirror": 2, "all": 8}  # of --symmetries


@dataclass(kw_only=True)
class Settings(FitSettings):
    data: str = setting("tfds:oxford_iiit_pet", "sample (nuclei), tfds:NAME, or the path of a folder with images/ and "
                        "masks/", metavar="DATA")
    model: Literal["unet", "segnet", "deeplab"] = setting("unet", "the network")
    block: Literal["plain", "residual", "separable"] = setting("plain", "what unet and segnet are built from")
    width: int = setting(16, "filters at the image's own size; doubled at each halving", at_least=1, at_most=1024)
    widest: int = setting(128, "most filters of a layer", at_least=1, at_most=4096)
    depth: int = setting(4, "halvings of the image's size (deeplab: blocks a stage)", at_least=1, at_most=7)
    backbone: Literal["separable", "residual", "resnet_v2"] = setting(
        "separable", "what deeplab is built on; resnet_v2 is keras-cv's")
    output_stride: Literal[8, 16] = setting(16, "how much smaller deeplab's coarsest features are", advanced=True)
    decoder_stride: Literal[1, 2, 4] = setting(4, "the same of the fine features that its decoder adds", advanced=True)
    encoder_addition: bool = setting(False, "segnet: add the encoder's features to what is unpooled, which its paper "
                                     "found a little better, for more memory", advanced=True)
    size: Optional[str] = setting(None, "the network's HEIGHTxWIDTH [the images' own, or tiles of 256x256]",
                                  metavar="HxW")
    input_size: Optional[str] = setting(
        None, "HEIGHTxWIDTH that the exported file takes, where it shall resize by itself [--size]", metavar="HxW")
    fit_image: Literal["resize", "tile"] = setting(
        "resize", "resize whole images (scenes), or cut overlapping tiles (microscopy, maps)")
    overlap: float = setting(0.25, "share of a tile's side that its neighbour sees too, when answering", advanced=True,
                             at_least=0, at_most=0.75)
    void: int = setting(255, "mask value that counts neither in the loss nor in a score, besides 255", at_least=0,
                        at_most=255)
    objects: bool = setting(False, "mask values number single objects (nuclei): all are one class")
    loss: Literal["cross_entropy", "dice", "cross_entropy+dice", "focal", "tversky"] = setting(
        "cross_entropy+dice", "what is minimised")
    class_weights: Literal["none", "balanced", "square_root"] = setting(
        "none", "weigh rare classes more in the cross-entropy: balanced by median frequency, square_root by its root")
    gap_weight: float = setting(0.0, "extra weight of the narrow gaps between objects (U-Net's paper: 10)", at_least=0)
    gap_sigma: float = setting(5.0, "how wide such gaps are, pixels", advanced=True, at_least=0.1)
    focal: float = setting(2.0, "gamma of the focal loss", advanced=True, at_least=0)
    tversky_alpha: float = setting(0.3, "weight of false positives in the Tversky loss; the rest is that of misses",
                                   advanced=True, at_least=0, at_most=1)
    normalize: Literal["image", "log", "dataset"] = setting(
        "image", "bring each image to its own mean and spread, or its logarithm (fluorescence, where some objects are "
        "a hundred times as bright as others), or all to those of the training data")
    symmetries: Literal["none", "mirror", "all"] = setting(
        "none", "answer by the mean over an image and its mirror image, or over all eight ways a square tile can lie "
        "(microscopy, maps); files take two and eight times as long")
    threshold_for: Literal["mean_iou", "dice", "pixel_accuracy", "rand_error", "rand_error_thinned", "none"] = setting(
        "mean_iou", "of two classes: what the threshold is chosen by, on validation data", advanced=True)
    augment: Literal["standard", "none"] = setting("standard", "new versions of every image each epoch")
    flip: Literal["none", "horizontal", "both"] = setting("horizontal", "mirror every second image")
    rotate: float = setting(5.0, "largest rotation, degrees", at_least=0, at_most=180)
    enlarge: float = setting(1.6, "largest scale", advanced=True, at_least=1, at_most=8)
    shrink: float = setting(1.25, "largest reduction", advanced=True, at_least=1, at_most=8)
    stretch: float = setting(1.1, "largest change of the proportions", advanced=True, at_least=1, at_most=4)
    bend: float = setting(0.0, "elastic deformation, largest movement in pixels", at_least=0, at_most=200)
    light: float = setting(0.3, "change of gamma, contrast and brightness", at_least=0, at_most=2)
    color: float = setting(0.1, "change of the balance of colours", at_least=0, at_most=2)
    haze: float = setting(0.0, "light scattered over parts of an image (microscopy), at most, as a share of its "
                          "brightest pixel", advanced=True, at_least=0, at_most=2)
    dropout: float = setting(0.1, "share of the coarsest features left out in training", advanced=True, at_least=0,
                             at_most=0.9)
    label_smoothing: float = setting(0.0, "share of the truth spread over all classes", advanced=True, at_least=0,
                                     at_most=0.5)
    epochs: int = setting(30, "passes over the training data, in total", at_least=1)
    batch_size: int = setting(8, "examples a step", at_least=1)
    learning_rate: float = setting(0.002, "step size at its highest", at_least=0)
    optimizer: Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion"] = setting(
        "adamw", "Keras optimizer; momentum and nesterov are SGD with 0.9")
    weight_decay: float = setting(1e-4, "decoupled weight decay; biases and normalisation are left out",
                                  advanced=True, at_least=0)
    clip_norm: float = setting(1.0, "largest norm of all gradients together (0: off)", advanced=True, at_least=0)


class Segment(App):
    name = "segment"
    summary = "give each pixel of an image its class, by U-Net, SegNet or DeepLab V3+"
    Settings = Settings
    raw = ("image",)
    headline = Headline("mean_iou")
    model_class = "apps.segment.model:Segmenter"
    file_types = EXTENSIONS

    def check(self, settings: Any) -> None:
        if settings.fit_image == "tile" and settings.input_size:
            raise UserError("--input-size means nothing to tiles, which are never resized: leave it out.")
        sides("--size", settings.size)
        sides("--input-size", settings.input_size)

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return data.load(settings, facts)

    def examine(self, settings: Any, dataset: Dataset) -> list[str]:
        return [data.class_shares(dataset.splits["train"], dataset.labels), *data.absent(dataset)]

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        looked_at = np.random.default_rng(0).permutation(len(train))[:LOOKED_AT]
        images = [train.take(np.array([i]))["image"][0] for i in np.sort(looked_at)]
        size = sides("--size", settings.size) or self._own_size(settings, train.meta["size"])
        if settings.symmetries == "all" and size[0] != size[1]:
            raise UserError(f"--symmetries all turns images, and {size[0]}x{size[1]} ones would not fit any more: "
                            f"give a square --size, or --symmetries mirror.")
        overlap = int(settings.overlap * min(size))
        pixels = np.concatenate([image.reshape(-1, image.shape[-1])[::7] for image in images]).astype(np.float64)
        values: dict[str, Any] = {
            **{name: getattr(dataset, name) for name in ("labels", "colors", "void", "binary", "objects", "channels")},
            "size": list(size), "input_size": list(sides("--input-size", settings.input_size) or size),
            "fit_image": settings.fit_image, "overlap": overlap, "normalize": settings.normalize,
            "symmetries": settings.symmetries,
            "mean": pixels.mean(0).round(3).tolist(), "std": np.maximum(pixels.std(0), 1).round(3).tolist()}
        if settings.class_weights != "none":
            values["class_weights"] = self._class_weights(train, settings.class_weights == "square_root")
        return Facts(values)

    @staticmethod
    def _own_size(settings: Any, images: Any) -> tuple[int, int]:
        if settings.fit_image == "resize":
            return common_size(images, most=512)
        least = [min(TILE, max(size[axis] for size in images)) for axis in (0, 1)]
        return max(16, least[0] // 16 * 16), max(16, least[1] // 16 * 16)

    @staticmethod
    def _class_weights(train: Split, root: bool) -> list[float]:
        """Median frequency balancing (Eigen and Fergus 2015), at most 20; the mean over pixels stays 1."""
        counts = np.asarray(train.columns["counts"][np.arange(len(train))], np.float64)
        total, where_seen = counts.sum(0), ((counts > 0) * counts.sum(1, keepdims=True)).sum(0)
        frequency = total / np.maximum(where_seen, 1)
        weights = np.where(total > 0, np.median(frequency[total > 0]) / np.maximum(frequency, 1e-9), 0)
        weights = np.minimum(np.sqrt(weights) if root else weights, 20)
        return (weights / ((weights * total).sum() / total.sum())).round(6).tolist()

    def scorer(self, facts: Facts) -> SegmentationScorer:
        return SegmentationScorer(facts["labels"], self._colors(facts))

    @staticmethod
    def _colors(facts: Facts) -> np.ndarray:
        colors = facts.get("colors")
        return np.array(colors, np.uint8) if colors else palette(len(facts["labels"]))

    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        return {"image": fit_pixels(open_image(argument, MOST_PIXELS, still=True), None, None, facts["channels"])}

    def golden(self, facts: Facts) -> Raw:
        nuclei = data.sample().splits["test"]
        height, width = facts["input_size"]
        images = [fit_pixels(image, height, width, facts["channels"]) for image in nuclei.take(np.arange(10))["image"]]
        return {"image": np.stack(images)}

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        image, size = raw["image"], tuple(facts["input_size"])
        if facts["fit_image"] == "resize":
            return [{"image": pieces.resized(image, size)}]
        return ({"image": tile} for tile in pieces.tiles(image, size, facts["overlap"]))

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        size, own = tuple(facts["input_size"]), raw["image"].shape[:2]
        if facts["fit_image"] == "tile":
            return pieces.from_tiles(own, answers, size, facts["overlap"])
        answer = next(answers)
        return {name: pieces.resized_labels(answer[name], own) for name in ("mask", "confidence")}

    def at_once(self, facts: Facts) -> int:
        height, width = facts["size"]
        return max(1, MOST_AT_ONCE // (height * width * WAYS[facts.get("symmetries", "none")]))

    def any_size(self, facts: Facts) -> str:
        height, width = facts["input_size"]
        if facts["fit_image"] == "resize":
            return (f"Scale an image of another size to {width} x {height} (width x height) first, whatever its "
                    f"proportions, bilinear with antialiasing; scale the mask back by nearest neighbour.")
        return (f"Cut an image of another size into tiles of {width} x {height} (width x height) that are evenly "
                f"spread and share at least {facts['overlap']} pixels with each neighbour; mirror what is smaller at "
                f"its lower and right border. Of two tiles, take the mask up to the middle of what they share.")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        shares = self.to_json(raw, answer, facts)["shares"]
        largest = sorted(shares.items(), key=lambda item: -item[1])[:5]
        return "  ".join(f"{label} {100 * share:.1f} %" for label, share in largest if share)

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        counts = np.zeros(len(facts["labels"]), np.int64)
        for row in answer["mask"]:  # bincount of a whole map would take eight bytes a pixel
            counts += np.bincount(row, minlength=len(counts))
        return {"height": answer["mask"].shape[0], "width": answer["mask"].shape[1],
                "shares": {label: round(float(count / counts.sum()), 6)
                           for label, count in zip(facts["labels"], counts, strict=True)}}

    def files(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, bytes]:
        """The mask, a PNG whose pixels are class numbers in the classes' colours, and an overlay over the image."""
        colors = self._colors(facts)
        mask = Image.fromarray(answer["mask"].astype(np.uint8), "P")
        mask.putpalette(colors.ravel().tolist())
        return {"-mask.png": _png(mask), "-overlay.png": _png(Image.fromarray(overlay(raw["image"], answer["mask"],
                                                                                      colors)))}


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def sides(flag: str, text: str | None) -> tuple[int, int] | None:
    """(height, width) from `HEIGHTxWIDTH`. Raises UserError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found or not all(16 <= int(side) <= 4096 for side in found.groups()):
        raise UserError(f"{flag} {text}: give HEIGHTxWIDTH in pixels, each 16 to 4096, such as 180x240.")
    return int(found[1]), int(found[2])
