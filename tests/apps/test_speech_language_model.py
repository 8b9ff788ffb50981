"""The language model against the textbook's formulas, taken literally, and against what probabilities must be."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.speech.language_model import END, LanguageModel

SMALL = ["abra", "cadabra", "abba", "", "bar"]
SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=8)


def skewed(sentences=150, seed=0):
    """Enough of it that all counts of counts occur, at least for some lengths."""
    generator = random.Random(seed)
    return ["".join(generator.choices("abcdefghijkl", [2 ** -i for i in range(12)], k=generator.randint(0, 9)))
            for _ in range(sentences)]


def commands(count, seed):
    generator = random.Random(seed)
    parts = ["bin lay place set", "blue green red white", "at by in with", "one two three four five", "again now"]
    return [" ".join(generator.choice(part.split()) for part in parts) for _ in range(count)]


class Textbook:
    """Interpolated modified Kneser-Ney by its definitions, each looked up in the list of all n-grams."""

    def __init__(self, sentences, order):
        self.order = order
        texts = [("<", *sentence, END) for sentence in sentences]
        self.grams = [text[i:i + n] for text in texts for n in range(1, order + 1) for i in range(len(text) - n + 1)]
        self.grams = [gram for gram in self.grams if gram != ("<",)]
        self.different = set(self.grams)
        self.known = {gram[0] for gram in self.different if len(gram) == 1}

    def count(self, gram):
        if len(gram) == self.order or gram[0] == "<":
            return self.grams.count(gram)
        return sum(longer[1:] == gram for longer in self.different)

    def discounts(self, length):
        counts = [self.count(gram) for gram in self.different if len(gram) == length]
        n1, n2, n3, n4 = (counts.count(k) for k in (1, 2, 3, 4))
        if n1 and n2 and n3 and n4:
            y = n1 / (n1 + 2 * n2)
            found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
            if min(found) > 0:
                return found
        return 0.5, 1.0, 1.5

    def probability(self, context, symbol):
        lower = self.probability(context[1:], symbol) if context else 1 / (len(self.known) + 1)
        following = [gram for gram in self.different if gram[:-1] == context]
        if not following:
            return lower
        d = (0.0, *self.discounts(len(context) + 1))
        total = sum(self.count(gram) for gram in following)
        gamma = sum(d[min(self.count(gram), 3)] for gram in following) / total
        gram = (*context, symbol)
        own = self.count(gram) if gram in following else 0
        return (own - d[min(own, 3)]) / total + gamma * lower


@pytest.mark.parametrize("sentences", [SMALL, skewed(25), [["one", "two"], ["two", "two", "one"]]])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_the_textbooks(sentences, order):
    model, slow = LanguageModel(sentences, order), Textbook(sentences, order)
    assert model.alphabet == slow.known
    for said in [*sentences[:3], [*sentences[0], "?"]]:
        for place in range(len(said) + 1):
            context = ("<", *said[:place])[-(order - 1):] if order > 1 else ()
            for symbol in [*said[place:place + 1], END, "?"]:
                assert math.exp(model.log_probability(tuple(said[:place]), symbol)) == pytest.approx(
                    slow.probability(context, symbol), rel=1e-9)


def test_the_textbook_is_asked_with_estimated_and_with_given_discounts():
    slow = Textbook(skewed(25), 3)
    assert {slow.discounts(length) == (0.5, 1.0, 1.5) for length in (1, 2, 3)} == {True, False}


def test_two_symbols_by_hand():
    """Of "ab" with order 1: a, b and the end once each, half of it kept back: a quarter for each, and for others."""
    model = LanguageModel(["ab"], order=1)
    assert math.exp(model.log_probability((), "a")) == pytest.approx(0.5 / 3 + 0.5 / 4)
    assert math.exp(model.log_probability((), "z")) == pytest.approx(0.5 / 4)


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.integers(1, 6), st.lists(st.sampled_from("abcdz"), max_size=8))
def test_probabilities_sum_to_one(sentences, order, context):
    model = LanguageModel(sentences, order)
    total = sum(math.exp(model.log_probability(tuple(context), symbol)) for symbol in [*model.alphabet, "unknown"])
    assert total == pytest.approx(1)


def test_probabilities_sum_to_one_with_estimated_discounts():
    model = LanguageModel(skewed(), order=4)
    for context in ("", "a", "aab", "lkj", "abababa"):
        total = sum(math.exp(model.log_probability(tuple(context), symbol)) for symbol in [*model.alphabet, "?"])
        assert total == pytest.approx(1)


def test_context_helps_on_sentences_held_out():
    train, held = commands(200, seed=0), commands(50, seed=1)

    def perplexity(order, cut):
        model, size = LanguageModel(map(cut, train), order), sum(len(cut(text)) + 1 for text in held)
        return math.exp(-sum(model.sentence(cut(text)) for text in held) / size)
    assert perplexity(5, list) < perplexity(2, list) < 0.5 * perplexity(1, list)
    assert perplexity(2, str.split) < 0.3 * perplexity(1, str.split)


def test_a_sentence_is_the_product_of_its_symbols_and_its_end():
    model = LanguageModel(SMALL, order=3)
    steps = [((), "b"), (("b",), "a"), (("b", "a"), "r"), (("b", "a", "r"), END)]
    assert model.sentence("bar") == pytest.approx(sum(model.log_probability(*step) for step in steps))
    assert model.sentence("") == pytest.approx(model.log_probability((), END))


def test_only_the_last_symbols_of_a_context_count():
    model = LanguageModel(skewed(), order=3)
    assert model.log_probability(tuple("fghab"), "c") == model.log_probability(tuple("dddab"), "c")
    assert model.log_probability(tuple("ab"), "c") == model.log_probability(tuple("dddab"), "c")
    assert model.log_probability(tuple("b"), "c") != model.log_probability(tuple("ddb"), "c")  # the start is known


def test_nothing_learnt_and_no_order_are_refused():
    with pytest.raises(ValueError, match="at least one sentence"):
        LanguageModel([])
    with pytest.raises(ValueError, match="at least 1, not 0"):
        LanguageModel(["a"], order=0)
