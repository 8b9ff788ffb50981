"""Histories of events, cut into what is known and what is to be recommended."""

from pathlib import Path
from typing import Any

import numpy as np

from apps.recommend import cold, movielens
from apps.recommend.attributes import Catalogue
from apps.recommend.events import Events, read_events, sample
from shared.data.dataset import Dataset, Ragged, Split
from shared.errors import UserError
from shared.facts import Facts

COLUMN_FLAGS = ("user_column", "item_column", "time_column", "rating_column", "title_column")
OF_FILE = (*COLUMN_FLAGS, "candidates_column", "attribute_columns", "liked", "core", "hold_out")


def load(settings: Any, facts: Facts | None = None) -> Dataset:
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
    return made(settings.data, events, labels, how["hold_out"] or "last", settings)


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


def made(name: str, events: Events, labels: list[str], hold_out: str, settings: Any) -> Catalogue:
    """Histories cut into splits.

    Args:
        events: by person, in order.
        labels: names of the items, in the order of their numbers from 1 on; others are unknown and left out.
        hold_out: `last`: each person's last event tests, the one before validates; `share`: the last share of
            `settings.test` tests, and of the rest the last share of `settings.validation` validates; `time`: the same
            of all events, whose they are; `items`: see `cold.splits`.
    """
    notes, numbers = events.notes, {label: number for number, label in enumerate(labels, 1)}
    of_item = np.array([numbers.get(item, 0) for item in events.item_names], np.int32)
    items = of_item[events.items]
    if unknown := int((items == 0).sum()):
        notes.append(f"{unknown} events are of items that the model does not know, and left out.")
    events = events.select(np.flatnonzero(items))
    users, items = events.users, items[items > 0]
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(users)]
    sizes = ends - starts
    people = [events.user_names[user] for user in users[starts]]

    def catalogue(splits: dict[str, Split]) -> Catalogue:
        return Catalogue(name, splits, labels, notes, public=name == "sample" or name.startswith("tfds:"),
                         titles=[events.titles.get(label, label) for label in labels],
                         attributes={column: [cells.get(label, "") for label in labels]
                                     for column, cells in events.attributes.items()})

    if hold_out == "items":
        splits, said = cold.splits(name, items, starts, ends, people, len(labels), settings)
        notes += said
        return catalogue(splits)
    if hold_out == "time":
        last, tested = by_time(name, events, starts, ends, settings)
    else:
        if hold_out == "last":
            held = test = np.ones(len(sizes), np.int64)
        else:
            test = (settings.test * sizes).astype(np.int64)
            held = (settings.validation * (sizes - test)).astype(np.int64)
        whole = (sizes - test - held >= 1) & (test > 0) & (held > 0)
        if short := int((~whole).sum()):
            notes.append(f"{short} of {len(sizes)} people have too few events to hold any out; they only train.")
        last, tested = np.where(whole, ends - test - held, ends), np.where(whole, ends - test, ends)
    validates, tests = (last > starts) & (tested > last), (last > starts) & (ends > tested)
    if not (validates.any() and tests.any()):
        raise UserError(f"{name}: nobody has enough events to hold some out: at least 3 are needed of one person.")
    notes += leakage(events, starts, last, tested, ends)
    splits = {"train": split(items, starts, last - 1, last, people, last > starts),
              "validation": split(items, starts, last, tested, people, validates),
              "test": split(items, starts, tested, ends, people, tests)}
    if events.offer is not None:
        offers = [[numbers[item] for item in offer if item in numbers] for offer in events.offers]
        for part, rows, first, end in (("validation", validates, last, tested), ("test", tests, tested, ends)):
            chosen = cut(events.offer, first[rows], end[rows])
            splits[part].columns["exclude"] = others(splits[part].columns["targets"], chosen, offers, len(labels))
    return catalogue(splits)


def by_time(name: str, events: Events, starts: np.ndarray, ends: np.ndarray,
            settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where each person's training and validation end: at the times after which the shares of all events lie that test
    and validate. Raises UserError where there are no times."""
    if events.times is None:
        raise UserError(f"{name} has no column of times, by which --hold-out time parts it: name it by --time-column.")
    late = np.quantile(events.times, 1 - settings.test)
    early = np.quantile(events.times[events.times <= late], 1 - settings.validation)
    before = [np.r_[0, np.cumsum(events.times <= bound)] for bound in (early, late)]
    last, tested = (starts + count[ends] - count[starts] for count in before)
    if later := int(((last == starts) & (ends > starts)).sum()):
        events.notes.append(f"{later} of {len(starts)} people begin after all that trains, and are left out.")
    return last, tested


def leakage(events: Events, starts: np.ndarray, last: np.ndarray, tested: np.ndarray, ends: np.ndarray) -> list[str]:
    """A sentence where people train by what they did after others are tested."""
    if events.times is None:
        return []
    at, bound = np.arange(len(events)), np.repeat(last, ends - starts)
    tests, trains = events.times[at >= np.repeat(tested, ends - starts)], events.times[at < bound]
    later = float(np.mean(trains > np.median(tests)))
    return [f"{100 * later:.0f} % of what trains is later than half of what tests, if times are of one clock: other "
            f"people's later events help. --hold-out time leaves none."] if later > 0.01 else []


def split(items: np.ndarray, starts: np.ndarray, middle: np.ndarray, ends: np.ndarray, people: list[str],
          chosen: np.ndarray | None = None) -> Split:
    """For each person what lies before `middle` as history and what lies before `ends` as targets."""
    rows = np.arange(len(starts)) if chosen is None else np.flatnonzero(chosen)
    columns: dict[str, Any] = {"history": cut(items, starts[rows], middle[rows]),
                               "targets": cut(items, middle[rows], ends[rows]),
                               "exclude": np.zeros((len(rows), 1), np.int32)}
    return Split(columns, {"user": [people[row] for row in rows]})


def others(targets: Any, chosen: Ragged, offers: list[list[int]], count: int) -> Ragged:
    """For each person all items but targets and candidates; none where there are no candidates.

    Args:
        targets: items by person, `Ragged`.
        chosen: numbers into `offers`, or -1, of each of these.
        offers: candidates.
        count: items.
    """
    rows, every = [], np.arange(1, count + 1, dtype=np.int32)
    for row in range(len(targets)):
        among = [offers[number] for number in chosen.row(row) if number >= 0]
        allowed = np.concatenate([targets.row(row), *among]) if among else every
        rows.append(np.setdiff1d(every, allowed))
    return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))


def cut(items: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Ragged:
    sizes = ends - starts
    offsets = np.r_[0, np.cumsum(sizes)]
    return Ragged(items[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)], offsets)


def joined(train: Split) -> Ragged:
    """Histories with what came next at their end."""
    history, targets = train.columns["history"], train.columns["targets"]
    assert isinstance(history, Ragged) and isinstance(targets, Ragged)
    offsets = history.offsets + targets.offsets
    values = np.empty(offsets[-1], np.int32)
    for part, shift in ((history, targets.offsets[:-1]), (targets, history.offsets[1:])):
        values[np.arange(len(part.values)) + np.repeat(shift, np.diff(part.offsets))] = part.values
    return Ragged(values, offsets)
