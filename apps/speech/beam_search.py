"""What a CTC network's log-probabilities say, by beam search with or without a language model; plain NumPy."""

import math
from collections.abc import Callable, Hashable, Sequence
from heapq import nlargest
from typing import NamedTuple

import numpy as np

from apps.speech.language_model import END

NEVER = -math.inf


class Hypothesis(NamedTuple):
    """A sequence of symbols and its score, natural logarithms."""

    symbols: tuple[Hashable, ...]
    score: float


def beam_search(log_probabilities: np.ndarray, symbols: Sequence[Hashable], blank: int,
                language: Callable[[tuple[Hashable, ...], Hashable], float] | None = None, alpha: float = 0.5,
                beta: float = 0.0, width: int = 50, threshold: float = 10.0) -> list[Hypothesis]:
    """The best sequences of symbols, by CTC prefix beam search.

    A sequence's score is log p(sequence | frames), the sum over all its alignments, + `alpha` log p(sequence, end) by
    the language model + `beta` times its length. As far as width and threshold prune nothing, scores are exact.

    Args:
        log_probabilities: natural logarithms, floats `[frames, symbols]`; -inf for what cannot be.
        symbols: what the columns mean, as the language model knows them: characters, or whole words; no two the same.
            What stands at `blank` is never looked at.
        blank: the blank's column.
        language: log p(symbol | all symbols before it), asked for `END` too: `LanguageModel.log_probability`.
        alpha: weight of the language model.
        beta: a bonus for each symbol; a language model favours short sequences, and this makes up for it.
        width: how many sequences are followed.
        threshold: in a frame, symbols whose log-probability is this much or more below the best one's are not tried.

    Returns:
        At most `width` hypotheses, the best first; of no frames, the empty sequence.

    Raises:
        ValueError: the array does not fit the symbols; or a frame holds NaN, or nothing that can be.

    Reference:
        Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent
        DNNs" (arXiv 1408.2873), algorithm 1; Graves et al. 2006 for CTC.

    Example:
        >>> frames = np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
        >>> beam_search(frames, ["", "a", "b"], blank=0)[0].symbols
        ('a', 'a')
    """
    if log_probabilities.ndim != 2 or log_probabilities.shape[1] != len(symbols):
        raise ValueError(f"Log-probabilities {list(log_probabilities.shape)} do not fit {len(symbols)} symbols.")
    highest = log_probabilities.max(axis=1)
    if not np.isfinite(highest).all():
        raise ValueError("A frame's log-probabilities hold NaN or infinity, or none that can be.")

    def scored(sequence: tuple[Hashable, ...], symbol: Hashable) -> float:
        return alpha * language(sequence, symbol) if language else 0.0

    # Of each sequence: log p of the alignments that end in a blank, of those that end in its last symbol, and what
    # language model and bonus add.
    beam: dict[tuple[Hashable, ...], list[float]] = {(): [0.0, NEVER, 0.0]}
    for frame, least in zip(log_probabilities, highest - threshold, strict=True):
        tried = [(symbols[column], float(frame[column])) for column in np.flatnonzero(frame > least).tolist()
                 if column != blank]
        silence = float(frame[blank])
        longer: dict[tuple[Hashable, ...], list[float]] = {}
        for sequence, (after_blank, after_symbol, extra) in beam.items():
            after_any = log_sum(after_blank, after_symbol)
            same = longer.setdefault(sequence, [NEVER, NEVER, extra])
            same[0] = after_any + silence
            for symbol, probability in tried:
                before = after_any
                if sequence and symbol == sequence[-1]:  # with no blank between, they are one
                    same[1] = log_sum(same[1], after_symbol + probability)
                    before = after_blank
                extended = (*sequence, symbol)
                other = longer.get(extended)
                if other is None:
                    other = longer[extended] = [NEVER, NEVER, extra + scored(sequence, symbol) + beta]
                other[1] = log_sum(other[1], before + probability)
        beam = dict(nlargest(width, longer.items(), key=lambda item: log_sum(item[1][0], item[1][1]) + item[1][2]))
    found = [Hypothesis(sequence, log_sum(after_blank, after_symbol) + extra + scored(sequence, END))
             for sequence, (after_blank, after_symbol, extra) in beam.items()]
    return sorted((one for one in found if one.score > NEVER), key=lambda one: -one.score)


def log_sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b)); for two numbers many times as fast as NumPy's."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))
