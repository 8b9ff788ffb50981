"""Runs of tokens against a dictionary of them."""

import keras
import numpy as np
import pytest

from shared.layers.ngrams import Ngrams


def test_each_run_has_one_id_wherever_it_stands_and_hardly_any_share_one():
    rng, buckets, longest = np.random.default_rng(0), 1 << 22, 4
    number = {(a, b): int(rng.integers(1, buckets + 1)) for a in range(30) for b in range(30)}
    ids, places = {}, 0
    sentences = [rng.integers(0, 30, rng.integers(0, 12)) for _ in range(400)]
    pairs = np.zeros((400, 12), np.int32)
    for row, words in enumerate(sentences):
        pairs[row, :max(0, len(words) - 1)] = [number[pair] for pair in zip(words, words[1:], strict=False)]
    made = Ngrams(longest, buckets)(pairs).numpy().reshape(400, longest - 1, 12)
    for row, words in enumerate(sentences):
        for size in range(2, longest + 1):
            for place in range(12):
                run = tuple(words[place:place + size])
                assert (made[row, size - 2, place] > 0) == (len(run) == size)
                if len(run) == size:
                    places += 1
                    assert ids.setdefault(run, made[row, size - 2, place]) == made[row, size - 2, place]
    assert places > len(ids) > 2000
    assert made.max() <= buckets
    assert len(ids) - len(set(ids.values())) <= 10  # by chance about one


def test_ids_stay_positive_at_the_largest_size():
    made = Ngrams(5, 1 << 22)(np.full((1, 6), 1 << 22, np.int32)).numpy()
    assert (made[made != 0] > 0).all() and (made <= 1 << 22).all()


def test_shapes_and_configuration():
    layer = Ngrams(4, 100)
    assert layer(keras.Input([None], dtype="int32")).shape == (None, None)
    assert layer(keras.Input([7], dtype="int32")).shape == (None, 21)
    assert keras.layers.deserialize(keras.layers.serialize(layer)).get_config() == layer.get_config()
    for longest, buckets in ((1, 9), (3, 0), (3, (1 << 22) + 1)):
        with pytest.raises(ValueError, match="at least 2"):
            Ngrams(longest, buckets)
