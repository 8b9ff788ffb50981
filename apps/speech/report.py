"""Scoring of words and of sentences."""

import heapq
import textwrap
from typing import Any

import numpy as np

from apps.speech.data import symbols_in, text_of
from apps.speech.decoding import Decoder
from apps.speech.frames import second
from apps.speech.pictures import begin_of, spectrogram, written
from apps.speech.transcripts import Edits, ErrorRates, aligned
from shared.app import Answer, Scorer
from shared.data.text_bytes import decoded
from shared.evaluation.classification import ClassificationScorer
from shared.evaluation.report import Gallery, Report, Sounds
from shared.facts import Facts

WORST, PICTURED, FIRST = 24, 8, 6  # sentences in the table of mistakes, those of them with pictures, clips to hear
CAPTION, CAPTION_LINES = 125, 4  # characters that stand in a line above a picture; lines of one sentence


class WordScorer(ClassificationScorer):
    """As of any classes, and by speaker."""

    def __init__(self, facts: Facts):
        super().__init__(facts["labels"], lambda example: self.picture_of(begin_of(example, facts["rate"])),
                         describe=lambda example: {"speaker": example["meta"].get("speaker", "")})
        self.speakers: dict[str, np.ndarray] = {}  # right, all
        self.first = First(facts["rate"])

    def picture_of(self, clip: np.ndarray) -> np.ndarray:
        return spectrogram(clip, max(1, 100 * len(clip) // self.first.rate))

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        super().update(example, answer)
        if speaker := example["meta"].get("speaker"):
            right = int(answer["label"]) == int(example["label"])
            self.speakers.setdefault(speaker, np.zeros(2, np.int64))[:] += right, 1
        truth, given = (self.labels[int(each["label"])] for each in (example, answer))
        if self.first.wants(truth):
            clip = begin_of(example, self.first.rate)
            self.first.add(clip, self.picture_of(clip), truth, given)

    def report(self) -> Report:
        made = super().report()
        rows = [{"speaker": speaker, "accuracy": right / total, "support": int(total)}
                for speaker, (right, total) in self.speakers.items()]
        if rows:
            made.tables["speakers"] = sorted(rows, key=lambda row: row["accuracy"])
        self.first.enter(made)
        return made


class First:
    """The first clips in which unlike things are said, and what was heard: the same ones at every scoring, so that one
    sees how it becomes better.

    Args:
        rate: samples a second.
    """

    def __init__(self, rate: int):
        self.rate, self.rows, self.pictures = rate, list[dict[str, str]](), list[np.ndarray]()
        self.clips: list[np.ndarray] = []

    def wants(self, truth: str) -> bool:
        return len(self.rows) < FIRST and truth not in (row["truth"] for row in self.rows)

    def add(self, clip: np.ndarray, picture: np.ndarray, truth: str, given: str) -> None:
        self.rows.append({"truth": truth, "given": given})
        self.pictures.append(picture)
        self.clips.append(clip)

    def enter(self, report: Report) -> None:
        """Into a report, as the table and the pictures `heard`, and as `sounds`."""
        if self.rows:
            report.tables["heard"] = self.rows
            report.figures["heard"] = Gallery("Heard in the same clips each time", self.pictures,
                                              [caption(**row) for row in self.rows])
            report.figures["sounds"] = Sounds("Clips", self.clips, self.rate, [row["truth"] for row in self.rows])


def caption(truth: str, given: str) -> str:
    """Both below each other, in lines of a readable length."""
    return "\n".join(line for text in (f"truth: {truth}", f"heard: {given}")
                     for line in textwrap.wrap(text, CAPTION, max_lines=CAPTION_LINES, placeholder=" …"))


class SentenceScorer(Scorer):
    """Word and character error rates, what was confused, and the worst sentences. The headline `accuracy` is 1 - the
    word error rate of the graph's own answers; where log-probabilities came with them, those by beam search with the
    language model stand beside."""

    def __init__(self, facts: Facts):
        self.facts, self.rates, self.first = facts, ErrorRates(), First(facts["rate"])
        self.mistakes: list[tuple[int, int, dict[str, Any], np.ndarray]] = []
        self.decoder = Decoder(facts) if "alpha" in facts.values and "sentences" in facts.values else None
        self.beam = ErrorRates()

    def update(self, example: dict[str, Any], answer: Answer) -> None:
        truth = decoded(example["text"]).rstrip("\0")  # rows come padded to the longest of those read with them
        given, meta = text_of(answer, self.facts), example["meta"]
        self.rates.add(truth, given, speaker=meta.get("speaker"))
        if self.decoder and "log_probabilities" in answer:
            self.beam.add(truth, self.decoder.text(answer["log_probabilities"]))
        wrong = Edits()
        wrong.add(aligned(truth.split(), given.split()))
        entry = wrong.substituted + wrong.deleted + wrong.inserted, -meta["index"]
        enters = entry[0] and (len(self.mistakes) < WORST or entry > self.mistakes[0][:2])
        if not enters and not self.first.wants(truth):
            return
        clip = begin_of(example, self.facts["rate"])
        picture = self.picture_of(clip, answer, truth)
        if self.first.wants(truth):
            self.first.add(clip, picture, truth, given)
        if enters:
            row = {"index": meta["index"], "file": meta.get("file", ""), "truth": truth, "given": given,
                   "wrong": entry[0]}
            keep = heapq.heappush if len(self.mistakes) < WORST else heapq.heapreplace
            keep(self.mistakes, (*entry, row, picture))

    def picture_of(self, clip: np.ndarray, answer: Answer, truth: str) -> np.ndarray:
        """Each given symbol below the time at which it was heard; what the truth has not is red."""
        count, names = int(answer["count"]), self.facts["symbols"]
        symbols = [names[int(symbol)] for symbol in answer["symbols"][:count]]
        seconds = [second(float(frame), self.facts["hop"]) for frame in answer["frames"][:count]]
        right = [kind == "equal" for kind, _, given in aligned(symbols_in(truth, self.facts["of"]), symbols)
                 if given is not None]
        return written(clip, self.facts["rate"], symbols, seconds, right)

    def report(self) -> Report:
        metrics, tables = self.rates.metrics(), self.rates.tables()
        worst = sorted(self.mistakes, key=lambda entry: entry[:2], reverse=True)
        if self.beam.all.sentences:
            metrics |= {f"{name}_with_language_model": value for name, value in self.beam.metrics().items()}
        made = Report({"accuracy": 1 - metrics["word_error_rate"], **metrics},
                      {**tables, "mistakes": [row for *_, row, _ in worst]}, {}, self.rates.all.sentences)
        if worst:
            made.figures["mistakes"] = Gallery(
                "Most words wrong; what the truth has not is red", [picture for *_, picture in worst[:PICTURED]],
                [caption(row["truth"], row["given"]) for *_, row, _ in worst[:PICTURED]])
        self.first.enter(made)
        return made
