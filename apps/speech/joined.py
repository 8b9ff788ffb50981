"""Strings of words made from clips of single ones: sentences whose truth is known."""

from collections.abc import Iterator, Sequence

import numpy as np

FEWEST, MOST = 3, 7  # words of a string
GAP = 0.05, 0.4  # seconds between two words
FLOOR = -3, -2  # power of ten of the noise under a string

Clip = tuple[np.ndarray, str, str]


def strings(clips: Sequence[Clip], rate: int, count: int, random: np.random.Generator) -> Iterator[Clip]:
    """Words of one speaker with random gaps between them, over a floor of white noise.

    Args:
        clips: samples from -1 to 1, word, speaker.
        rate: samples a second.
        count: how many strings.
        random: where choices come from.

    Returns:
        Samples (float32, from -1 to 1), the words, the speaker; `count` times.
    """
    speakers = sorted({speaker for _, _, speaker in clips})
    own = {name: [(samples, word) for samples, word, speaker in clips if speaker == name] for name in speakers}
    for _ in range(count):
        speaker = speakers[random.integers(len(speakers))]
        chosen = [own[speaker][i] for i in random.integers(len(own[speaker]), size=random.integers(FEWEST, MOST + 1))]
        gaps = [np.zeros(int(rate * random.uniform(*GAP)), np.float32) for _ in range(len(chosen) + 1)]
        whole = np.concatenate([part for gap, (samples, _) in zip(gaps, chosen, strict=False)
                                for part in (gap, samples)] + gaps[-1:])
        whole += random.normal(size=len(whole)).astype(np.float32) * 10 ** random.uniform(*FLOOR)
        yield whole.clip(-1, 1), " ".join(word for _, word in chosen), speaker
