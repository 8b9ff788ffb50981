"""An n-gram language model of characters or words, from transcripts; plain Python."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

START, END = "\x02", "\x03"  # of a sentence: Unicode's own characters for it, which no transcript holds
CACHED = 1 << 18  # answers that are kept
FALLBACK = (0.5, 1.0, 1.5)  # discounts where counts of counts give none (KenLM's choice too)

Symbol = Hashable
Context = tuple[Symbol, ...]


class LanguageModel:
    """Interpolated modified Kneser-Ney smoothing.

    The longest n-grams, and those at the start of a sentence, are counted as they occur; shorter ones by how many
    different symbols stand before them. Of each count a discount is kept back, and shared out as the next shorter
    n-grams say; below single symbols stands the same probability for each known symbol, the end, and everything
    unknown. Each length of n-grams has three discounts, for the counts 1, 2, and 3 or more.

    Args:
        sentences: each a sequence of symbols; a string is a sequence of characters, `text.split()` one of words.
        order: the length of the longest n-grams: 1 knows how frequent symbols are, 2 also which one stood before.

    Raises:
        ValueError: the order is below 1, or there is no sentence.

    Reference:
        Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", Computer Speech and
        Language 13(4), "modified Kneser-Ney".

    Example:
        >>> model = LanguageModel(["one two", "one three"], order=4)
        >>> model.log_probability(tuple("one "), "t") > model.log_probability(tuple("one "), "o")
        True
    """

    def __init__(self, sentences: Iterable[Sequence[Symbol]], order: int = 5):
        if order < 1:
            raise ValueError(f"A language model's order is at least 1, not {order}.")
        self.order = order
        counts = continued(occurrences(sentences, order))
        if not counts:
            raise ValueError("A language model needs at least one sentence.")
        self.alphabet: frozenset[Symbol] = frozenset(counts[()])  # every known symbol, and END
        discount = discounts(counts)
        self._shares: dict[Context, tuple[dict[Symbol, float], float]] = {}
        for context, seen in counts.items():
            total = sum(seen.values())
            left = {symbol: count - discount[len(context)][min(count, 3) - 1] for symbol, count in seen.items()}
            self._shares[context] = ({symbol: count / total for symbol, count in left.items()},
                                     1 - sum(left.values()) / total)
        self._cached = lru_cache(CACHED)(lambda context, symbol: math.log(self._probability(context, symbol)))

    def log_probability(self, context: Context, symbol: Symbol) -> float:
        """The natural logarithm of the probability that `symbol` follows.

        Over `alphabet` and one unknown symbol the probabilities sum to 1.

        Args:
            context: all symbols of the sentence so far, or at least the last `order` of them.
            symbol: the next one, or `END`.
        """
        if len(context) < self.order:
            context = (START, *context)
        return self._cached(context[max(len(context) - self.order + 1, 0):], symbol)

    def sentence(self, symbols: Sequence[Symbol]) -> float:
        """The natural logarithm of a whole sentence's probability, its end counted."""
        said = (*symbols, END)
        return sum(self.log_probability(said[:place], symbol) for place, symbol in enumerate(said))

    def _probability(self, context: Context, symbol: Symbol) -> float:
        lower = self._probability(context[1:], symbol) if context else 1 / (len(self.alphabet) + 1)
        if context not in self._shares:
            return lower
        shares, kept_back = self._shares[context]
        return shares.get(symbol, 0.0) + kept_back * lower


def occurrences(sentences: Iterable[Sequence[Symbol]], order: int) -> dict[Context, Counter[Symbol]]:
    """How often each symbol follows each context, of n-grams that are `order` long or start a sentence."""
    counts: dict[Context, Counter[Symbol]] = {}
    for sentence in sentences:
        symbols = (START, *sentence, END)
        for place in range(1, len(symbols)):
            context = symbols[max(0, place - order + 1):place]
            counts.setdefault(context, Counter())[symbols[place]] += 1
    return counts


def continued(counts: dict[Context, Counter[Symbol]]) -> dict[Context, Counter[Symbol]]:
    """`counts` with those of shorter n-grams: how many different symbols stand before each."""
    for length in range(max(map(len, counts), default=0), 0, -1):
        for context in [context for context in counts if len(context) == length]:
            shorter = counts.setdefault(context[1:], Counter())
            shorter.update(counts[context].keys())
    return counts


def discounts(counts: dict[Context, Counter[Symbol]]) -> dict[int, tuple[float, ...]]:
    """By length of the context, for the counts 1, 2, and 3 or more: Chen and Goodman's estimates, where there are any
    that keep something back."""
    of_counts: dict[int, Counter[int]] = {}
    for context, seen in counts.items():
        of_counts.setdefault(len(context), Counter()).update(seen.values())
    found: dict[int, tuple[float, ...]] = {}
    for length, number in of_counts.items():
        found[length] = FALLBACK
        if all(number[count] for count in (1, 2, 3, 4)):
            share = number[1] / (number[1] + 2 * number[2])
            estimates = tuple(count - (count + 1) * share * number[count + 1] / number[count] for count in (1, 2, 3))
            if min(estimates) > 0:
                found[length] = estimates
    return found
