"""How long an artifact takes for one input."""

import time
from collections.abc import Callable

import numpy as np

from shared.evaluation.predictors import Predictor
from shared.signature import Tensor

ANY = 128  # what stands for a length that a signature leaves open


def noise(tensor: Tensor) -> np.ndarray:
    """A batch of one random input; what the values are does not change the time."""
    shape = [1, *(size or ANY for size in tensor.shape)]
    random = np.random.default_rng(0)
    return (random.random(shape) if tensor.dtype == "float32" else random.integers(0, 2, shape)).astype(tensor.dtype)


def latencies(predictor: Predictor, rounds: int, advance: Callable[[int], None] = lambda calls: None) -> np.ndarray:
    """Milliseconds of `rounds` calls with one input each, sorted; a tenth as many come before to warm up."""
    raw = {name: noise(tensor) for name, tensor in predictor.inputs.items()}
    warm, times = max(1, rounds // 10), []
    for _ in range(warm + rounds):
        begun = time.perf_counter()
        predictor(raw)
        times.append(1000 * (time.perf_counter() - begun))
        advance(1)
    return np.sort(times[warm:])
