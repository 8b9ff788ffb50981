"""Batches for `fit`: order and augmentation are functions of (seed, epoch, index), so a run can go on at any step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from shared.data.dataset import Split
from shared.data.stateless import keys
from shared.model import Model

MEMORY_LIMIT = 4 << 30  # bytes of preprocessed inputs that `--cache auto` keeps in memory
GROUP = 50  # batches whose examples are sorted by length together: enough to be alike, few enough to stay shuffled


def _tensors(columns: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(column) for name, column in columns.items()}


class Feed:
    """A `tf.data` pipeline of whole batches: gather, then augment, one function a batch.

    Args:
        model: whose `preprocess`, `target`, `weight` and `augment` are used.
        split: training examples.
        batch_size: examples a step; the last short batch of an epoch is left out (another one every epoch).
        seed: of order and augmentation.
        cache: `auto`, `memory`, `disk` or `none`: where preprocessed inputs are kept.
        folder: where a disk cache goes.
        advance: told how many examples were preprocessed since last time.
    """

    def __init__(self, model: Model, split: Split, batch_size: int, seed: int, cache: str, folder: Any,
                 advance: Callable[[int], None] = lambda examples: None):
        self.model, self.split, self.seed = model, split, seed
        self.batch = min(batch_size, len(split))
        self.steps = len(split) // self.batch
        self.offset = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.order = tf.Variable(np.arange(len(split)), dtype=tf.int64, trainable=False)
        self.cache = self._choose(cache)
        self.lengths: np.ndarray | None = None
        self.store = None if self.cache == "none" else self._fill(folder, advance)

    def _choose(self, cache: str) -> str:
        if cache != "auto":
            return cache
        kept = self._kept(_tensors(self.split.take(np.arange(1))))
        size = sum(len(self.split) * leaf.dtype.size * int(np.prod(leaf.shape)) for leaf in tf.nest.flatten(kept))
        return "memory" if size <= MEMORY_LIMIT else "disk"

    def _raw(self, columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: columns[name] for name in self.model.inputs}

    def _kept(self, columns: dict[str, tf.Tensor]) -> Any:
        """What stays the same every epoch: a prepared batch, or the columns where they are augmented."""
        return columns if self.model.augments_raw else self._prepare(columns)

    def _prepare(self, columns: dict[str, tf.Tensor]) -> tuple[Any, ...]:
        """Network inputs, targets and (where there are any) weights of a batch."""
        weight = self.model.weight(columns)
        made = (self.model.preprocess(self._raw(columns)), self.model.target(columns))
        return made if weight is None else (*made, weight)

    def _fill(self, folder: Any, advance: Callable[[int], None]) -> Any:
        """Reads (and mostly preprocesses) every example once, into arrays of the same structure as a batch."""
        keep, store = tf.function(self._kept, reduce_retracing=True), None
        for indices, columns in self.split.batches(self.split.gathered(1024)):
            made = tf.nest.map_structure(lambda leaf: leaf.numpy(), keep(_tensors(columns)))
            if store is None:
                store = tf.nest.map_structure(lambda leaf: self._room(folder, leaf), made)
                self.spec = tf.nest.map_structure(
                    lambda leaf: tf.TensorSpec([self.batch, *leaf.shape[1:]], leaf.dtype), made)
            for room, leaf in zip(tf.nest.flatten(store), tf.nest.flatten(made), strict=True):
                room[indices[0]:indices[-1] + 1] = leaf
            lengths = None if self.model.augments_raw else self.model.lengths(made[0])
            if lengths is not None:
                if self.lengths is None:
                    self.lengths = np.zeros(len(self.split), np.int32)
                self.lengths[indices] = lengths
            advance(len(indices))
        return tf.nest.map_structure(tf.constant, store) if self.cache == "memory" else store

    def _room(self, folder: Any, leaf: np.ndarray) -> np.ndarray:
        shape = (len(self.split), *leaf.shape[1:])
        if self.cache == "memory":
            return np.empty(shape, leaf.dtype)
        folder.mkdir(parents=True, exist_ok=True)
        self.rooms = getattr(self, "rooms", 0) + 1
        return np.lib.format.open_memmap(folder / f"{self.rooms}.npy", "w+", leaf.dtype, shape)

    def begin(self, epoch: int, skip: int) -> None:
        """Makes the next pass the one of `epoch`, without its first `skip` steps."""
        self.epoch.assign(epoch)
        self.offset.assign(skip)
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.split))
        self.order.assign(order if self.lengths is None else alike(order, self.lengths, self.batch, random))

    def dataset(self) -> tf.data.Dataset:
        """(inputs, targets[, weights]) by batch; always a whole epoch's length, since Keras reads it once."""
        # XLA fuses the many small operations of augmentation; gathering stays outside of it.
        augment = tf.function(self._augment, jit_compile=True)
        augment_raw = tf.function(self.model.augment_raw, jit_compile=True)

        def batch(step: tf.Tensor) -> tuple[Any, ...]:
            start = ((step + self.offset) % self.steps) * self.batch
            indices = tf.ensure_shape(self.order[start:start + self.batch], [self.batch])
            key, kept = keys(self.seed, self.epoch, indices), self._cut(self._gather(indices), indices)
            made = self._prepare(augment_raw(kept, key)) if self.model.augments_raw else kept
            return augment(made, key)

        options = tf.data.Options()
        options.autotune.enabled = False  # an epoch's end would wait for its thread, up to a minute
        batches = tf.data.Dataset.range(self.steps).map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)
        return batches.with_options(options)

    def _cut(self, kept: Any, indices: tf.Tensor) -> Any:
        """A batch without the padding that is common to all its examples, up to one of few lengths."""
        if self.lengths is None:
            return kept
        full = int(tf.nest.flatten(kept[0])[0].shape[1])
        longest = tf.reduce_max(tf.gather(self.lengths, indices))
        steps = tf.constant(few_lengths(full))
        most = tf.reduce_min(tf.where(steps >= longest, steps, full))
        return tf.nest.map_structure(
            lambda leaf: leaf[:, :most] if leaf.shape.rank > 1 and leaf.shape[1] == full else leaf, kept)

    def _augment(self, made: tuple[Any, ...], key: tf.Tensor) -> tuple[Any, ...]:
        inputs, targets, weights = self.model.augment(made[0], made[1], made[2] if len(made) == 3 else None, key)
        return (inputs, targets) if weights is None else (inputs, targets, weights)

    def _gather(self, indices: tf.Tensor) -> Any:
        if self.cache == "memory":
            return tf.nest.map_structure(lambda leaf: tf.gather(leaf, indices), self.store)
        if self.cache == "disk":
            leaves = tf.nest.flatten(self.spec)
            read = tf.numpy_function(lambda i: [np.asarray(leaf[i]) for leaf in tf.nest.flatten(self.store)],
                                     [indices], [leaf.dtype for leaf in leaves])
            shaped = [tf.ensure_shape(array, leaf.shape) for array, leaf in zip(read, leaves, strict=True)]
            return tf.nest.pack_sequence_as(self.spec, shaped)
        example = self.split.take(np.arange(self.batch))
        names = list(example)
        read = tf.numpy_function(lambda i: [self.split.take(i)[name] for name in names], [indices],
                                 [tf.as_dtype(example[name].dtype) for name in names])
        columns = {name: tf.ensure_shape(array, [self.batch, *example[name].shape[1:]])
                   for name, array in zip(names, read, strict=True)}
        return self._kept(columns)


def alike(order: np.ndarray, lengths: np.ndarray, batch: int, random: np.random.Generator) -> np.ndarray:
    """Another order in which batches hold examples of like length, themselves in random order.

    What is left over at the end of `order` stays there.
    """
    whole = len(order) // batch * batch
    groups = [order[start:min(start + GROUP * batch, whole)] for start in range(0, whole, GROUP * batch)]
    batches = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups]).reshape(-1, batch)
    return np.concatenate([random.permutation(batches).ravel(), order[whole:]])


def few_lengths(full: int) -> list[int]:
    """Some dozen lengths up to `full`, each about a quarter more than the one before: XLA compiles for every shape."""
    found = [full]
    while found[-1] > 16:
        found.append(int(found[-1] / 1.25) // 8 * 8)
    return sorted(found)
