import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.segment import pieces
from apps.segment.gaps import components, gap_weights


def classify(image, classes=3):
    """A network of one pixel's sight: the class is the grey value."""
    values = image[..., 0].astype(np.int64)
    return {"mask": values.astype(np.int32), "confidence": (values / 10 + 0.3).astype(np.float32)}


def with_probabilities(image, classes=3):
    made = classify(image)
    share = np.full((*image.shape[:2], classes), 0.1, np.float32)
    np.put_along_axis(share, made["mask"][..., None].astype(np.int64), 0.8, -1)
    return {**made, "probabilities": share}


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 15), st.booleans())
def test_tiles_cover_an_image_of_any_size_and_join_to_what_each_pixel_is(height, width, overlap, blended):
    image = np.random.default_rng(height * 100 + width).integers(0, 3, (height, width, 1)).astype(np.uint8)
    parts = list(pieces.tiles(image, (16, 20), overlap))
    assert {part.shape for part in parts} == {(16, 20, 1)}
    answer = (with_probabilities if blended else classify)
    joined = pieces.from_tiles((height, width), map(answer, parts), (16, 20), overlap)
    np.testing.assert_array_equal(joined["mask"], image[..., 0])
    assert joined["confidence"].shape == (height, width)


@given(st.integers(1, 500), st.integers(2, 64), st.integers(0, 63))
def test_neighbouring_tiles_share_at_least_the_overlap(length, tile, overlap):
    overlap = min(overlap, tile - 1)
    begins = pieces.starts(length, tile, overlap)
    assert begins[0] == 0 and begins[-1] + tile >= length
    for first, second in zip(begins, begins[1:], strict=False):
        assert 0 < second - first <= tile - overlap


def test_without_probabilities_a_pixel_comes_from_the_tile_whose_centre_is_nearest():
    parts = list(pieces.tiles(np.zeros((16, 26, 1), np.uint8), (16, 16), 6))
    numbered = ({"mask": np.full((16, 16), i), "confidence": np.zeros((16, 16))} for i in range(len(parts)))
    mask = pieces.from_tiles((16, 26), numbered, (16, 16), 6)["mask"]
    np.testing.assert_array_equal(mask[0], [0] * 13 + [1] * 13)


def test_blending_is_the_mean_of_the_tiles_weighed_by_the_distance_from_their_border():
    random = np.random.default_rng(0)
    size, tile, overlap = (40, 37), (16, 16), 7
    tops, lefts = pieces.starts(size[0], 16, overlap), pieces.starts(size[1], 16, overlap)
    shares = [random.dirichlet([1, 1, 1], (16, 16)).astype(np.float32) for _ in range(len(tops) * len(lefts))]
    total, weight = np.zeros((*size, 3)), np.zeros((*size, 1))
    hat = np.minimum(np.arange(16) + 0.5, 15.5 - np.arange(16))
    hat = np.minimum(hat[:, None], hat[None])[..., None]
    for share, (top, left) in zip(shares, [(a, b) for a in tops for b in lefts], strict=True):
        total[top:top + 16, left:left + 16] += hat * share
        weight[top:top + 16, left:left + 16] += hat
    answers = ({"mask": None, "confidence": None, "probabilities": share} for share in shares)
    joined = pieces.from_tiles(size, answers, tile, overlap)
    want = total / weight
    np.testing.assert_array_equal(joined["mask"], want.argmax(-1))
    np.testing.assert_allclose(joined["confidence"], want.max(-1), atol=1e-3)


def test_joining_holds_one_row_of_tiles():
    import tracemalloc
    tile, count = (64, 64), 40
    answers = ({"mask": None, "confidence": None, "probabilities": np.full((64, 64, 8), 0.125, np.float32)}
               for _ in range(count))
    tracemalloc.start()
    pieces.from_tiles((64 * count, 64), answers, tile, 0)
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < 64 * 64 * count * 3 + 64 * 64 * 8 * 4 * 12


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (12, 9), (31, 41)])
def test_labels_are_resized_to_the_nearest_one(size):
    place = np.arange(12 * 9).reshape(12, 9)
    rows, columns = np.divmod(pieces.resized_labels(place, size), 9)
    for y, x in np.ndindex(size):
        for have, own, at, new in ((12, rows[y, x], y, size[0]), (9, columns[y, x], x, size[1])):
            distances = np.abs((np.arange(have) + 0.5) / have - (at + 0.5) / new)
            assert distances[own] == pytest.approx(distances.min())


def test_gap_weights_are_those_of_the_paper():
    objects = np.zeros((40, 40), np.int32)
    objects[5:20, 5:15], objects[5:20, 18:30], objects[30:35, 2:9] = 1, 2, 7
    got = gap_weights(objects, 10.0, 3.0)
    for y, x in np.ndindex(objects.shape):
        if objects[y, x]:
            assert got[y, x] == 1
            continue
        distances = sorted(min(np.hypot(y - b, x - a) for b, a in np.argwhere(objects == n)) for n in (1, 2, 7))
        want = 1 + 10 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * 3.0**2))
        assert got[y, x] == pytest.approx(want, abs=0.01)
    assert gap_weights(np.zeros((4, 4), np.int32), 10, 3).max() == 1


def test_components_of_each_class_are_objects_and_void_is_none():
    mask = np.array([[1, 0, 2, 2], [1, 0, 1, 255], [0, 0, 1, 255]], np.uint8)
    found = components(mask, 255)
    assert len(np.unique(found)) == 4 and (found[mask == 0] == 0).all() and (found[mask == 255] == 0).all()
    assert found[0, 0] == found[1, 0] != found[1, 2] == found[2, 2] and found[0, 2] == found[0, 3] != found[1, 2]
