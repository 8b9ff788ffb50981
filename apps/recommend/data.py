"""Which events count: of the sample, of TFDS or of a table."""

from pathlib import Path
from typing import Any

import numpy as np

from apps.recommend import histories, movielens
from apps.recommend.attributes import Catalogue
from apps.recommend.events import Events, read_events, sample
from shared.errors import UserError
from shared.facts import Facts

COLUMN_FLAGS = ("user_column", "item_column", "time_column", "rating_column", "title_column")
OF_FILE = (*COLUMN_FLAGS, "candidates_column", "attribute_columns", "liked", "core", "hold_out")


def load(settings: Any, facts: Facts | None = None) -> Catalogue:
    """The histories that `settings.data` names, items numbered as in `facts` where given.

    Columns of each split, a row a person: `history` and `targets` (what came next), int32, item numbers from 1 on; and
    `exclude`, all but the candidates where a table names candidates. Items of training histories are never among a
    person's targets.

    Raises:
        UserError: no such data, or what is in them cannot be understood; the line is named.
    """
    how = {name: getattr(settings, name, None) for name in OF_FILE}
    if facts:
        how = {name: facts["read"].get(name) if value is None else value for name, value in how.items()}
    events = read(settings, how)
    events = liked(events, how["liked"])
    events = core(first_of_each(in_order(events)), how["core"] or 0)
    if not len(events):
        raise UserError(f"{settings.data} holds no events that count: lower --core or --liked.")
    labels = list(facts["labels"]) if facts else sorted({events.item_names[item] for item in np.unique(events.items)})
    if facts and events.offer is not None and facts["exclude"] < len(labels):
        raise UserError(f"{settings.data} names candidates, and this model can leave out at most "
                        f"{facts['exclude']:,} of its {len(labels):,} items: train it on a table that names some.")
    return histories.made(settings.data, events, labels, how["hold_out"] or "last", settings)


def read(settings: Any, how: dict[str, Any]) -> Events:
    """The events that `settings.data` names, by the columns that `how` names. Raises UserError."""
    if settings.data == "sample":
        return sample()
    if settings.data.startswith("tfds:"):
        return movielens.load(settings.data.removeprefix("tfds:"), settings.data_dir)
    asked = {name.removesuffix("_column"): column for name, column in how.items() if name.endswith("_column")}
    return read_events(Path(settings.data), {**asked, "attributes": how.get("attribute_columns")})


def liked(events: Events, least: float | None) -> Events:
    """Events rated at least so; all where nothing is said."""
    if least is None:
        return events
    if events.ratings is None:
        raise UserError("--liked needs ratings: the data have none; leave it out, or name their --rating-column.")
    kept = np.flatnonzero(events.ratings >= least)
    events.notes.append(f"{len(events) - len(kept)} of {len(events)} events are rated below {least:g} and left out.")
    return events.select(kept)


def in_order(events: Events) -> Events:
    """By person, and for each by time; rows of one time stay in their order."""
    times = np.zeros(len(events)) if events.times is None else events.times
    return events.select(np.lexsort((np.arange(len(events)), times, events.users)))


def first_of_each(events: Events) -> Events:
    """The first event of each person with each item: what one had is not recommended again."""
    pairs = events.users.astype(np.int64) * len(events.item_names) + events.items
    kept = np.sort(np.unique(pairs, return_index=True)[1])
    if len(kept) < len(events):
        events.notes.append(f"{len(events) - len(kept)} events repeat an item that the person had before, and are "
                            f"left out.")
    return events.select(kept)


def core(events: Events, least: int) -> Events:
    """Without people of fewer than so many events and items of fewer than so many, until none is left."""
    before = len(events)
    while least > 1 and len(events):
        by_user = np.bincount(events.users, minlength=len(events.user_names))
        by_item = np.bincount(events.items, minlength=len(events.item_names))
        kept = np.flatnonzero((by_user[events.users] >= least) & (by_item[events.items] >= least))
        if len(kept) == len(events):
            break
        events = events.select(kept)
    if len(events) < before:
        events.notes.append(f"{before - len(events)} of {before} events are of people or items with fewer than "
                            f"{least} (--core) and left out.")
    return events
