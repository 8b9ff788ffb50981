"""The app: its settings, and the parts that need no TensorFlow."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from apps.recommend import attributes, data
from apps.recommend.asking import by_scores, explained
from apps.recommend.attributes import Catalogue
from apps.recommend.baselines import DECAYS, MOST
from apps.recommend.baselines import LENGTHS as BASELINE_LENGTHS
from apps.recommend.events import ColumnSettings
from apps.recommend.histories import joined, mean_rating
from apps.recommend.names import finder, unknown
from apps.recommend.report import RankingScorer
from shared.app import MOST_PIECES, Answer, Answering, App, Raw
from shared.data.dataset import Dataset, Ragged, Split
from shared.errors import UserError
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, setting, whole_numbers
from shared.signature import Tensor

LENGTHS = {"caser": 9, **BASELINE_LENGTHS}  # of the history, where nothing is said
USUAL = 0.9  # share of the histories that are read whole, where nothing is said
LONGEST, MOST_EXCLUDED = 100, 4096  # items
SCORES = 1 << 24  # that are held at once, of all people who are answered
SHOWN = 5  # items of an answer that people are shown
ATTENDING = ("nextitnet", "two_tower")  # models that --attention goes on top of
TRAINED = "it has nothing to train: choose nextitnet or caser."


@dataclass(kw_only=True)
class Settings(ColumnSettings):
    data: str = setting("sample", "sample (what customers of a gift shop bought), tfds:movielens/1m-ratings and its "
                        "sisters, or a table of who had what when (.csv, .tsv, .jsonl)", metavar="DATA")
    candidates_column: Optional[str] = setting(None, "column of ids with spaces between, among which an event that "
                                               "tests is ranked [found by its name; else among all]", metavar="NAME")
    attribute_columns: Optional[str] = setting(
        None, "columns that tell of items, with | or ; between the values of a cell [genre, category, brand, year and "
        "the like]", metavar="NAME,NAME,...")
    liked: Optional[float] = setting(None, "only events that are rated at least so [all]")
    core: int = setting(0, "leave out people and items of fewer events (0: none)", at_least=0)
    hold_out: Literal["last", "share", "time", "items"] = setting(
        "last", "last: each person's last item tests, the one before validates; share: the last share of --test "
        "tests, of the rest that of --validation validates; time: so of all events, whosever they are; items: such "
        "shares of the items and of the people are kept from training, and new people are asked for new items")
    model: Literal["nextitnet", "caser", "two_tower", "markov", "cosine", "popularity"] = setting(
        "nextitnet", "nextitnet (dilated causal convolutions), caser (the last items as a picture), two_tower "
        "(nextitnet over what is known of items: ranks those too that nobody had); to compare with, "
        "untrained: markov (what followed what), cosine (what the same people had), popularity. Ratings: "
        "`pocketconv rate`")
    length: int = setting(0, f"last items of a history that are read [as most need, at most {LONGEST}; caser 9]",
                          at_least=0, at_most=2048)
    dimension: int = setting(64, "numbers of an item's vector", at_least=2, at_most=1024)
    dilations: str = setting("1,2,4,1,2,4", "steps between the taps of each convolution of nextitnet",
                             metavar="N,N,...")
    kernel: int = setting(3, "taps of a convolution of nextitnet", advanced=True, at_least=1, at_most=15)
    attention: int = setting(0, "heads of attention on top of nextitnet's convolutions", at_least=0, at_most=16)
    recent: int = setting(9, "last items that the horizontal convolutions of caser see; vertical ones see all of "
                          "--length", at_least=1, at_most=100)
    filters: int = setting(16, "filters of each height of caser", at_least=1, at_most=1024)
    vertical: int = setting(4, "filters of caser over the whole history", advanced=True, at_least=1, at_most=256)
    dropout: float = setting(0.2, "share of the numbers dropped while training", at_least=0, at_most=0.9)
    loss: Literal["softmax", "sampled", "bpr", "bce"] = setting(
        "softmax", "softmax over all items, or over some that are drawn each step (sampled: for large catalogues); "
        "bpr and bce, what came next against those")
    negatives: int = setting(256, "items drawn a step by the other losses", advanced=True, at_least=1)
    ahead: int = setting(1, "learn what comes next, or any of so many items that follow", at_least=1, at_most=100)
    rating_weight: float = setting(0.0, "learn besides how what comes next is rated: this much of the loss",
                                   at_least=0, at_most=10)
    reorder: float = setting(0.0, "augmentation: items of a history change places by up to so many", at_least=0,
                             at_most=100)
    item_dropout: float = setting(0.0, "augmentation: share of a history's items left out", at_least=0, at_most=0.9)
    word_dropout: float = setting(0.1, "augmentation: share of the words of titles that two_tower leaves out",
                                  at_least=0, at_most=0.9)
    unknown_items: float = setting(0.5, "augmentation: share of the items that two_tower knows by their attributes "
                                   "alone", at_least=0, at_most=1)
    top: int = setting(50, "items of an answer; reports count at 1, 5, 10, 20, 50 and all of them", at_least=10,
                       at_most=100_000)
    batch_size: int = setting(16, "stretches of history a step", at_least=1)
    learning_rate: float = setting(0.006, "step size at its highest", at_least=0)

    def each_dilation(self) -> list[int]:
        """The dilations as numbers. Raises UserError."""
        return whole_numbers("--dilations", self.dilations, 512, "1,2,4")


class Recommend(App):
    name = "recommend"
    summary = "recommend what comes next to people, by what they had"
    Settings = Settings
    raw = ("history", "exclude")
    headline = Headline("ndcg_at_10")
    model_class = "apps.recommend.models:build"
    refused = {"class_weights": "each item is a class of its own; rare ones are learned as they are.",
               "label_smoothing": "what came next is one item.",
               "folds": "people are tested by what they had last: --hold-out says how much of it."}
    argument = 'histories, as ids or titles with commas between ("85123A, 22423"), the latest last'
    argument_flag = "history"
    standard_input = "histories, one a line"
    explains = "say which items of the history moved the first answer, by leaving out each"

    def check(self, settings: Any) -> None:
        settings.each_dilation()
        if settings.attention and settings.model not in ATTENDING:
            raise UserError(f"--attention means nothing to --model {settings.model}: choose nextitnet or two_tower.")
        if settings.attention and settings.dimension % settings.attention:
            raise UserError(f"--attention {settings.attention} does not divide --dimension {settings.dimension}: give "
                            f"a number of heads that does.")
        if settings.model == "two_tower" and settings.loss != "softmax":
            raise UserError(f"--loss {settings.loss} with --model two_tower: the vectors of all its items are made "
                            f"each step, so draw none of them: leave --loss out.")
        if settings.rating_weight and (settings.model != "nextitnet" or settings.loss != "softmax"
                                       or settings.ahead > 1 or settings.reorder):
            raise UserError("--rating-weight goes with --model nextitnet and --loss softmax, without --ahead and "
                            "--reorder, which change what comes next.")
        if settings.model in DECAYS and settings.from_run:
            raise UserError(f"--from with --model {settings.model}: {TRAINED}")

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return data.load(settings, facts)

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        if settings.model in DECAYS and len(dataset.labels) > MOST:
            raise UserError(f"--model {settings.model} keeps a table of all pairs of at most {MOST:,} items, and "
                            f"there are {len(dataset.labels):,}: leave seldom ones out by --core.")
        whole = joined(train)
        sizes = np.diff(whole.offsets)
        usual = int(np.clip(-(-np.quantile(sizes, USUAL) // 4) * 4, 4, LONGEST))
        length = settings.length or LENGTHS.get(settings.model, usual)
        # Where the data name candidates, all other items are excluded.
        among = any(isinstance(split.columns["exclude"], Ragged) for split in dataset.splits.values())
        room = len(dataset.labels) if among else min(len(dataset.labels), MOST_EXCLUDED)
        counts = np.bincount(whole.values, minlength=len(dataset.labels) + 1)[1:]
        known: tuple[dict, dict] = ({}, {})
        if settings.rating_weight:
            known = {"rating_mean": mean_rating(train)}, {}
        if settings.model == "two_tower":
            assert isinstance(dataset, Catalogue)
            known = attributes.learned(dataset.titles, dataset.attributes, counts)
        return Facts({**known[0], "labels": dataset.labels, "titles": dataset.titles, "length": length,
                      "exclude": -(-room // 16) * 16, "top": min(settings.top, len(dataset.labels)),
                      "most": settings.top, "read": {name: getattr(settings, name) for name in data.OF_FILE}},
                     {**known[1], "counts": counts.astype(np.int32), "trained_items": whole.values,
                      "trained_offsets": whole.offsets})

    def shipped(self, facts: Facts) -> Facts:
        """Without the histories of training, by which reports compare."""
        return Facts(facts.values, {name: array for name, array in facts.arrays.items()
                                    if not name.startswith("trained_")})

    def scorer(self, facts: Facts) -> RankingScorer:
        kept = facts.get("trained_offsets")
        trained = None if kept is None else Ragged(facts["trained_items"], kept)
        return RankingScorer(facts["titles"], facts["counts"], trained, facts["most"],
                             facts.get("item_values"))

    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        """Items by id or title, with commas between, the latest last."""
        text = str(argument).strip()
        find = finder(facts)
        if whole := find(text):
            return raw_of([whole])
        found = []
        for part in (part.strip() for part in text.split(";" if ";" in text else ",")):
            if not part:
                continue
            if (number := find(part)) is None:
                raise unknown(part, facts, "give ids or titles with commas (or semicolons) between")
            found.append(number)
        return raw_of(found)

    def golden(self, facts: Facts) -> Raw:
        """Histories of all lengths, made by a fixed seed."""
        random, count = np.random.default_rng(0), len(facts["labels"])
        history = np.zeros((10, facts["length"]), np.int32)
        for row, size in zip(history, np.linspace(0, facts["length"], 10).astype(int), strict=True):
            size = min(size, count - facts["top"], len(row))
            if size > 0:
                row[-size:] = 1 + random.choice(count, size, replace=False)
        return {"history": history, "exclude": np.zeros((10, facts["exclude"]), np.int32)}

    def ways(self, signatures: Mapping[str, Any]) -> dict[str, Any]:
        return {"score": by_scores(signatures["score"])}

    def cut(self, raw: Raw, inputs: dict[str, Tensor], facts: Facts) -> Iterable[Raw]:
        """The last items as history, those before among what is excluded."""
        length, room = facts["length"], facts["exclude"]
        history, exclude = (ids[ids > 0] for ids in (raw["history"], raw["exclude"]))
        older = np.concatenate([exclude, history[:-length]])[-room:]
        row = {"history": np.zeros(length, np.int32), "exclude": np.zeros(room, np.int32)}
        for name, ids in (("history", history[-length:]), ("exclude", older)):
            if len(ids):
                row[name][-len(ids):] = ids
        return [row]

    def join(self, raw: Raw, answers: Iterator[Answer], inputs: dict[str, Tensor], facts: Facts) -> Answer:
        """The answer without what is further back than the file can exclude."""
        answer = next(answers)
        had = np.isin(answer["items"], np.concatenate([raw["history"], raw["exclude"]]))
        order = np.argsort(had, kind="stable")
        items, scores = np.where(had, -1, answer["items"]), np.where(had, 0, answer["scores"])
        return {"items": items[order], "scores": scores[order]}

    def at_once(self, facts: Facts) -> int:
        return max(1, min(MOST_PIECES, SCORES // len(facts["labels"])))

    def any_size(self, facts: Facts) -> str:
        return (f"Items are numbered from 1 on, in the order of the labels. Give the last {facts['length']} of a "
                f"history as `history`, the latest last, 0 before them; older ones and what else is not wanted, at "
                f"most {facts['exclude']}, as `exclude`.")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        rows = [f"{facts['titles'][item - 1]} {100 * score:.1f} %"
                for item, score in zip(answer["items"], answer["scores"], strict=True) if item > 0]
        without = "" if (raw["history"] > 0).any() else "(no history: what most begin with) "
        return without + "; ".join(rows[:SHOWN])

    def explain(self, raw: Raw, answer: Answer, answer_rows: Answering, facts: Facts) -> tuple[str, Any]:
        return explained(raw, answer, answer_rows, facts)

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        return {"recommended": [
            {"item": facts["labels"][item - 1], "title": facts["titles"][item - 1], "score": float(score)}
            for item, score in zip(answer["items"].tolist(), answer["scores"], strict=True) if item > 0]}


def raw_of(history: list[int]) -> Raw:
    return {"history": np.array(history, np.int32), "exclude": np.zeros(0, np.int32)}
