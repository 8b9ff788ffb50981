"""Clips heard chunk by chunk through the signature `stream` of a file; no TensorFlow."""

from collections.abc import Callable

import numpy as np

from shared.app import Answer, Raw
from shared.signature import Tensor


def by_chunks(stream: Callable[[Raw], Answer], inputs: dict[str, Tensor],
              silence: int) -> Callable[[Raw], Answer]:
    """A function from clips, as `serving_default` takes them, to their answers after the last chunk.

    Args:
        stream: the signature.
        inputs: its tensors.
        silence: samples of it that are heard behind each clip, and then what is lacking of a chunk.
    """
    chunk, size = (inputs[name].shape[0] or 0 for name in ("samples", "state"))

    def one(samples: np.ndarray) -> Answer:
        chunks = np.zeros((max(1, -(-(len(samples) + silence) // chunk)), 1, chunk), np.float32)
        chunks.reshape(-1)[:len(samples)] = samples
        answer: Answer = {"state": np.zeros((1, size), np.float32)}
        for part in chunks:
            answer = stream({"samples": part, "state": answer["state"]})
        return {name: values for name, values in answer.items() if name != "state"}

    def answer(raw: Raw) -> Answer:
        rows = [one(samples[:length]) for samples, length in zip(raw["samples"], raw["length"], strict=True)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return answer
