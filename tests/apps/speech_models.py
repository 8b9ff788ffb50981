"""Small models of random weights, for tests of networks and of what is around them."""

import keras
import numpy as np

from apps.speech import data
from apps.speech.app import Settings, Speech
from shared.data.dataset import Ragged, Split
from shared.data.text_bytes import to_bytes

RATE = 8000
SMALL = {"rate": RATE, "filters": 8, "depth": 1, "mels": 16, "window": 0.025, "hop": 0.01}


def clips(count=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(rng.normal(size=rng.integers(2000, 5000)) * 3000).astype(np.int16) for _ in range(count)]
    return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))


def built(sentences=False, **options):
    """A model of random weights and the clips that it knows."""
    samples = clips()
    columns = {"samples": samples, "length": np.diff(samples.offsets).astype(np.int32)}
    if sentences:
        columns["text"] = to_bytes(["ab a", "b", "abba", "a b a", "aa", ""])
        train = data.Dataset("made", {"train": Split(columns)})
    else:
        columns["label"] = np.arange(6) % 3
        train = data.Dataset("made", {"train": Split(columns)}, ["x", "y", "z"])
    settings = Settings(**{**SMALL, **options})
    facts = Speech().learn_facts(settings, train.splits["train"], train)
    keras.utils.set_random_seed(0)
    model = Speech().build(settings, facts)
    network = model.network()
    rng = np.random.default_rng(1)
    for variable in network.weights:
        if variable.dtype != "float32":
            continue
        drawn = rng.normal(size=variable.shape) * 0.3
        variable.assign(np.abs(drawn) + 0.5 if "variance" in variable.name else drawn)
    return model, network, train
