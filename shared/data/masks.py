"""Images with masks, for semantic segmentation: masks as class numbers, class lists, pairs of files as splits."""

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.data.dataset import Column, Dataset, Split, Varied
from shared.data.images import VariedFiles, fit_pixels, is_grey, open_image
from shared.data.stored import Source
from shared.errors import UserError
from shared.facts import Facts

VOID = 255  # stands for pixels that count nowhere
MOST_CLASSES = 255
VOID_NAMES = frozenset({"void", "unlabeled", "unlabelled", "ignore"})
IN_MEMORY = 1 << 30  # bytes up to which decoded arrays are kept
MANY = 50  # nameless classes that rather number objects
HOW = "write classes.txt beside the images' folder, one class a line as R G B NAME (128 64 128 road)"

Color = tuple[int, int, int]
Pair = tuple[Source, Source]  # image, mask
Pairs = dict[str, list[Pair]]  # by split


@dataclass
class SegmentationData(Dataset):
    """A data set whose splits have the columns

    - `image`: `Varied`, rows uint8 `[h, w, channels]`;
    - `mask`: `Varied`, rows uint8 `[h, w]`, 0 to classes - 1, 255 void;
    - `objects`, where masks number objects: `Varied`, rows uint16 `[h, w]`, 0 background;
    - `counts`: int64 `[n, classes]`, pixels of each class, void left out;

    and the meta `file` and `size` (height, width).

    Args:
        channels: of all images, 1 or 3.
        colors: red, green, blue of each label, where the data give them.
        void: values that mean void in the files, besides 255.
        objects: whether masks number objects of one class.
        binary: whether 255 in the files is class 1.
    """

    channels: int = 3
    colors: list[list[int]] | None = None
    void: list[int] = field(default_factory=list)
    objects: bool = False
    binary: bool = False


@dataclass
class Reading:
    """How masks are read: what `settings` or `facts` ask for, and what stands beside the data.

    Args:
        source: for messages.
        names: class names by value in the files, where the data bring them.
        colors: values by colour, for masks in colours.
        void: values that count nowhere.
        objects: values number objects of one class.
        max_bad: share of unreadable pairs above which it stops.
        facts: of a trained model.
        least: the smallest class value.
    """

    source: str
    names: dict[int, str] | None
    colors: Mapping[Color, int] | None
    void: set[int]
    objects: bool
    max_bad: float
    facts: Facts | None
    least: int = 0


@dataclass
class Look:
    """One pair, decoded once: the size of both, values of the mask and their pixels; arrays where there was room."""

    size: tuple[int, int]
    grey: bool
    present: dict[int, int]
    image: np.ndarray | None
    values: np.ndarray | None


def read_classes(path: str | os.PathLike) -> tuple[list[str], dict[Color, int] | None]:
    """(names by number, number by colour) from a list, one class a line: `NAME`, or `R G B NAME` with spaces, tabs
    or commas between; None where no line has a colour.

    Raises:
        UserError: no list that can be read, names or colours doubled, or lines with and without colour.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: write one class a line.") from error
    names: list[str] = []
    colors: dict[Color, int] = {}
    for line in filter(None, lines):
        match = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)", line)
        if match:
            red, green, blue = map(int, match.groups()[:3])
            if max(red, green, blue) > 255:
                raise UserError(f"{path} has a colour above 255 in '{line}': give red, green and blue from 0 to 255.")
            if (red, green, blue) in colors:
                raise UserError(f"{path} has the colour {red} {green} {blue} twice: give each class its own.")
            colors[red, green, blue] = len(names)
        names.append(match[4] if match else line)
    if not 1 <= len(names) <= MOST_CLASSES:
        raise UserError(f"{path} has {len(names)} classes: list 1 to {MOST_CLASSES}, one a line.")
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path} has {doubled[0]} more than once: give each class its own name.")
    if colors and len(colors) < len(names):
        bare = next(name for number, name in enumerate(names) if number not in colors.values())
        raise UserError(f"{path} gives '{bare}' without a colour and others with one: write all as R G B NAME.")
    return names, colors or None


def mask_values(image: Image.Image, name: object, colors: Mapping[Color, int] | None = None) -> np.ndarray:
    """What a mask says of each pixel: uint8 `[h, w]`, or uint16 where the file has 16 bits.

    Palette files give their indices, files of one bit 0 and 1, coloured ones the number that `colors` gives.

    Args:
        image: the opened mask.
        name: of the file, for messages.
        colors: number by colour.

    Raises:
        UserError: transparent pixels, a colour without number, or a format that blurs numbers.
    """
    if image.format == "JPEG":
        raise UserError(f"{name} is a JPEG, which blurs class numbers: save masks as PNG.")
    if image.mode in ("LA", "PA", "RGBA"):
        if np.asarray(image.getchannel("A")).min() < 255:
            raise UserError(f"{name} has transparent pixels, which are of no class: save the mask without an alpha "
                            f"channel.")
        image = image.convert("RGB") if image.mode == "RGBA" else image.getchannel(0)
    if image.mode in ("1", "L", "P"):
        return np.asarray(image).astype(np.uint8)
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode != "RGB":
        raise UserError(f"{name} is no mask (mode {image.mode}): save class numbers as an 8-bit PNG.")
    if not colors:
        raise UserError(f"{name} is a colour (RGB) mask, and no list says which colour is which class: {HOW}, or save "
                        f"class numbers.")
    known = np.array(sorted((red << 16 | green << 8 | blue, number) for (red, green, blue), number in colors.items()))
    codes = np.asarray(image, np.int64) @ [1 << 16, 1 << 8, 1]
    places = np.searchsorted(known[:, 0], codes).clip(max=len(known) - 1)
    if (unknown := known[places, 0] != codes).any():
        row, column = np.argwhere(unknown)[0]
        red, green, blue = np.asarray(image)[row, column]
        raise UserError(f"{name} has the colour {red} {green} {blue} (first at row {row}, column {column}), which is "
                        f"no class's: add it to the list of classes, as R G B NAME.")
    return known[places, 1].astype(np.uint8)


def read_pairs(pairs: Pairs, reading: Reading, notes: list[str], shift: bool = False) -> SegmentationData:
    """Splits of images and masks, all decoded once to see what they hold.

    Args:
        pairs: image and mask by split.
        reading: how.
        notes: what is known already.
        shift: where no mask has 0, 1 is the first class.
    """
    facts = reading.facts
    if facts and not reading.names:
        numbers = (number for number in range(MOST_CLASSES) if number not in reading.void)
        reading.colors = reading.colors or {tuple(color): number for color, number in
                                            zip(facts.get("colors") or [], numbers, strict=False)}
    looks = _look(sorted({pair for part in pairs.values() for pair in part}, key=str), reading, notes)
    pairs = {name: [pair for pair in pairs[name] if pair in looks]
             for name in ("train", "validation", "test") if name in pairs}
    present = {name: {value for pair in part for value in looks[pair].present} for name, part in pairs.items()}
    values = set().union(*present.values())
    least = min(values - reading.void - {VOID}, default=0)
    if shift and not reading.objects and 0 not in (reading.names or {}) and least == 1:
        reading.least = 1
        notes.append("Masks count classes from 1: 1 is subtracted.")
    labels, classes, binary = _classes(present.get("train", values), values, reading, notes)
    for (_, mask), look in looks.items():
        if unknown := sorted(set(look.present) - classes.keys() - reading.void - (set() if binary else {VOID})):
            raise UserError(f"{mask} has the value {unknown[0]}, which is none of the {len(labels)} classes "
                            f"{_few(labels)}: mend the mask, name the class in classes.txt, or leave the value out by "
                            f"--void {unknown[0]}.")
    table = np.full(1 << 16, VOID, np.uint8)
    table[list(classes)] = list(classes.values())

    channels = _channels(looks, facts, notes)
    splits = {}
    seen = np.zeros(len(labels), np.int64)
    for name, part in pairs.items():
        counts = np.zeros((len(part), len(labels)), np.int64)
        for row, pair in zip(counts, part, strict=True):
            for value, pixels in looks[pair].present.items():
                if value in classes:
                    row[classes[value]] += pixels
        if empty := int((counts.sum(1) == 0).sum()):
            notes.append(f"{empty} mask(s) of {name} are void in every pixel and teach nothing.")
        seen += counts.sum(0) if name == "train" else 0
        columns = {**_columns(part, looks, reading, table, channels), "counts": counts}
        splits[name] = Split(columns, {"file": [str(image) for image, _ in part],
                                       "size": [looks[pair].size for pair in part]})
    if not facts and "train" in splits and (seen > 0).sum() < 2:
        raise UserError(f"{reading.source} has fewer than two classes in its training masks: there is nothing to tell "
                        f"apart; label another class too.")
    colors = {number: list(color) for color, value in (reading.colors or {}).items()
              if (number := classes.get(value)) is not None}
    shown = [colors[number] for number in range(len(labels))] if len(colors) == len(labels) else None
    return SegmentationData(reading.source, splits, labels, notes, channels=channels, colors=shown,
                            void=sorted(reading.void), objects=reading.objects, binary=binary)


def _look(pairs: list[Pair], reading: Reading, notes: list[str]) -> dict[Pair, Look]:
    """What is in each sound pair; bad ones are counted. Arrays are kept while there is room for them."""
    if not pairs:
        raise UserError(f"{reading.source} has no pair of image and mask: add some, or fill its lists.")
    room = [IN_MEMORY]

    def one(pair: Pair) -> Look | UserError:
        try:
            image, mask = (open_image(path, still=True) for path in pair)
        except UserError as error:
            return error
        values = mask_values(mask, pair[1], reading.colors)
        if image.size != mask.size:
            raise UserError(f"{pair[1]} is {mask.width} x {mask.height} pixels and its image {pair[0]} {image.width} "
                            f"x {image.height}: a mask must have the size of its image.")
        found, counts = np.unique(values, return_counts=True) if values.dtype != np.uint8 else (
            np.arange(256), np.bincount(values.ravel(), minlength=256))
        present = {int(value): int(count) for value, count in zip(found, counts, strict=True) if count}
        grey = is_grey(image)
        room[0] -= image.width * image.height * ((1 if grey else 3) + values.itemsize * (2 if reading.objects else 1))
        if room[0] < 0:
            return Look(values.shape, grey, present, None, None)
        return Look(values.shape, grey, present, fit_pixels(image, None, None, 1 if grey else 3), values)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = dict(zip(pairs, pool.map(one, pairs), strict=True))
    good = {pair: look for pair, look in looks.items() if isinstance(look, Look)}
    bad = [look for look in looks.values() if isinstance(look, UserError)]
    if not good or len(bad) > reading.max_bad * len(pairs):
        raise UserError(f"{len(bad)} of {len(pairs)} pairs of image and mask in {reading.source} are of no use "
                        f"(--max-bad allows {reading.max_bad:.0%}); the first: {bad[0] if bad else 'none'}")
    if bad:
        notes.append(f"{len(bad)} unreadable pair(s) left out; the first: {bad[0]}")
    if room[0] < 0:
        for look in good.values():
            look.image = look.values = None
    sizes = sorted({look.size for look in good.values()})
    heights, widths = zip(*sizes, strict=True)
    notes.append(f"Images are {widths[0]} x {heights[0]} pixels (width x height)." if len(sizes) == 1 else
                 f"Images differ in size: {min(widths)} to {max(widths)} pixels wide, {min(heights)} to "
                 f"{max(heights)} high.")
    return good


def _classes(train: set[int], values: set[int], reading: Reading,
             notes: list[str]) -> tuple[list[str], dict[int, int], bool]:
    """(labels, class by value in the files, whether 255 is class 1)."""
    facts, void, names = reading.facts, reading.void, reading.names
    known = list(facts["labels"]) if facts else None
    if reading.objects:
        labels = known or (list(names.values()) if names and len(names) == 2 else ["background", "object"])
        return labels, {value: int(value > 0) for value in values - void}, True
    if wide := sorted(value for value in values - void if value > VOID):
        raise UserError(f"{reading.source} has masks with the value {wide[-1]}: classes are 0 to 254 and 255 is void; "
                        f"where values number objects of one class, say --objects true.")
    if names:
        void |= {value for value, name in names.items() if name.lower() in VOID_NAMES}
        names = {value: name for value, name in names.items() if value not in void}
    wanted = known or (list(names.values()) if names else None)
    pure = values <= {0, VOID} and VOID in values and (known or 0 in values) and 0 not in void
    if pure and len(wanted or [0, 1]) == 2 and (not facts or facts.get("binary", True)):
        notes.append("Masks hold 0 and 255 only: 255 is read as class 1.")
        return wanted or ["class 0", "class 1"], {0: 0, 1: 1, VOID: 1}, True
    if names and known:
        if unknown := [name for name in names.values() if name not in known]:
            raise UserError(f"{reading.source} has classes that the model does not know ({_few(unknown)}); it knows "
                            f"{_few(known)}: name them as the model does, or call them void.")
        return known, {value: known.index(name) for value, name in names.items()}, False
    if names:
        return list(names.values()), {value: number for number, value in enumerate(names)}, False
    top = max(train - void - {VOID}, default=0)
    free = [value for value in range(reading.least, MOST_CLASSES) if value not in void]
    free = free[:len(known)] if known else [value for value in free if value <= top]
    if not known and len(free) > MANY:
        notes.append(f"{len(free)} classes without names: where mask values number objects of one class, say "
                     f"--objects true.")
    return known or [f"class {n}" for n in range(len(free))], {value: n for n, value in enumerate(free)}, False


def _channels(looks: Mapping[Pair, Look], facts: Facts | None, notes: list[str]) -> int:
    grey = sum(look.grey for look in looks.values())
    channels = facts["channels"] if facts else 1 if grey == len(looks) else 3
    if 0 < grey < len(looks):
        notes.append(f"{grey} of {len(looks)} images are grey, the others in colour: all are read as "
                     f"{'colour' if channels == 3 else 'grey'}.")
    return channels


def _columns(part: list[Pair], looks: Mapping[Pair, Look], reading: Reading, table: np.ndarray,
             channels: int) -> dict[str, Column]:
    def pixels(image: Any) -> np.ndarray:
        kept = isinstance(image, np.ndarray)
        return image if kept and image.shape[-1] == channels else fit_pixels(
            image if kept else open_image(image, still=True), None, None, channels)

    def values(mask: Any) -> np.ndarray:
        return mask if isinstance(mask, np.ndarray) else mask_values(open_image(mask, still=True), mask,
                                                                     reading.colors)

    def objects(mask: Any) -> np.ndarray:
        numbers = values(mask)
        return np.where(np.isin(numbers, list(reading.void)), 0, numbers).astype(np.uint16)

    def classes(mask: Any) -> np.ndarray:
        return table[values(mask)]

    masks: dict[str, Any] = {"mask": classes, **({"objects": objects} if reading.objects else {})}
    kept = [looks[pair] for pair in part]
    if all(look.values is not None for look in kept):
        return {"image": Varied([pixels(look.image) for look in kept], _same),
                **{name: Varied([make(look.values) for look in kept], _same) for name, make in masks.items()}}
    return {"image": VariedFiles([image for image, _ in part], pixels),
            **{name: VariedFiles([mask for _, mask in part], make) for name, make in masks.items()}}


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
