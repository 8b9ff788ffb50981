"""The app: its settings, and the parts that need no TensorFlow."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from apps.text import data
from apps.text.report import TextScorer
from shared.app import Answer, Averaging, Raw
from shared.data import plain_tokens
from shared.data.class_weights import class_weights
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.text_bytes import decoded, power_of_two, read_of
from shared.data.word_vectors import coverage, read_vectors
from shared.errors import UserError
from shared.evaluation.classification import averaging_labels, label_json, most_likely
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings, setting, whole_numbers
from shared.signature import Tensor
from shared.text_app import TextApp

LONGEST = 4096  # bytes that are read of a text where nothing is said


@dataclass(kw_only=True)
class Settings(FitSettings):
    data: str = setting("tfds:imdb_reviews", "sample (reviews), tfds:NAME, a table (.csv, .tsv, .jsonl), or a folder: "
                        "train.csv and test.csv, a folder a class, or a file of lines a class", metavar="DATA")
    text_column: Optional[str] = setting(None, "column or feature with the texts [found by its name]", metavar="NAME")
    label_column: Optional[str] = setting(None, "column or feature with the classes [found by its name]",
                                          metavar="NAME")
    model: Literal["cnn", "separable", "char", "attention"] = setting(
        "cnn", "cnn (Kim 2014), separable (long documents), char (noisy text, Chinese), attention (a Transformer "
        "block over convolutions)")
    embeddings: Optional[str] = setting(None, "GloVe or word2vec text file to begin with", metavar="FILE")
    vectors: Literal["tuned", "static", "both"] = setting(
        "tuned", "trained with the rest (Kim's rand and non-static), or --embeddings kept as they are (static), or "
        "both side by side (multichannel)")
    dimension: int = setting(100, "numbers of a word's vector where --embeddings gives none", at_least=2,
                             at_most=1024)
    filters: int = setting(100, "filters of each width", at_least=1, at_most=2048)
    widths: str = setting("3,4,5", "widths of the parallel convolutions, in words", metavar="N,N,...")
    depth: int = setting(4, "stages of separable, each halving the text", advanced=True, at_least=1, at_most=8)
    pairs: int = setting(0, "buckets for runs of neighbouring words, each with a linear vote (0: none)", at_least=0,
                         at_most=1 << 22)
    longest_run: int = setting(2, "words of the longest runs that have a vote among the --pairs: 4 for texts cut into "
                               "characters", at_least=2, at_most=8)
    vocabulary: int = setting(30_000, "most words with an id of their own", at_least=1, at_most=2_000_000)
    min_count: int = setting(2, "how often a word must stand in the training data to have one", advanced=True,
                             at_least=1)
    buckets: int = setting(100, "ids shared by all other words", advanced=True, at_least=1)
    max_bytes: Optional[int] = setting(None, f"bytes that are read of a text, the rest is cut off [what 99.5 % of the "
                                       f"training texts need, at most {LONGEST}]", at_least=16, at_most=65_536)
    dropout: float = setting(0.5, "share of the last features dropped while training", at_least=0, at_most=0.9)
    embedding_dropout: float = setting(0.0, "share of the vectors' numbers dropped while training", at_least=0,
                                       at_most=0.9)
    max_norm: float = setting(3.0, "largest norm of the weights of a class in the last layer (0: any)", advanced=True,
                              at_least=0)
    word_dropout: float = setting(0.0, "augmentation: share of words made unknown", at_least=0, at_most=0.9)
    word_swap: float = setting(0.0, "augmentation: share of words swapped with the next", advanced=True, at_least=0,
                               at_most=0.9)
    crop: float = setting(0.0, "augmentation: largest share of a text left out at one end", advanced=True, at_least=0,
                          at_most=0.9)
    batch_size: int = setting(50, "examples a step", at_least=1)

    def each_width(self) -> list[int]:
        """The widths as numbers. Raises UserError."""
        return whole_numbers("--widths", self.widths, 64, "3,4,5")


class Text(TextApp):
    name = "text"
    summary = "classify sentences and documents of any language: sentiment, topics, questions"
    Settings = Settings
    headline = Headline("accuracy")
    model_class = "apps.text.model:TextClassifier"

    def check(self, settings: Any) -> None:
        settings.each_width()
        super().check(settings)
        if settings.model == "char" and (settings.embeddings or settings.pairs):
            raise UserError("--model char reads characters alone: leave --embeddings and --pairs out.")
        if settings.longest_run > 2 and not settings.pairs:
            raise UserError(f"--longest-run {settings.longest_run} needs --pairs: say how many buckets runs share.")

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return data.load(settings, facts)

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        from shared.layers.utf8_tokens import Utf8Tokens
        column = train.columns["text"]
        assert isinstance(column, Ragged)
        sizes = np.diff(column.offsets)
        longest = settings.max_bytes or min(LONGEST, power_of_two(int(np.percentile(sizes, 99.5))))
        counts: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        most_tokens, most_characters = 1, 1
        for row in range(len(column)):
            text = decoded(column.row(row)[:longest])
            words = plain_tokens.words(text)
            counts.update(words)
            characters.update("".join(words))
            most_tokens, most_characters = max(most_tokens, len(words)), max(most_characters, len(text))
        dimension, vectors = settings.dimension, {}
        if settings.embeddings:
            vectors = read_vectors(Path(settings.embeddings), counts)
            dimension = len(next(iter(vectors.values()), np.zeros(dimension)))
        words = [word for word, count in counts.most_common(settings.vocabulary)
                 if count >= settings.min_count or word in vectors]
        known = [char for char, count in characters.most_common() if count >= settings.min_count]
        tokens = Utf8Tokens(words, settings.buckets, max(1, settings.pairs), longest,
                            min(longest, -(-most_tokens // 8) * 8))
        values: dict[str, Any] = {
            "labels": dataset.labels, "max_bytes": longest, "tokens": tokens.get_config(),
            "characters": "".join(known),
            "max_characters": min(longest, -(-most_characters // 8) * 8), "dimension": dimension,
            "text_column": settings.text_column, "label_column": settings.label_column}
        if settings.embeddings:
            values["coverage"] = coverage(vectors, words, counts)
        if settings.class_weights != "none":
            labels = np.asarray(train.columns["label"][np.arange(len(train))])
            values["class_weights"] = class_weights(labels, len(dataset.labels), settings.class_weights)
        return Facts(values)

    def scorer(self, facts: Facts) -> TextScorer:
        return TextScorer(facts["labels"])

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        end = read_of(raw["text"], facts["max_bytes"])
        row = np.zeros(facts["max_bytes"], np.int32)
        row[:end] = raw["text"][:end]
        return [{"text": row}]

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        """The answer, and how many bytes of the text were not read."""
        whole, answer = read_of(raw["text"], len(raw["text"])), next(answers)
        read, tokens = read_of(raw["text"], facts["max_bytes"]), facts["tokens"]["max_tokens"]
        if read > tokens:  # or there can be no more tokens than fit
            spans = list(plain_tokens.spans(decoded(raw["text"][:read])))
            if len(spans) > tokens:  # the byte is found by halving: U+FFFD stands for one to three broken ones
                read = bisect_right(range(read), spans[tokens][0],
                                    key=lambda size: len(decoded(raw["text"][:size]))) - 1
        return {**answer, "unread": np.array(whole - read)}

    def averaging(self, facts: list[Facts]) -> Averaging:
        return averaging_labels(facts)

    def any_size(self, facts: Facts) -> str:
        return (f"Give the text as UTF-8, one byte a number, filled up with 0; what is behind {facts['max_bytes']} "
                f"bytes, or {facts['tokens']['max_tokens']} words and signs, is not read.")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        cut = f"  (its last {int(answer['unread'])} bytes were not read)" if answer["unread"] else ""
        return most_likely(answer, facts["labels"]) + cut

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        return {**label_json(answer, facts["labels"]), "unread_bytes": int(answer["unread"])}
