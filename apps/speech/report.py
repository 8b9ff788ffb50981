"""Scoring of words and of sentences."""

import heapq
from typing import Any

import numpy as np

from apps.speech.data import text_of
from apps.speech.decoding import Decoder
from apps.speech.transcripts import Edits, ErrorRates, aligned
from shared.app import Answer, Scorer
from shared.data.text_bytes import decoded
from shared.evaluation.classification import ClassificationScorer
from shared.evaluation.report import Report
from shared.facts import Facts

WORST = 24


class WordScorer(ClassificationScorer):
    """As of any classes, and by speaker."""

    def __init__(self, facts: Facts):
        super().__init__(facts["labels"], lambda example: spectrogram(example, facts["rate"]),
                         describe=lambda example: {"speaker": example["meta"].get("speaker", "")})
        self.speakers: dict[str, np.ndarray] = {}  # right, all

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        super().update(example, answer)
        if speaker := example["meta"].get("speaker"):
            right = int(answer["label"]) == int(example["label"])
            self.speakers.setdefault(speaker, np.zeros(2, np.int64))[:] += right, 1

    def report(self) -> Report:
        made = super().report()
        rows = [{"speaker": speaker, "accuracy": right / total, "support": int(total)}
                for speaker, (right, total) in self.speakers.items()]
        if rows:
            made.tables["speakers"] = sorted(rows, key=lambda row: row["accuracy"])
        return made


def spectrogram(example: dict[str, Any], rate: int) -> np.ndarray:
    """Loudness by time and frequency, the low ones below: uint8 `[128, w]`, 255 for silence."""
    samples = example["samples"][:int(example["length"])].astype(np.float32) / 32768
    samples = np.pad(samples, (0, max(0, 256 - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(samples, 256)[::max(1, rate // 100)] * np.hanning(256)
    loud = 10 * np.log10(np.abs(np.fft.rfft(windows)[:, :128].T[::-1]) ** 2 + 1e-5)
    return np.asarray(255 * (1 - ((loud + 40) / 80).clip(0, 1)), np.uint8)


class SentenceScorer(Scorer):
    """Word and character error rates, what was confused, and the worst sentences. The headline `accuracy` is 1 - the
    word error rate of the graph's own answers; where log-probabilities came with them, those by beam search with the
    language model stand beside."""

    def __init__(self, facts: Facts):
        self.facts, self.rates, self.mistakes = facts, ErrorRates(), list[tuple[int, int, dict[str, Any]]]()
        self.decoder = Decoder(facts) if "alpha" in facts.values and "sentences" in facts.values else None
        self.beam = ErrorRates()

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        truth, given, meta = decoded(example["text"]), text_of(answer, self.facts), example["meta"]
        self.rates.add(truth, given, speaker=meta.get("speaker"))
        if self.decoder and "log_probabilities" in answer:
            self.beam.add(truth, self.decoder.text(answer["log_probabilities"]))
        wrong = Edits()
        wrong.add(aligned(truth.split(), given.split()))
        if wrong.rate:
            row = {"index": meta["index"], "file": meta.get("file", ""), "truth": truth, "given": given}
            entry = (wrong.substituted + wrong.deleted + wrong.inserted, -meta["index"], row)
            (heapq.heappush if len(self.mistakes) < WORST else heapq.heappushpop)(self.mistakes, entry)

    def report(self) -> Report:
        metrics, tables = self.rates.metrics(), self.rates.tables()
        worst = [{**row, "wrong": wrong} for wrong, _, row in sorted(self.mistakes, key=lambda entry: entry[:2],
                                                                     reverse=True)]
        if self.beam.all.sentences:
            metrics |= {f"{name}_with_language_model": value for name, value in self.beam.metrics().items()}
        return Report({"accuracy": 1 - metrics["word_error_rate"], **metrics}, {**tables, "mistakes": worst}, {},
                      self.rates.all.sentences)
