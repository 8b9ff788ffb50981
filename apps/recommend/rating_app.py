"""The app of ratings: its settings, and the parts that need no TensorFlow."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from apps.recommend import rating_data
from apps.recommend.events import ColumnSettings
from apps.recommend.names import finder, unknown
from apps.recommend.rating_report import RatingScorer
from shared.app import Answer, App, Raw
from shared.data.dataset import Dataset, Split
from shared.errors import UserError
from shared.evaluation.report import Headline
from shared.facts import Facts
from shared.settings import DataSettings, setting


@dataclass(kw_only=True)
class Settings(ColumnSettings):
    data: str = setting("tfds:movielens/100k-ratings", "tfds:movielens/1m-ratings and its sisters, or a table of who "
                        "rated what how (.csv, .tsv, .jsonl)", metavar="DATA")
    rating_range: Optional[str] = setting(None, "lowest and highest rating; others are refused [what training has]",
                                          metavar="LOW,HIGH")
    test: float = setting(0.1, "share of all ratings held out for testing", advanced=True, at_least=0.01, at_most=0.49)
    validation: float = setting(0.1, "share of all ratings held out for choosing", advanced=True, at_least=0.01,
                                at_most=0.49)
    model: Literal["rating", "factors", "concatenation"] = setting(
        "rating", "rating (factors that are made of ratings, with convolutions on top), factors (matrix "
        "factorisation), concatenation (the textbook's: both vectors in a row, convolved)")
    dimension: int = setting(32, "numbers of a vector", at_least=4, at_most=1024)
    filters: int = setting(8, "filters of a convolution", at_least=1, at_most=1024)
    kernel: int = setting(4, "taps of a convolution", advanced=True, at_least=1, at_most=15)
    dropout: float = setting(0.3, "share of the numbers dropped before and after the convolutions while training",
                             at_least=0, at_most=0.9)
    left_out: float = setting(0.3, "augmentation: share of what vectors are made of that is left out", at_least=0,
                              at_most=0.9)
    l2: float = setting(0.02, "L2 penalty on the vectors of a pair's person and item", at_least=0)
    rating_noise: float = setting(0.0, "augmentation: standard deviation of what is added to ratings", at_least=0)
    epochs: int = setting(20, "passes over the training data, in total", at_least=1)
    batch_size: int = setting(1024, "ratings a step", at_least=1)
    learning_rate: float = setting(0.005, "step size at its highest", at_least=0)


class Rate(App):
    name = "rate"
    summary = "predict how a person rates an item"
    Settings = Settings
    raw = ("user", "item")
    headline = Headline("rmse", higher_is_better=False, unit="stars")
    model_class = "apps.recommend.rating_model:Rater"
    refused = {"class_weights": "ratings are numbers.", "label_smoothing": "ratings are numbers."}
    argument = 'pairs as USER,ITEM ("42, Toy Story (1995)")'
    standard_input = "pairs as USER,ITEM or JSON objects, one a line"

    def check(self, settings: Any) -> None:
        if settings.rating_range:
            rating_data.range_of(settings.rating_range)
        if settings.model == "rating" and settings.ema:
            raise UserError("--ema with --model rating: its tables are made of the last weights: choose "
                            "factors, or leave it out.")

    def load(self, settings: DataSettings, facts: Facts | None = None) -> Dataset:
        return rating_data.load(settings, facts)

    def learn_facts(self, settings: Any, train: Split, dataset: Dataset) -> Facts:
        assert isinstance(dataset, rating_data.Ratings)
        people, items = len(dataset.users), len(dataset.labels)
        mean, of_user, of_item = rating_data.biases(train, people, items)
        user, item, rating = (np.asarray(train.columns[name]) for name in ("user", "item", "rating"))
        whole = rating_data.range_of(settings.rating_range) if settings.rating_range else (
            float(rating.min()), float(rating.max()))
        return Facts({"labels": dataset.labels, "titles": dataset.titles, "users": dataset.users, "range": list(whole),
                      "mean": mean, "read": {name: getattr(settings, name) for name in rating_data.OF_FILE}},
                     {"user_bias": of_user, "item_bias": of_item,
                      "user_counts": np.bincount(user, minlength=people + 1).astype(np.int32),
                      "item_counts": np.bincount(item, minlength=items + 1).astype(np.int32)})

    def scorer(self, facts: Facts) -> RatingScorer:
        return RatingScorer(facts)

    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        """A person's id and an item's id or title with a comma (or semicolon) between, or a JSON object of `user` and
        `item`. Ids and titles may hold commas: the first one that has a known item behind it is meant."""
        text, find = str(argument).strip(), finder(facts)
        pairs = list(pairs_in(text))
        user, item = next((pair for pair in pairs if find(pair[1])), pairs[0])
        if not (number := find(item)):
            raise unknown(item, facts, "give its id or title")
        users = facts["users"]
        return {"user": np.array(users.index(user) + 1 if user in users else 0, np.int32),
                "item": np.array(number, np.int32)}

    def golden(self, facts: Facts) -> Raw:
        """Pairs of numbers made by a fixed seed, unknown ones among them."""
        random = np.random.default_rng(0)
        made = {name: random.integers(1, len(facts[names]) + 1, 10).astype(np.int32)
                for name, names in (("user", "users"), ("item", "labels"))}
        made["user"][:2] = made["item"][1:3] = 0
        return made

    def any_size(self, facts: Facts) -> str:
        low, high = facts["range"]
        return (f"People and items are numbered from 1 on, in the order of `users` and `labels` in the file's facts; "
                f"0 is one that is not known, for whom the mean stands. Answers lie between {low:g} and {high:g}.")

    def show(self, raw: Raw, answer: Answer, facts: Facts) -> str:
        lacking = untold(raw, facts)
        return f"{float(answer['rating']):.2f}" + (
            f" (training knows no ratings of the {' and the '.join(lacking)})" if lacking else "")

    def to_json(self, raw: Raw, answer: Answer, facts: Facts) -> dict[str, Any]:
        user, item = int(raw["user"]), int(raw["item"])
        return {"user": facts["users"][user - 1] if user else None,
                "item": facts["labels"][item - 1] if item else None,
                "title": facts["titles"][item - 1] if item else None,
                "rating": float(answer["rating"]), "unknown": untold(raw, facts)}


def pairs_in(text: str) -> Iterator[tuple[str, str]]:
    """All that a person and an item may be in one argument. Raises UserError where it holds no two."""
    if text.startswith("{"):
        try:
            given = json.loads(text)
            yield str(given["user"]).strip(), str(given["item"]).strip()
            return
        except (ValueError, KeyError) as error:
            raise UserError(f"'{text[:60]}' is no pair: write {{\"user\": …, \"item\": …}}.") from error
    mark = ";" if ";" in text else ","
    parts = text.split(mark)
    if len(parts) < 2:
        raise UserError(f"'{text[:60]}' is no pair: give a person and an item as USER,ITEM.")
    for at in range(1, len(parts)):
        yield mark.join(parts[:at]).strip(), mark.join(parts[at:]).strip()


def untold(raw: Raw, facts: Facts) -> list[str]:
    """Which of the two training has no ratings of."""
    return [word for word, name, counts in (("person", "user", "user_counts"), ("item", "item", "item_counts"))
            if not facts[counts][raw[name]]]
