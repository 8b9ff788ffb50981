"""The app: its settings, and the parts that need no TensorFlow."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from apps.ner import data
from apps.ner.pieces import pieces
from shared.app import Answer, Raw
from shared.data import plain_tokens
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.text_bytes import characters, decoded, power_of_two
from shared.data.word_vectors import coverage, read_vectors
from shared.evaluation.entities import EntityScorer, answered_entities, surface, true_entities
from shared.evaluation.marked_spans import Span, for_terminal, marked
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings, setting
from shared.signature import Tensor
from shared.text_app import TextApp

MOST_TOKENS = 256  # that are read at once where nothing is said


@dataclass(kw_only=True)
class Settings(FitSettings):
    data: str = setting("tfds:conll2003", "sample (English), sample:zh (Chinese), tfds:NAME, a file or a folder of "
                        "files: CoNLL columns, or JSON lines with text and spans", metavar="DATA")
    tag_column: Optional[str] = setting(None, "number of the column, or name of the feature, that has the tags [found "
                                        "by what stands in it]", metavar="NAME")
    scheme: Optional[str] = setting(None, "how the tags are written: IOB1, IOB2, BIOES, BMES or BILOU [found]",
                                    advanced=True, metavar="NAME")
    as_raw: float = setting(0.0, "share of the training sentences of a corpus with its own tokens that are learned as "
                            "raw text: for files that will be given such", at_least=0, at_most=1)
    model: Literal["idcnn", "cnn", "bilstm"] = setting(
        "idcnn", "idcnn (iterated dilated convolutions, Strubell 2017), cnn (residual convolutions), bilstm (Ma and "
        "Hovy 2016)")
    embeddings: Optional[str] = setting(None, "GloVe or word2vec text file to begin with", metavar="FILE")
    vectors: Literal["tuned", "static"] = setting(
        "tuned", "trained with the rest, or --embeddings kept as they are (static)")
    vector_size: float = setting(0.4, "of a number of --embeddings, by the root of its mean square: large ones move "
                                 "less", advanced=True, at_least=0.001, at_most=10)
    dimension: int = setting(100, "numbers of a word's vector where --embeddings gives none", at_least=2,
                             at_most=1024)
    vocabulary: int = setting(100_000, "most words with an id of their own; --embeddings' most frequent ones fill it "
                              "up", at_least=1, at_most=2_000_000)
    min_count: int = setting(2, "how often a word must stand in the training data to have one", advanced=True,
                             at_least=1)
    buckets: int = setting(200, "ids shared by all other words", advanced=True, at_least=1)
    pairs: int = setting(0, "buckets for pairs of neighbouring tokens, each with a vector (0: none); for texts cut "
                         "into characters", at_least=0, at_most=1 << 22)
    pair_dimension: int = setting(32, "numbers of a pair's vector", advanced=True, at_least=1, at_most=256)
    filters: int = setting(128, "channels of the encoder (of bilstm: in each direction)", at_least=1, at_most=2048)
    depth: int = setting(4, "layers of the encoder; of idcnn: in its block", at_least=1, at_most=32)
    iterations: int = setting(2, "how often idcnn applies its block", at_least=1, at_most=16)
    shape_dimension: int = setting(8, "numbers of a word shape's vector", advanced=True, at_least=1, at_most=256)
    character_dimension: int = setting(28, "numbers of a character's vector", advanced=True, at_least=1, at_most=256)
    character_filters: int = setting(48, "filters over each word's characters (0: none)", at_least=0, at_most=1024)
    max_tokens: Optional[int] = setting(None, f"words and signs that are read at once; longer texts are cut [the "
                                        f"longest training sentence, at most {MOST_TOKENS}]", at_least=2,
                                        at_most=4096)
    dropout: float = setting(0.3, "share of the encoder's numbers dropped while training", at_least=0, at_most=0.9)
    word_vector_dropout: float = setting(0.4, "share of what is known of a word dropped while training", at_least=0,
                                         at_most=0.9)
    character_dropout: float = setting(0.1, "share of the characters' numbers dropped while training", advanced=True,
                                       at_least=0, at_most=0.9)
    word_dropout: float = setting(0.05, "augmentation: share of words made unknown", at_least=0, at_most=0.9)
    constrain: bool = setting(True, "forbid sequences of tags that mean nothing", advanced=True)
    token_loss: float = setting(0.0, "weight of the loss of each tag alone, beside that of the whole sequence",
                                at_least=0)
    batch_size: int = setting(32, "examples a step", at_least=1)
    learning_rate: float = setting(0.002, "step size at its highest", at_least=0)


class Ner(TextApp):
    name = "ner"
    summary = "find names of persons, places, organisations or whatever your data marks, in any language"
    Settings = Settings
    headline = Headline("f1")
    model_class = "apps.ner.model:Tagger"
    refused = {"label_smoothing": "the loss of a CRF has no single targets to smooth.",
               "class_weights": "entities are no classes of examples."}

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return data.load(settings, facts)

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        from shared.layers.utf8_tokens import Utf8Tokens
        column, tags = train.columns["text"], train.columns["tags"]
        assert isinstance(column, Ragged) and isinstance(tags, Ragged)
        counts, letters, longest, known = Counter[str](), Counter[str](), 1, set[int]()
        for row in range(len(column)):
            text = decoded(column.row(row))
            words = plain_tokens.words(text, plain_tokens.SEPARATOR)
            counts.update(words)
            letters.update("".join(words))
            longest = max(longest, len(words))
            plain = column.row(row).tobytes()
            known |= {seen_as(surface(plain, entity), entity.type)
                      for entity in true_entities(plain, tags.row(row), dataset.labels)}
        tokens = settings.max_tokens or min(MOST_TOKENS, -(-longest // 8) * 8)
        widest = int(np.diff(column.offsets).max(initial=1))
        # Room for as many tokens of any script: a Chinese character has three bytes, and a separator may follow.
        room = max(4 * tokens, min(power_of_two(widest), 16 * tokens))
        dimension, vectors = settings.dimension, {}
        if settings.embeddings:
            vectors = read_vectors(Path(settings.embeddings), counts, settings.vocabulary)
            dimension = len(next(iter(vectors.values()), np.zeros(dimension)))
        own = [word for word, count in counts.most_common() if count >= settings.min_count or word in vectors]
        vocabulary = list(dict.fromkeys([*own, *vectors]))[:settings.vocabulary]
        made = Utf8Tokens(vocabulary, settings.buckets, max(1, settings.pairs), room, tokens,
                          separator=ord(plain_tokens.SEPARATOR))
        values: dict[str, Any] = {
            "labels": dataset.labels, "max_bytes": room, "tokens": made.get_config(), "dimension": dimension,
            "characters": "".join(char for char, count in letters.most_common() if count >= settings.min_count),
            "tag_column": settings.tag_column, "scheme": settings.scheme}
        if settings.embeddings:
            values["coverage"] = coverage(vectors, own, counts)
        return Facts(values, {"known": np.array(sorted(known), np.uint64)})

    def scorer(self, facts: Facts) -> EntityScorer:
        return EntityScorer(facts["labels"], Seen(facts["known"]))

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        for piece in self._pieces(raw, facts):
            row = np.zeros(facts["max_bytes"], np.int32)
            row[:len(piece.text)] = piece.text
            yield {"text": row}

    def _pieces(self, raw: Raw, facts: Facts) -> Any:
        end = int(np.flatnonzero(raw["text"]).max(initial=-1)) + 1
        return pieces(raw["text"][:end], facts["max_bytes"], facts["tokens"]["max_tokens"])

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        """All pieces' tokens and spans, without padding, places counted from the text's beginning."""
        parts: list[Answer] = []
        for piece in self._pieces(raw, facts):
            answer = next(answers)
            tokens, spans = (int(np.ravel(answer[name])[0]) for name in ("count", "span_count"))
            parts.append({
                **{name: answer[name][:tokens] for name in ("tags", "lengths", "confidences")},
                **{name: answer[name][:spans] for name in ("span_type", "span_length")},
                "offsets": answer["offsets"][:tokens] + piece.start,
                "span_start": answer["span_start"][:spans] + piece.start})
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {**joined, "count": np.array(len(joined["tags"])), "span_count": np.array(len(joined["span_type"]))}

    def any_size(self, facts: Facts) -> str:
        return (f"Give the text as UTF-8, one byte a number, filled up with 0. One of more than {facts['max_bytes']} "
                f"bytes, or {facts['tokens']['max_tokens']} words and signs, is cut between words, and each part's "
                f"beginning added to its places. A text that brings its own words has U+001F (31) behind each. Tags "
                f"are O and then B, I, E and S (begin, inside, end, single) of each label in turn.")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        text = raw["text"].astype(np.uint8).tobytes()
        spans = [Span(*entity[:3], f"{100 * entity.confidence:.0f} %")
                 for entity in answered_entities(answer, facts["labels"], len(text))]
        return for_terminal(marked(text, spans, facts["labels"]))

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        """The entities with their places in bytes and in characters of the text, ends not included."""
        text = raw["text"].astype(np.uint8).tobytes()
        plain, starts = characters(text)
        rows = []
        for entity in answered_entities(answer, facts["labels"], len(text)):
            start, end = (int(np.searchsorted(starts, place)) for place in entity[:2])
            rows.append({"type": entity.type, "text": plain[start:end], "start": start, "end": end,
                         "start_byte": entity.start, "end_byte": entity.end,
                         "confidence": round(entity.confidence, 6)})
        return {"entities": rows}


def seen_as(text: str, of_type: str) -> int:
    """An entity as a number."""
    return int.from_bytes(hashlib.blake2b(f"{of_type} {text}".encode(), digest_size=8).digest(), "little")


class Seen:
    """The entities of the training data as numbers, so that no text of them travels with a model."""

    def __init__(self, numbers: np.ndarray):
        self.numbers = set(numbers.tolist())

    def __contains__(self, entity: Any) -> bool:
        return seen_as(*entity) in self.numbers
