"""U-Net's weight map, which forces a network to learn the narrow gaps between touching objects."""

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, label

REACH = 4  # standard deviations beyond which the weight is nothing


def gap_weights(objects: np.ndarray, strength: float, sigma: float) -> np.ndarray:
    """Weights float32 `[h, w]`: 1 everywhere, up to 1 + `strength` on background between two near objects.

    Args:
        objects: integers `[h, w]`, 0 background, else the object's number.
        strength: w0 of Ronneberger et al. 2015, equation 2 (10 there).
        sigma: of the same equation, in pixels (5 there).
    """
    nearest = np.full(objects.shape, np.inf, np.float32)
    second = nearest.copy()
    margin = int(np.ceil(REACH * sigma))
    for number, box in enumerate(find_objects(objects), 1):
        if box is None:
            continue
        near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        distance = distance_transform_edt(objects[near] != number).astype(np.float32)
        second[near] = np.minimum(second[near], np.maximum(nearest[near], distance))
        nearest[near] = np.minimum(nearest[near], distance)
    gap = strength * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(objects == 0, 1 + gap, 1).astype(np.float32)


def components(mask: np.ndarray, void: int) -> np.ndarray:
    """Objects of a class mask: connected pixels (4 neighbours) of a class above 0; int32 `[h, w]`."""
    found, total = np.zeros(mask.shape, np.int32), 0
    for number in np.unique(mask[(mask > 0) & (mask != void)]):
        parts, count = label(mask == number)
        found += np.where(parts > 0, parts + total, 0).astype(np.int32)
        total += count
    return found
