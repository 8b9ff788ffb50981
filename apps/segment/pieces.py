"""Images of any size through a network of one size, and the answers back: resized whole, or as overlapping tiles."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from shared.app import Answer

Size = tuple[int, int]


def resized(pixels: np.ndarray, size: Size) -> np.ndarray:
    """An image, uint8 `[h, w, channels]`, at another size, antialiased."""
    if pixels.shape[:2] == size:
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)).reshape(*size, pixels.shape[-1])


def resized_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """Labels or other values `[h, w]` at another size, each the nearest one (of pixel centres)."""
    height, width = labels.shape
    rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * width // (2 * size[1])
    return labels if (height, width) == size else labels[rows[:, None], columns]


def grown(pixels: np.ndarray, size: Size) -> np.ndarray:
    """The array, `[h, w, …]`, with its border mirrored below and to the right where it is smaller than `size`."""
    missing = [(0, max(0, want - have)) for want, have in zip(size, pixels.shape, strict=False)]
    if not any(map(any, missing)):
        return pixels
    return np.pad(pixels, missing + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side: evenly spread, at least `overlap` shared by neighbours."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(number * (length - tile) / (count - 1)) for number in range(count)]


def tiles(pixels: np.ndarray, tile: Size, overlap: int) -> Iterator[np.ndarray]:
    """Tiles of an image `[h, w, channels]`, row by row."""
    pixels = grown(pixels, tile)
    for top in starts(pixels.shape[0], tile[0], overlap):
        for left in starts(pixels.shape[1], tile[1], overlap):
            yield pixels[top:top + tile[0], left:left + tile[1]]


def from_tiles(size: Size, answers: Iterator[Answer], tile: Size, overlap: int) -> Answer:
    """The answer to an image from those to its tiles, in the order of `tiles`; holds one row of tiles at a time.

    Where the answers carry `probabilities` `[h, w, classes]`, neighbours are blended, each weighed by the distance
    from its own border; else each pixel comes from the tile whose centre is nearest (Ronneberger et al. 2015).

    Args:
        size: height and width of the image.
        answers: `mask` and `confidence` of each tile.
        tile: height and width of a tile.
        overlap: as for `tiles`.
    """
    height, width = (max(have, want) for have, want in zip(size, tile, strict=True))
    mask, confidence = np.empty((height, width), np.uint8), np.empty((height, width), np.float16)
    tops, lefts = starts(height, tile[0], overlap), starts(width, tile[1], overlap)
    weight = np.minimum.outer(_hat(tile[0]), _hat(tile[1]))[..., None]
    rows, columns = _borders(tops, tile[0], height), _borders(lefts, tile[1], width)
    sums: np.ndarray | None = None
    for number, top in enumerate(tops):
        below = tops[number + 1] if number + 1 < len(tops) else height
        for left, (first, last) in zip(lefts, columns, strict=True):
            answer = next(answers)
            if "probabilities" in answer:
                if sums is None:
                    sums = np.zeros((tile[0], width, answer["probabilities"].shape[-1] + 1), np.float32)
                sums[:, left:left + tile[1], :-1] += weight * answer["probabilities"]
                sums[:, left:left + tile[1], -1:] += weight
                continue
            own = slice(*rows[number]), slice(first, last)
            part = slice(rows[number][0] - top, rows[number][1] - top), slice(first - left, last - left)
            mask[own], confidence[own] = answer["mask"][part], answer["confidence"][part]
        if sums is not None:  # what the next row of tiles does not touch is done
            done = below - top if below < height else tile[0]
            blended = sums[:done, :, :-1] / sums[:done, :, -1:]
            mask[top:top + done] = blended.argmax(-1)
            confidence[top:top + done] = np.take_along_axis(blended, mask[top:top + done, :, None], -1)[..., 0]
            sums = np.concatenate([sums[done:], np.zeros_like(sums[:done])])
    return {"mask": mask[:size[0], :size[1]], "confidence": confidence[:size[0], :size[1]]}


def _hat(length: int) -> np.ndarray:
    """Weights that rise from the border to the middle, never 0."""
    at = np.arange(length) + 0.5
    return np.minimum(at, length - at).astype(np.float32) / length


def _borders(begins: list[int], tile: int, length: int) -> list[tuple[int, int]]:
    """The stretch that each tile answers for: up to the middle of what it shares with its neighbours."""
    between = [(first + tile + second) // 2 for first, second in zip(begins, begins[1:], strict=False)]
    return list(zip([0, *between], [*between, length], strict=True))
