"""Feed: order and augmentation are functions of (seed, epoch, index), whatever the cache and wherever one begins."""

import numpy as np
import pytest
import tensorflow as tf

from apps.mnist.app import Mnist, Settings
from apps.mnist.model import ImageClassifier
from shared.data.dataset import Dataset, Split
from shared.model import Model
from shared.signature import Tensor
from shared.training.feed import Feed, alike, few_lengths

COUNT, SIDE, BATCH, STEPS = 30, 12, 8, 3
APP = Mnist()


def examples(identical=False):
    """Image i has the value 8 i everywhere but in one corner, so a batch tells which examples it holds."""
    values = np.full(COUNT, 96) if identical else np.arange(COUNT) * 8
    images = np.repeat(values, SIDE * SIDE).reshape(COUNT, SIDE, SIDE, 1).astype(np.uint8)
    images[:, 2:5, 3:9] = 255
    return Split({"image": images, "label": np.arange(COUNT) % 3 * (np.arange(COUNT) % 2)})


def model(split, **changes):
    settings = Settings(**{"augment": "none", **changes})
    return APP.build(settings, APP.learn_facts(settings, split, Dataset("made", {"train": split}, ["a", "b", "c"])))


def feed(folder, cache="memory", seed=0, split=None, batch=BATCH, **changes):
    split = split or examples()
    return Feed(model(split, **changes), split, batch, seed, cache, folder)


def epoch(made, number=0, skip=0):
    """The batches of an epoch from step `skip` on, each a list of arrays."""
    made.begin(number, skip)
    return [list(tf.nest.map_structure(lambda part: part.numpy(), batch))
            for batch in made.dataset().take(made.steps - skip)]


def indices(made, batches):
    facts = made.model.facts
    pixels = np.concatenate([batch[0] for batch in batches])[:, 0, 0, 0] * facts["std"] + facts["mean"]
    return np.rint(pixels * 255 / 8).astype(int).tolist()


def assert_equal(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        for a, b in zip(batch, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nothing_tunes_itself_since_an_epochs_end_would_wait_for_it(tmp_path):
    assert feed(tmp_path).dataset().options().autotune.enabled is False


def test_an_epoch_is_whole_batches_and_takes_no_example_twice(tmp_path):
    made = feed(tmp_path)
    for number in range(3):
        batches = epoch(made, number)
        assert [len(batch[0]) for batch in batches] == [BATCH] * STEPS
        assert len(set(indices(made, batches))) == BATCH * STEPS


def test_another_short_batch_is_left_out_every_epoch(tmp_path):
    made = feed(tmp_path)
    left = [frozenset(range(COUNT)) - set(indices(made, epoch(made, number))) for number in range(4)]
    assert all(len(out) == COUNT - BATCH * STEPS for out in left) and len(set(left)) > 1


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path):
    made, again, other = feed(tmp_path), feed(tmp_path, cache="none"), feed(tmp_path, seed=1)
    order = indices(made, epoch(made, 2))
    epoch(again, 5), epoch(again, 0)
    assert indices(again, epoch(again, 2)) == order
    assert indices(made, epoch(made, 3)) != order
    assert indices(other, epoch(other, 2)) != order
    assert order != sorted(order)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_beginning_within_an_epoch_gives_the_rest_bit_for_bit(tmp_path, cache):
    made = feed(tmp_path / "a", cache, augment="standard")
    whole = epoch(made, 4)
    for skip in range(1, STEPS):
        assert_equal(epoch(made, 4, skip), whole[skip:])
    fresh = feed(tmp_path / "b", cache, augment="standard")
    assert_equal(epoch(fresh, 4, 1), whole[1:])


def test_caches_give_equal_batches(tmp_path):
    made = {cache: feed(tmp_path / cache, cache, augment="standard", class_weights="balanced", erase=0.5)
            for cache in ("memory", "disk", "none")}
    assert {cache: each.cache for cache, each in made.items()} == {cache: cache for cache in made}
    for number in range(2):
        memory, disk, none = (epoch(each, number) for each in made.values())
        assert len(memory[0]) == 3
        assert_equal(memory, disk)
        assert_equal(memory, none)


def test_a_small_set_is_cached_in_memory_by_itself(tmp_path, monkeypatch):
    assert feed(tmp_path, "auto").cache == "memory"
    monkeypatch.setattr("shared.training.feed.MEMORY_LIMIT", COUNT * SIDE * SIDE * 4 - 1)
    assert feed(tmp_path, "auto").cache == "disk"


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_batches_are_preprocessed_examples_and_their_targets(tmp_path, cache):
    split = examples()
    made = feed(tmp_path, cache, class_weights="balanced")
    images, labels = split.columns["image"] / 255, split.columns["label"]
    batches = epoch(made, 1)
    rows = indices(made, batches)
    inputs, targets, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_allclose(inputs, ((images - images.mean()) / images.std())[rows], atol=1e-5)
    np.testing.assert_array_equal(targets, np.eye(3)[labels[rows]])
    np.testing.assert_allclose(weights, (COUNT / 3 / np.bincount(labels))[labels[rows]], rtol=1e-5)


def test_fewer_examples_than_a_batch_make_one_batch(tmp_path):
    made = feed(tmp_path, batch=1000)
    assert (made.batch, made.steps) == (COUNT, 1)
    assert sorted(indices(made, epoch(made))) == list(range(COUNT))


def test_augmentation_differs_between_examples_and_epochs(tmp_path):
    made = feed(tmp_path, split=examples(identical=True), augment="standard")
    first, second, again = (np.concatenate([batch[0] for batch in epoch(made, number)]) for number in (0, 1, 0))
    assert len(np.unique(first, axis=0)) == len(first)
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 2 * len(first)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_columns_are_augmented_afresh_every_epoch_by_seed_epoch_and_index(tmp_path, cache):
    class Brighter(ImageClassifier):
        augments_raw = True

        def augment_raw(self, columns, keys):
            return {**columns, "image": columns["image"] + tf.cast(keys % 7, tf.uint8)[:, None, None, None]}

    from shared.data.stateless import keys
    split = examples()
    plain = model(split)
    made = Feed(Brighter(plain.settings, plain.facts), split, BATCH, 5, cache, tmp_path)
    assert made.cache == cache
    order = Feed(plain, split, BATCH, 5, "memory", tmp_path)
    for number in range(2):
        rows = indices(order, epoch(order, number))
        moved = split.columns["image"][rows] + (keys(5, number, np.array(rows)).numpy() % 7).astype(
            np.uint8)[:, None, None, None]
        want = (moved / 255 - plain.facts["mean"]) / plain.facts["std"]
        np.testing.assert_allclose(np.concatenate([batch[0] for batch in epoch(made, number)]), want, atol=1e-5)


class Sequences(Model):
    """Rows of whole numbers padded with 0; the targets are as long as the inputs, the weights are not."""

    inputs = {"row": Tensor((64,), "int32")}

    def preprocess(self, raw):
        return {"row": raw["row"], "twice": 2 * raw["row"]}

    def lengths(self, inputs):
        return (inputs["row"] != 0).sum(1)

    def target(self, columns):
        return columns["row"] + 1

    def weight(self, columns):
        return tf.cast(columns["row"][:, :3], tf.float32)

    network = postprocess = losses = None


Sequences.__abstractmethods__ = frozenset()


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_batches_of_sequences_are_alike_in_length_and_cut(tmp_path, cache):
    random = np.random.default_rng(0)
    lengths = random.integers(3, 61, 400)
    rows = np.where(np.arange(64) < lengths[:, None], np.arange(1, 401)[:, None], 0).astype(np.int32)
    made = Feed(Sequences(None, None), Split({"row": rows}), 8, 0, cache, tmp_path)
    seen, given, needed = [], 0, 0
    for inputs, targets, weights in epoch(made, 1):
        batch = inputs["row"][:, 0] - 1
        np.testing.assert_array_equal(inputs["row"], rows[batch][:, :inputs["row"].shape[1]])
        np.testing.assert_array_equal(inputs["twice"], 2 * inputs["row"])
        np.testing.assert_array_equal(targets, inputs["row"] + 1)
        assert weights.shape == (8, 3) and inputs["row"].shape[1] in few_lengths(64)
        assert lengths[batch].max() <= inputs["row"].shape[1] <= max(16, 1.5 * lengths[batch].max() + 8)
        seen += batch.tolist()
        given, needed = given + inputs["row"].size, needed + lengths[batch].sum()
    assert sorted(seen) == list(range(400)) and given < 1.25 * needed < 400 * 64
    whole, rest, other = ([batch[0]["row"][:, 0] for batch in epoch(made, *which)] for which in ((1,), (1, 3), (2,)))
    assert_equal([whole[3:]], [rest])
    assert (np.concatenate(whole) != np.concatenate(other)).any()


def test_orders_that_are_alike_in_length_stay_orders():
    order, lengths = np.random.default_rng(1).permutation(1003), np.random.default_rng(2).integers(1, 9, 1003)
    other = alike(order, lengths, 4, np.random.default_rng(3))
    assert sorted(other) == list(range(1003)) and other[-3:].tolist() == order[-3:].tolist()


@pytest.mark.parametrize("full", [1, 7, 16, 17, 1024])
def test_the_lengths_end_with_the_full_one(full):
    assert few_lengths(full)[-1] == full and len(few_lengths(full)) < 25 and min(few_lengths(full)) > 0
