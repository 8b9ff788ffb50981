"""Sentences of several networks as one: of those that its members hear, the one that all together find likeliest.
Their frames cannot be averaged: each network puts a symbol where it is sure of it, no two at the same frame. No
TensorFlow."""

import numpy as np

from shared.app import Answer, Averaging
from shared.errors import UserError
from shared.facts import Facts

SAME = ("symbols", "of", "rate", "hop")  # facts without which a symbol or its frame would not mean the same


def averaging_sentences(facts: list[Facts]) -> Averaging:
    """`averaged`, for `App.averaging`. Raises UserError where the artifacts' symbols or frames differ in meaning."""
    if any(own.get(name) != facts[0].get(name) for own in facts for name in SAME):
        raise UserError("the artifacts differ in the symbols of their sentences, in --rate or in --hop.")
    return averaged


def averaged(answers: list[Answer]) -> Answer:
    """The answer of an ensemble: the sentence whose log-probability is highest in the mean over its members; of
    several members that hear it, as that one heard it to which it is likeliest.

    Args:
        answers: of each member, what a run gives: `symbols`, `frames`, `confidences` and `count`, and
            `log_probabilities` `[frames, symbols + 1]`, the last of "no symbol".

    Returns:
        A member's answer without its `log_probabilities`: by beam search they would be heard alone.

    Raises:
        UserError: an answer has no log-probabilities, as those of exported files and those that are joined.
    """
    if not all("log_probabilities" in answer for answer in answers):
        raise UserError("only runs give log-probabilities of each frame, and only of clips that they take in one "
                        "window; name runs, and data without longer clips.")
    heard = [tuple(answer["symbols"][:int(answer["count"])].tolist()) for answer in answers]
    likely = {said: [log_likelihood(answer["log_probabilities"], said) for answer in answers] for said in set(heard)}
    best = max(heard, key=lambda said: np.mean(likely[said]))  # of two as likely, the earlier member's
    first = max((number for number, said in enumerate(heard) if said == best), key=lambda number: likely[best][number])
    return {name: value for name, value in answers[first].items() if name != "log_probabilities"}


def log_likelihood(log_probabilities: np.ndarray, symbols: tuple[int, ...]) -> float:
    """log p(symbols | frames), summed over all alignments: the forward variable of CTC (Graves et al. 2006,
    https://doi.org/10.1145/1143844.1143891).

    Args:
        log_probabilities: of one clip, `[t, symbols + 1]`, the last of "no symbol".
        symbols: columns.

    Returns:
        -inf where they do not fit the frames.

    Example:
        >>> both = np.log([[0.5, 0.5], [0.5, 0.5]])  # "a", or nothing; two frames
        >>> round(np.exp(log_likelihood(both, (0,))), 3), round(np.exp(log_likelihood(both, ())), 3)
        (0.75, 0.25)
    """
    none = log_probabilities.shape[1] - 1
    states = np.full(2 * len(symbols) + 1, none)
    states[1::2] = symbols
    # From a symbol to the next without silence between, unless they are the same and would be one.
    skips = np.append([False, False], (states[2:] != none) & (states[2:] != states[:-2]))[:len(states)]
    ends = np.full(len(states), -np.inf)
    ends[0] = 0  # before the first frame
    for frame in log_probabilities.astype(np.float64):
        one, two = (np.append(np.full(step, -np.inf), ends)[:len(ends)] for step in (1, 2))
        ends = np.logaddexp(np.logaddexp(ends, one), np.where(skips, two, -np.inf)) + frame[states]
    return float(np.logaddexp.reduce(ends[-2:]))
