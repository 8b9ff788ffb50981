"""Sentences by beam search with a language model, better than the graph's greedy ones; where log-probabilities are to
be had, which a run gives and a shipped file does not."""

from collections.abc import Sequence

import numpy as np

from apps.speech.beam_search import beam_search
from apps.speech.data import symbols_in
from apps.speech.language_model import LanguageModel
from apps.speech.transcripts import ErrorRates
from shared.facts import Facts

ORDERS = {"characters": 6, "words": 3}  # of the language model
ALPHAS, BETAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5), (0.0, 0.5, 1.0, 2.0, 3.0)
WIDTH, TUNING_WIDTH = 50, 16
TUNED_ON = 150  # validation sentences


class Decoder:
    """Facts: `symbols`, `of`, and `sentences`, which the language model learns from; `alpha` and `beta`, its weight
    and the bonus for each symbol, where they were found."""

    def __init__(self, facts: Facts):
        self.facts, kind = facts, facts["of"]
        self.symbols = [*facts["symbols"], ""]  # the last: none
        self.language = LanguageModel([symbols_in(text, kind) for text in facts["sentences"]], ORDERS[kind])

    def text(self, log_probabilities: np.ndarray, alpha: float | None = None, beta: float | None = None,
             width: int = WIDTH) -> str:
        """The best sentence of one clip's `[frames, symbols + 1]`."""
        alpha = self.facts["alpha"] if alpha is None else alpha
        beta = self.facts["beta"] if beta is None else beta
        language = self.language.log_probability if alpha else None
        best = beam_search(log_probabilities, self.symbols, len(self.symbols) - 1, language, alpha, beta, width)[0]
        return (" " if self.facts["of"] == "words" else "").join(map(str, best.symbols))

    def tuned(self, clips: Sequence[tuple[np.ndarray, str]]) -> dict[str, float]:
        """The `alpha` with the fewest word errors, and then the `beta`.

        Args:
            clips: log-probabilities and truth of each.
        """
        def errors(alpha: float, beta: float) -> float:
            rates = ErrorRates()
            for given, truth in clips:
                rates.add(truth, self.text(given, alpha, beta, TUNING_WIDTH))
            return rates.metrics()["word_error_rate"]
        alpha = min(ALPHAS, key=lambda alpha: errors(alpha, 0.0))
        return {"alpha": alpha, "beta": min(BETAS, key=lambda beta: errors(alpha, beta))}
