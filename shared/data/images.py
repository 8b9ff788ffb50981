"""Image files as arrays of one size: read safely, whatever their format, size and colour."""

import contextlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.data.dataset import Dataset, Decoded, Split, Varied
from shared.data.splits import SPLITS
from shared.data.stored import Source, Stored
from shared.errors import UserError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
MOST_PIXELS = 64_000_000  # a small file can claim a picture that fills the memory
LARGEST_SIDE = 224
ORIENTATION = 0x0112  # of EXIF: how the camera was held
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_90}


def fit_pixels(pixels: np.ndarray | Image.Image, height: int | None, width: int | None, channels: int) -> np.ndarray:
    """An image brought to uint8 `[height, width, channels]`, its own size where that is None.

    Colour becomes grey by ITU-R 601 luma, transparency white, 16 bits 8; size changes by antialiased bilinear
    resampling of the whole image, its proportions with it.
    """
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels) if isinstance(
        pixels, np.ndarray) else pixels
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        wide = np.asarray(image, np.float32)
        deep = image.mode.startswith("I;16") or wide.max(initial=0) > 255
        image = Image.fromarray((wide / (257.0 if deep else 1.0)).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    image = image.convert("L" if channels == 1 else "RGB")
    height, width = height or image.height, width or image.width
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def open_image(path: Source, most_pixels: int = MOST_PIXELS, still: bool = False) -> Image.Image:
    """A decoded image, turned as its EXIF says.

    Args:
        path: the file, or its bytes, whose EXIF is then not obeyed.
        most_pixels: above which it is refused undecoded.
        still: refuse an animated file; otherwise its first frame is given.

    Raises:
        UserError: the file is no sound image, too large, or animated.
    """
    try:
        content = path.content if isinstance(path, Stored) else Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the name.") from error
    if Image.MAX_IMAGE_PIXELS and most_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most_pixels  # Pillow's own limit would bite first
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > most_pixels:
            raise Image.DecompressionBombError(f"{image.width} x {image.height}")
        frames = getattr(image, "n_frames", 1)
        image.load()
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} claims too many pixels ({error}): reduce it to at most {most_pixels // 10**6} "
                        f"million.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise UserError(f"{path} is no readable PNG, JPEG, BMP or WebP image (truncated, or another format): "
                        f"replace it or take it out.") from error
    if still and frames > 1:
        raise UserError(f"{path} is animated ({frames} frames): save the one that is meant as a file of its own.")
    if isinstance(path, Stored):
        return image
    with contextlib.suppress(Exception):  # odd EXIF of any kind: the image then stands as it is stored
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        return image if turn is None else image.transpose(turn)
    return image


def read_image(path: str | os.PathLike, height: int, width: int, channels: int) -> np.ndarray:
    """An image file as uint8 `[height, width, channels]` (see `fit_pixels`). Raises UserError."""
    return fit_pixels(open_image(path), height, width, channels)


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colour to speak of, whatever its mode."""
    if image.mode in ("RGB", "P"):
        small = np.asarray(image.convert("RGB").resize((16, 16)), np.int16)
        return bool(np.ptp(small, axis=-1).max() <= 2)
    return image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F"))


def common_size(sizes: Sequence[tuple[int, int]], most: int = LARGEST_SIDE) -> tuple[int, int]:
    """The (height, width) that at least half of the images share; else a square of their median side; no side is
    longer than `most`."""
    usual, count = Counter(map(tuple, sizes)).most_common(1)[0]
    if 2 * count >= len(sizes) and max(usual) <= most:
        return int(usual[0]), int(usual[1])
    side = float(np.median([min(size) for size in sizes]))
    side = int(min(max(8 * round(side / 8), 16), most))
    return side, side


class Files(Decoded):
    """Image files decoded a batch at a time, several at once."""

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(lambda i: self.decode(self.items[i]), indices)))


class VariedFiles(Varied):
    """Image files of any size, decoded when asked for, several at once."""

    def __getitem__(self, indices: np.ndarray) -> Any:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda i: self.decode(self.items[i]), indices))


def load_image_folders(folder: str | os.PathLike, size: tuple[int, int] | None, channels: int | None,
                       max_bad: float, labels: list[str] | None = None) -> Dataset:
    """One folder a class, below `train`, `validation` (or `val`) and `test` where there are such.

    Args:
        folder: the top.
        size: height and width to which images are brought; see `common_size` where None.
        channels: 1 or 3; 1 where None and all of a sample of images are grey.
        max_bad: share of unreadable files above which it stops.
        labels: class names in the order a trained model knows; alphabetical where None.

    Raises:
        UserError: no such folder, no images, one class, classes a model does not know, or too many bad files.
    """
    top = Path(folder)
    if not top.is_dir():
        raise UserError(f"There is no folder {top}: --data takes sample, tfds:NAME or a folder of class folders.")
    parts = {SPLITS[path.name.lower()]: path for path in sorted(top.iterdir())
             if path.is_dir() and path.name.lower() in SPLITS}
    parts = parts if "train" in parts else {"train": top}
    found = {name: _classes(path) for name, path in parts.items()}
    classes = sorted({label for files in found.values() for label in files})
    total = sum(len(files) for part in found.values() for files in part.values())
    if not total:
        raise UserError(f"{top} has no class folders with PNG, JPEG, BMP or WebP images.")
    if labels is None:
        if len(classes) < 2:
            raise UserError(f"{top} has one class only ({classes[0]}): put each class into a folder of its own.")
        labels = classes
    elif unknown := sorted(set(classes) - set(labels)):
        place = next(path for name, path in parts.items() if unknown[0] in found[name]) / unknown[0]
        raise UserError(f"{place} is a class that the model does not know; it knows {', '.join(labels)}.")

    paths = {name: [(path, labels.index(label)) for label in sorted(part) for path in part[label]]
             for name, part in found.items()}
    bad, facts = _look(sorted({path for rows in paths.values() for path, _ in rows}))
    if bad and len(bad) > max_bad * total:
        raise UserError(f"{len(bad)} of {total} images in {top} cannot be read, the first {bad[0]}: mend or remove "
                        f"them, or allow more by --max-bad.")
    if not facts:
        raise UserError(f"None of the {total} images in {top} can be read, the first {bad[0]}.")
    notes = [f"{len(bad)} unreadable image(s) left out, the first {bad[0]}."] if bad else []
    if size is None:
        size = common_size([fact[0] for fact in facts.values()])
        notes.append(f"Images are brought to {size[1]} x {size[0]} pixels (width x height).")
    channels = channels or (1 if all(fact[1] for fact in facts.values()) else 3)
    height, width = size
    splits = {}
    for name, rows in paths.items():
        rows = [row for row in rows if row[0] in facts]
        splits[name] = Split(
            {"image": Files([path for path, _ in rows], lambda path: read_image(path, height, width, channels)),
             "label": np.array([number for _, number in rows], np.int64)}, {"file": [str(path) for path, _ in rows]})
    return Dataset(str(folder), splits, labels, notes)


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Image files by class folder; a file called an image counts, whatever is in it."""
    found = {path.name: sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
             for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    return {label: files for label, files in found.items() if files}


def _look(paths: list[Path]) -> tuple[list[Path], dict[Path, tuple[tuple[int, int], bool]]]:
    """(bad files, (size, is grey) of the good ones), every file decoded once."""
    def one(path: Path) -> tuple[tuple[int, int], bool] | None:
        try:
            image = open_image(path)
        except UserError:
            return None
        return (image.height, image.width), is_grey(image)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        facts = dict(zip(paths, pool.map(one, paths), strict=True))
    return [path for path, fact in facts.items() if fact is None], {p: f for p, f in facts.items() if f is not None}
