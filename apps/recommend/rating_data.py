"""Ratings of pairs of a person and an item, split at random; and what biases alone say of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apps.recommend.data import COLUMN_FLAGS, in_order, read
from apps.recommend.events import Events
from apps.recommend.names import numbers
from shared.data.dataset import Dataset, Split
from shared.data.splits import part
from shared.errors import UserError
from shared.facts import Facts

OF_FILE = (*COLUMN_FLAGS, "rating_range")
SEEN = (5.0, 3.0)  # ratings that a person, an item must have for their bias to count by half
ROUNDS = 10  # in which the biases of people and items are fitted by turns
LEAST = 3  # ratings: one for each split


@dataclass
class Ratings(Dataset):
    """`labels` are the items' ids.

    Args:
        users: the people's ids, in the order of their numbers from 1 on.
    """

    users: list[str] = field(default_factory=list)


def load(settings: Any, facts: Facts | None = None) -> Ratings:
    """The ratings that `settings.data` names, people and items numbered as in `facts` where given.

    Columns of each split, a row a pair: `user` and `item`, int32, numbers from 1 on (0: not in `facts`), and `rating`,
    float32. `settings.test` of all ratings test and `settings.validation` of all validate, drawn by `settings.seed`.

    Raises:
        UserError: no such data, no ratings, or what is in them cannot be understood.
    """
    if settings.data == "sample":
        raise UserError("--data sample has no ratings, it is what customers bought: name a table of ratings by "
                        "--data, or tfds:movielens/100k-ratings.")
    how = {name: getattr(settings, name, None) for name in OF_FILE}
    if facts:
        how = {name: facts["read"].get(name) if value is None else value for name, value in how.items()}
    events = read(settings, how)
    if events.ratings is None:
        raise UserError(f"{settings.data} has no column of ratings: name it by --rating-column, or learn what comes "
                        f"next by `pocketconv recommend`.")
    events = last_of_each(in_order(events))
    if len(events) < LEAST:
        raise UserError(f"{settings.data} rates {len(events)} pair(s): at least {LEAST} are needed, one for "
                        f"each split.")
    if how["rating_range"]:
        check_range(events, how["rating_range"])
    assert events.ratings is not None
    labels = list(facts["labels"]) if facts else named(events.items, events.item_names)
    users = list(facts["users"]) if facts else named(events.users, events.user_names)
    whole = Split({"user": numbered(events.users, events.user_names, users),
                   "item": numbered(events.items, events.item_names, labels), "rating": events.ratings})
    rest, test = part(whole, settings.test, settings.seed)
    train, validation = part(whole.select(rest), min(settings.validation / (1 - settings.test), 1.0), settings.seed)
    splits = {"train": rest[train], "validation": rest[validation], "test": test}
    notes = [*events.notes, f"Of {len(events)} ratings, {len(test)} test and {len(validation)} validate, drawn by "
                            f"seed {settings.seed}."]
    titles = [events.titles.get(label, label) for label in labels]
    return Ratings(settings.data, {name: whole.select(rows) for name, rows in splits.items()}, labels, notes,
                   public=settings.data.startswith("tfds:"), titles=titles, users=users)


def named(column: np.ndarray, names: list[str]) -> list[str]:
    return sorted(names[number] for number in np.unique(column))


def numbered(column: np.ndarray, names: list[str], known: list[str]) -> np.ndarray:
    """Numbers into `names` as numbers into `known` from 1 on, int32; 0 where it lacks the name."""
    own = numbers(known)
    return np.array([own.get(name, 0) for name in names], np.int32)[column]


def last_of_each(events: Events) -> Events:
    """The last rating of each pair: what one thinks now."""
    pairs = events.users.astype(np.int64) * len(events.item_names) + events.items
    kept = np.sort(len(pairs) - 1 - np.unique(pairs[::-1], return_index=True)[1])
    if len(kept) < len(events):
        events.notes.append(f"{len(events) - len(kept)} ratings are of a pair that is rated again later: the last one "
                            f"counts.")
    return events.select(kept)


def range_of(text: str) -> tuple[float, float]:
    """The two numbers of `--rating-range`. Raises UserError where they are none."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low, high = np.nan, np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise UserError(f"--rating-range {text}: give the lowest and the highest rating with a comma between, as 1,5.")
    return low, high


def check_range(events: Events, text: str) -> None:
    """Raises UserError where a rating lies outside of the range."""
    low, high = range_of(text)
    assert events.ratings is not None
    outside = np.flatnonzero((events.ratings < low) | (events.ratings > high))
    if len(outside):
        first = outside[0]
        raise UserError(f"{len(outside)} rating(s) lie outside of --rating-range {text} (the first: "
                        f"{events.ratings[first]:g} by {events.user_names[events.users[first]]} of "
                        f"{events.item_names[events.items[first]]}): mend them, or widen the range.")


def biases(train: Split, people: int, items: int) -> tuple[float, np.ndarray, np.ndarray]:
    """How far people and items lie above the mean rating, the less the fewer ratings they have (the baseline of Koren
    2009, https://doi.org/10.1109/MC.2009.263).

    Args:
        train: its ratings.
        people, items: how many there are.

    Returns:
        The mean, and float32 `[people + 1]` and `[items + 1]` by number; 0 for those without ratings.
    """
    user, item, rating = (np.asarray(train.columns[name]) for name in ("user", "item", "rating"))
    mean = float(rating.mean(dtype=np.float64))
    of_user, of_item = np.zeros(people + 1), np.zeros(items + 1)
    by_user, by_item = np.bincount(user, minlength=people + 1), np.bincount(item, minlength=items + 1)
    for _ in range(ROUNDS):
        of_item = np.bincount(item, rating - mean - of_user[user], items + 1) / (by_item + SEEN[1])
        of_user = np.bincount(user, rating - mean - of_item[item], people + 1) / (by_user + SEEN[0])
    return mean, of_user.astype(np.float32), of_item.astype(np.float32)
