"""The app: its settings, and the parts that need no TensorFlow."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, TextIO

import numpy as np

from apps.speech import data
from apps.speech.checks import oddities
from apps.speech.chunks import by_chunks
from apps.speech.ensemble import averaging_sentences
from apps.speech.frames import MARGIN, chunk_size, second, step
from apps.speech.report import SentenceScorer, WordScorer
from apps.speech.sounds import LARGEST, is_broken, read_recording, to_float
from apps.speech.windows import joined, starts, surest, windows
from shared.app import Answer, App, Averaging, Raw, Scorer
from shared.data.class_weights import class_weights
from shared.data.dataset import Dataset, Ragged, Split
from shared.data.stored import Stored
from shared.data.tables import lines_of, read_text
from shared.errors import UserError
from shared.evaluation.classification import averaging_labels, label_json, most_likely
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, FitSettings, refuse, setting
from shared.signature import Tensor

LOOKED_AT = 1000  # training clips from which the loudness of each band is taken
OF_WORDS = {"causal": "only words are answered chunk by chunk.", "class_weights": "sentences are no classes.",
            "label_smoothing": "CTC has no single targets to smooth."}
OF_SENTENCES = {"symbols": "each is one class.", "lm_text": "no language model reads them."}
LONGEST = 30  # seconds that are read of a clip where nothing is said
LIKELY = 0.5  # probability from which a word that was heard is told


@dataclass(kw_only=True)
class Settings(FitSettings):
    data: str = setting("sample", "sample (spoken digits), sample:joined (strings of them), tfds:NAME, a folder for "
                        "each word, or a table of files (.csv, .tsv, .jsonl) with a word or a sentence for each",
                        metavar="DATA")
    rate: int = setting(16_000, "samples a second that the network hears; files of another rate are resampled",
                        at_least=4000, at_most=48_000)
    symbols: Literal["characters", "words"] = setting(
        "characters", "what sentences are made of: characters, or the words of the training transcripts")
    lm_text: Optional[str] = setting(None, "file of sentences, one a line, for the language model with which a run is "
                                     "also scored [the training transcripts]", metavar="FILE")
    seconds: Optional[float] = setting(None, f"longest clip [the longest of training, at most {LONGEST}]",
                                       at_least=0.1, at_most=120)
    model: Literal["cnn_lstm", "cnn_gru", "separable", "attention"] = setting(
        "separable", "separable (convolutions alone, the smallest and fastest), cnn_lstm and cnn_gru (a recurrent "
        "layer behind convolutions), attention (that, and what it attends to)")
    filters: int = setting(64, "channels of the convolutions; of recurrent layers in each direction", at_least=4,
                           at_most=1024)
    depth: int = setting(4, "blocks of separable", at_least=1, at_most=16)
    kernel: int = setting(5, "steps that the first block of separable sees at once; later ones see more",
                          advanced=True, at_least=3, at_most=63)
    causal: bool = setting(False, "separable sees nothing that comes later; its file then also answers chunk by "
                           "chunk, by the signature stream")
    recurrent_depth: int = setting(1, "recurrent layers", advanced=True, at_least=1, at_most=4)
    mels: int = setting(40, "bands of the features", at_least=8, at_most=128)
    window: float = setting(0.040, "seconds of a window", advanced=True, at_least=0.005, at_most=0.2)
    hop: float = setting(0.020, "seconds from a window to the next", advanced=True, at_least=0.002, at_most=0.1)
    coefficients: int = setting(0, "cepstral coefficients (MFCC) in place of the bands (0: the bands)", advanced=True,
                                at_least=0, at_most=128)
    normalize: Literal["data", "clip"] = setting(
        "data", "bring each band to the mean of the training data, or of each clip: microphones then sound alike")
    dynamic_range: float = setting(0.0, "decibels below a clip's loudest at which silence begins: floors of noise "
                                   "then sound alike (0: none, not of MFCC)", at_least=0, at_most=120)
    noise_floor: float = setting(0.0, "decibels above a band's quietest tenth of a second at which silence begins in "
                                 "it: noise is left unheard (0: none, not of MFCC)", at_least=0, at_most=40)
    speed: float = setting(0.1, "augmentation: largest change of speed, and pitch with it", at_least=0, at_most=0.5)
    shift: float = setting(0.1, "augmentation: largest shift, and silence behind, seconds", at_least=0, at_most=5)
    pitch: float = setting(0.05, "augmentation: how far bands are moved up or down, as a share of all: other voices "
                           "at the same speed (not of MFCC)", at_least=0, at_most=0.5)
    noise: float = setting(10.0, "augmentation: decibels that noise lies below a clip, at least (0: no noise)",
                           at_least=0, at_most=100)
    noise_dir: Optional[str] = setting(None, "folder of recordings to take the noise from [white noise]; not those "
                                       "from which a test set's silence was cut", metavar="DIR")
    reverberation: float = setting(0.0, "augmentation: share of the clips that sound as in a room", at_least=0,
                                   at_most=1)
    mask_bands: float = setting(0.2, "augmentation: longest stretch of bands left out (SpecAugment), as a share",
                                at_least=0, at_most=1)
    mask_time: float = setting(0.15, "augmentation: longest stretch of time left out, as a share", at_least=0,
                               at_most=1)
    test_time_pitch: float = setting(0.0, "answer by the mean of three hearings: the clip as it is, and with its "
                                     "bands moved up and down by this share, for strangers' voices (0: one hearing; "
                                     "not of MFCC, nor causal)", at_least=0, at_most=0.5)
    speaker_head: bool = setting(False, "learn who speaks beside what is said; the shipped file does without")
    dropout: float = setting(0.2, "share of the last features dropped while training", at_least=0, at_most=0.9)
    block_dropout: float = setting(0.0, "share of a block's channels dropped while training", advanced=True,
                                   at_least=0, at_most=0.9)
    batch_size: int = setting(32, "examples a step", at_least=1)
    learning_rate: float = setting(0.002, "step size at its highest", at_least=0)
    epochs: int = setting(30, "passes over the training data, in total", at_least=1)


class Speech(App):
    name = "speech"
    summary = "recognise spoken words, or write down what is said"
    Settings = Settings
    raw = ("samples", "length")
    headline = Headline("accuracy")
    model_class = "apps.speech.model:build"
    file_types = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
    standard_input = ("a sound from standard input: a file, or raw samples (signed 16-bit little-endian, one channel, "
                      "at the model's rate)")
    devices = {"microphone": "listen, and tell what is said until Ctrl-C (needs the package sounddevice)"}

    def check(self, settings: Any) -> None:
        if settings.coefficients > settings.mels:
            raise UserError(f"--coefficients {settings.coefficients}: at most as many as --mels, {settings.mels}.")
        if settings.coefficients and (settings.dynamic_range or settings.noise_floor):
            raise UserError("--dynamic-range and --noise-floor are of bands, not of --coefficients: leave these out.")
        if settings.test_time_pitch and (settings.coefficients or settings.causal):
            raise UserError("--test-time-pitch moves the bands of whole clips: leave --coefficients and --causal out.")
        if settings.causal and settings.model != "separable":
            raise UserError(f"--causal: {settings.model} looks at the whole clip; leave it out, or set --model "
                            f"separable.")
        if settings.causal and settings.window < settings.hop:
            raise UserError(f"--causal: between windows of --window {settings.window} at --hop {settings.hop} "
                            f"samples are lost; widen the window.")
        if settings.causal and (settings.normalize == "clip" or settings.dynamic_range or settings.noise_floor):
            raise UserError("--causal: --normalize clip, --dynamic-range and --noise-floor look at the whole clip; "
                            "leave them out.")
        if settings.noise_dir and not settings.noise:
            raise UserError("--noise-dir without --noise does nothing: set --noise 10, or leave --noise-dir out.")
        if settings.noise_dir and not Path(settings.noise_dir).is_dir():
            raise UserError(f"--noise-dir {settings.noise_dir}: there is no such folder.")
        if settings.lm_text and not Path(settings.lm_text).is_file():
            raise UserError(f"--lm-text {settings.lm_text}: there is no such file.")

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return data.load(settings, facts)

    def examine(self, settings: Any, dataset: Dataset) -> list[str]:
        return data.examine(dataset, settings.symbols,
                            lambda samples: (samples / settings.rate + 2 * MARGIN) / step(settings.hop))

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        from apps.speech.model import loudness
        clips = train.columns["samples"]
        assert isinstance(clips, Ragged)
        longest = int(np.diff(clips.offsets).max(initial=1)) / settings.rate
        values: dict[str, Any] = {"rate": settings.rate, "hop": settings.hop,
                                  "max_samples": round(settings.rate * (settings.seconds or min(longest, LONGEST)))}
        if settings.causal:
            values["chunk"] = chunk_size(round(settings.hop * settings.rate))
        looked_at = np.random.default_rng(0).permutation(len(train))[:LOOKED_AT]
        values |= loudness([to_float(clips.row(row)) for row in looked_at], settings)
        if dataset.labels:
            refuse(settings, OF_SENTENCES, "single words")
            if settings.class_weights != "none":
                labels = np.asarray(train.columns["label"][np.arange(len(train))])
                values["class_weights"] = class_weights(labels, len(dataset.labels), settings.class_weights)
            return Facts(values | {"labels": dataset.labels})
        refuse(settings, OF_WORDS, "sentences")
        said = lines_of(read_text(Path(settings.lm_text))[0]) if settings.lm_text else data.texts(train)
        return Facts(values | {"symbols": data.symbols_of(train, settings.symbols), "of": settings.symbols,
                               "sentences": [text for text in map(data.plain, said) if text]})

    def shipped(self, facts: Facts) -> Facts:
        """Without the sentences, which only the language model of a run uses."""
        return Facts({name: value for name, value in facts.values.items() if name != "sentences"}, facts.arrays)

    def scorer(self, facts: Facts) -> Scorer:
        return WordScorer(facts) if facts.get("labels") else SentenceScorer(facts)

    def from_standard_input(self, stream: TextIO) -> Iterable[Stored]:
        return [Stored("Standard input", stream.buffer.read(2 * LARGEST + 1))]

    def listen(self, device: str, facts: Facts) -> AbstractContextManager[Iterator[tuple[str, Raw]]]:
        from apps.speech.microphone import microphone
        return microphone(facts["rate"], facts["max_samples"])

    def read_input(self, argument: str | Path | Stored, facts: Facts) -> Raw:
        samples = read_recording(argument, facts["rate"])
        return {"samples": samples, "length": np.array(len(samples), np.int32)}

    def oddities(self, argument: Any, raw: Raw, facts: Facts) -> list[str]:
        samples = raw["samples"]
        return oddities(samples, is_broken(argument, facts["rate"], len(samples)))

    def golden(self, facts: Facts) -> Raw:
        return data.made_up(facts["max_samples"], facts["rate"])

    def ways(self, signatures: Mapping[str, Any]) -> dict[str, Any]:
        stream = signatures["stream"]
        return {"stream": by_chunks(stream, stream.inputs, round(MARGIN * stream.facts["rate"]))}

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        return windows(raw, facts["max_samples"])

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        size = facts["max_samples"]
        places = starts(int(raw["length"]), size)
        made = [next(answers) for _ in places]
        if len(made) == 1:
            return made[0]
        return surest(made) if facts.get("labels") else joined(made, places, size, facts["rate"], facts["hop"])

    def averaging(self, facts: list[Facts]) -> Averaging:
        return averaging_labels(facts) if facts[0].get("labels") else averaging_sentences(facts)

    def any_size(self, facts: Facts) -> str:
        stream = (f" By the signature stream, {facts['chunk']} samples at a time are heard as they come: the state "
                  f"that it gives goes in with the next; the first is 0, and 0 again forgets." if facts.get("chunk")
                  else "")
        return (f"Give the samples as numbers from -1 to 1, {facts['rate']} a second, filled up with 0, and how many "
                f"there are. Longer recordings than {facts['max_samples']} samples go in windows that overlap by a "
                f"quarter: of words the surest counts, of sentences each symbol from the window in whose middle it "
                f"stands.{stream}")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        return most_likely(answer, facts["labels"]) if facts.get("labels") else data.text_of(answer, facts)

    def heard(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        """Of words the likely ones: a window may hold none, or half of one."""
        if not facts.get("labels"):
            return self.show(raw, answer, facts)
        return most_likely(answer, facts["labels"], 1) if answer["probabilities"].max() >= LIKELY else ""

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        if facts.get("labels"):
            return label_json(answer, facts["labels"])
        count = int(answer["count"])
        return {"text": data.text_of(answer, facts), "symbols": [
            {"symbol": facts["symbols"][int(symbol)], "second": round(second(float(frame), facts["hop"]), 3),
             "confidence": round(float(sure), 6)}
            for symbol, frame, sure in zip(answer["symbols"][:count], answer["frames"][:count],
                                           answer["confidences"][:count], strict=True)]}
