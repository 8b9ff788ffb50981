"""Where images and their masks come from: the nuclei sample, a TFDS set, or folders `images` and `masks`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.dataset import Dataset, Split
from shared.data.images import EXTENSIONS
from shared.data.masks import VOID, Pair, Pairs, Reading, SegmentationData, read_classes, read_pairs
from shared.data.splits import SPLITS
from shared.data.stored import Stored
from shared.data.tfds import open_tfds
from shared.errors import UserError
from shared.facts import Facts
from shared.settings import DataSettings

MASK = "segmentation_mask"  # of TFDS sets
TFDS_NAMES = {"oxford_iiit_pet": {1: "pet", 2: "background", 3: "border"}}
SHOWN = 20  # classes in a sentence


def load(settings: DataSettings, facts: Facts | None = None) -> SegmentationData:
    """The data that `settings.data` names, in the terms of `facts` (labels, channels, void, …) where given.

    Raises:
        UserError: no such data, images and masks that do not belong together, or masks that cannot be understood.
    """
    if settings.data == "sample":
        return sample(facts)
    reading = _reading(settings.data, settings, facts)
    if settings.data.startswith("tfds:"):
        return load_tfds(settings.data.removeprefix("tfds:"), settings.data_dir, reading)
    return load_folder(Path(settings.data), reading)


def sample(facts: Facts | None = None) -> SegmentationData:
    """112 fluorescence images of nuclei, each nucleus numbered: 80 to train, 16 to validate, 16 to test; CC0."""
    reading = Reading("sample", {0: "background", 1: "nucleus"}, None, set(), True, 0.0, facts)
    dataset = load_folder(Path(__file__).parent / "sample", reading)
    dataset.name, dataset.public = "sample", True
    for split in dataset.splits.values():  # reports of it are shipped: no folder of this machine
        split.meta["file"] = [Path(file).name for file in split.meta["file"]]
    return dataset


def _reading(source: str, settings: Any, facts: Facts | None) -> Reading:
    def asked(name: str, default: Any) -> Any:
        own = getattr(settings, name, default)
        return facts.get(name, own) if facts else own
    void = asked("void", VOID)
    return Reading(source, None, None, {*(void if isinstance(void, Sequence) else [void])} - {None, VOID},
                   bool(asked("objects", False)), settings.max_bad, facts)


# Folders

def load_folder(top: Path, reading: Reading) -> SegmentationData:
    """`images` and `masks` (or `labels`) below `top`, or below its `train`, `validation` (`val`), `test`; or list
    files of that name with the stems of each split. `classes.txt` or `label_colors.txt` name the classes."""
    if not top.is_dir():
        raise UserError(f"There is no folder {top}: --data takes sample, tfds:NAME or a folder with images/ and "
                        f"masks/.")
    lists = [path for path in (top / "classes.txt", top / "label_colors.txt") if path.is_file()]
    if lists:
        names, reading.colors = read_classes(lists[0])
        reading.names = dict(enumerate(names))
    parts = {SPLITS[name]: path for name, path in _folders(top).items() if name in SPLITS}
    notes: list[str] = []
    if "train" in parts or (parts and "images" not in _folders(top)):
        return read_pairs({name: list(_pair(path).values()) for name, path in parts.items()}, reading, notes)
    found = _pair(top)
    orders = {SPLITS[path.stem]: path for path in sorted(top.glob("*.txt")) if path.stem in SPLITS}
    pairs = {name: _listed(path, found) for name, path in orders.items()} or {"train": list(found.values())}
    if left := len(found) - len({image for part in pairs.values() for image, _ in part}):
        notes.append(f"{left} image(s) stand in no list and are left out.")
    return read_pairs(pairs, reading, notes)


def _folders(top: Path) -> dict[str, Path]:
    return {path.name.lower(): path for path in sorted(top.iterdir()) if path.is_dir()}


def _pair(top: Path) -> dict[str, Pair]:
    """Images with their masks by stem."""
    folders = _folders(top)
    images, masks = folders.get("images"), folders.get("masks", folders.get("labels"))
    if not images or not masks:
        raise UserError(f"{top} has no folder {'masks/ or labels/' if images else 'images/'}: put each image into "
                        f"images/ and its mask, under the same name, into masks/.")
    pictures, truths = _files(images), _files(masks)
    if not pictures:
        raise UserError(f"{images} has no PNG, JPEG, BMP or WebP images.")
    for (has, here), (lacks, there), what in (((pictures, images), (truths, masks), ("image", "mask")),
                                              ((truths, masks), (pictures, images), ("mask", "image"))):
        if alone := [path.name for stem, path in has.items() if stem not in lacks]:
            raise UserError(f"{len(alone)} {what[0]}(s) in {here} have no {what[1]} of the same name in {there} "
                            f"({', '.join(alone[:3])}{', …' if len(alone) > 3 else ''}): add what is missing, or take "
                            f"them out.")
    return {stem: (path, truths[stem]) for stem, path in pictures.items()}


def _files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."):
            if path.stem in found:
                raise UserError(f"{found[path.stem]} and {path} have the same stem: keep one of them.")
            found[path.stem] = path
    return found


def _listed(path: Path, found: dict[str, Pair]) -> list[Pair]:
    try:
        stems = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: write the stem of one image a line.") from error
    if missing := [stem for stem in stems if stem not in found]:
        raise UserError(f"{path} names {missing[0]}, which is no image in {path.parent / 'images'} ({len(missing)} "
                        f"such line(s)): write file names without folder and ending, one a line.")
    return [found[stem] for stem in stems]


# TFDS

def load_tfds(name: str, data_dir: str | None, reading: Reading) -> SegmentationData:
    """A set with the features `image` and `segmentation_mask`; its files stay encoded in memory."""
    def fits(builder: Any) -> None:
        import tensorflow_datasets as tfds
        features = builder.info.features
        for key in ("image", MASK):
            given = features[key] if isinstance(features, tfds.features.FeaturesDict) and key in features else None
            if not isinstance(given, tfds.features.Image) or given.np_dtype not in (np.uint8, np.uint16):
                raise UserError(f"tfds:{name} has no feature {key} that is an image: choose a set for segmentation, "
                                f"as tfds:oxford_iiit_pet.")

    builder = open_tfds(name, data_dir, fits)
    import tensorflow_datasets as tfds
    encoded = {key: tfds.decode.SkipDecoding() for key in ("image", MASK)}
    pairs: Pairs = {}
    for given in (given for given in builder.info.splits if given in SPLITS):
        rows = builder.as_dataset(split=given, decoders=encoded).as_numpy_iterator()
        pairs[SPLITS[given]] = [(Stored(f"tfds:{name} {given} {at}", row["image"]),
                                 Stored(f"tfds:{name} {given} {at} (mask)", row[MASK])) for at, row in enumerate(rows)]
    names = getattr(builder.info.features[MASK], "names", None)
    reading.names = dict(enumerate(names)) if names else TFDS_NAMES.get(builder.name)
    dataset = read_pairs(pairs, reading, [], shift=True)
    dataset.public = True
    return dataset


# What a person should know

def class_shares(split: Split, labels: Sequence[str], name: str = "train") -> str:
    """A sentence with the share of each class, and of void, in the pixels of a split's masks."""
    counts = np.asarray(split.columns["counts"][np.arange(len(split))]).sum(0)
    total = sum(height * width for height, width in split.meta["size"])
    shares = [(label, count / total) for label, count in zip(labels, counts, strict=True)]
    shown = shares
    if len(shares) > SHOWN:
        shown = sorted(shares, key=lambda share: -share[1])[:SHOWN]
        shown.append((f"{len(shares) - SHOWN} others", 1 - sum(share for _, share in shown) - _void(counts, total)))
    if counts.sum() < total:
        shown = [*shown, ("void", _void(counts, total))]
    return f"{name} pixels: " + ", ".join(f"{label} {share:.1%}".replace("%", " %") for label, share in shown) + "."


def _void(counts: np.ndarray, total: int) -> float:
    return 1 - counts.sum() / total


def absent(dataset: Dataset) -> list[str]:
    """Notes on classes that have no pixel in a split."""
    notes = []
    for name, split in dataset.splits.items():
        counts = np.asarray(split.columns["counts"][np.arange(len(split))]).sum(0)
        missing = [label for label, count in zip(dataset.labels, counts, strict=True) if not count]
        if missing:
            end = ("never to be answered." if name == "train" else
                   f"{'its' if len(missing) == 1 else 'their'} IoU is left out there.")
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            notes.append(f"No {name} pixels of {', '.join(missing[:SHOWN])}{more}: {end}")
    return notes
