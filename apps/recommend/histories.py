"""Histories of events, cut into what is known and what is to be recommended."""

from typing import Any

import numpy as np

from apps.recommend import cold
from apps.recommend.attributes import Catalogue
from apps.recommend.events import Events
from shared.data.dataset import Ragged, Split
from shared.errors import UserError


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
    trains = last > starts
    splits = {"train": split(items, starts, last - 1, last, people, trains),
              "validation": split(items, starts, last, tested, people, validates),
              "test": split(items, starts, tested, ends, people, tests)}
    if events.ratings is not None:
        splits["train"].columns["ratings"] = cut(events.ratings, starts[trains], last[trains])
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


def cut(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Ragged:
    sizes = ends - starts
    offsets = np.r_[0, np.cumsum(sizes)]
    return Ragged(values[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)], offsets)


def mean_rating(train: Split) -> float:
    """Raises UserError where training has no ratings."""
    ratings = train.columns.get("ratings")
    if not isinstance(ratings, Ragged):
        raise UserError("--rating-weight needs ratings of what trains: the data have none, or --hold-out items keeps "
                        "them apart; leave it out, or name their --rating-column.")
    return float(ratings.values.mean())


def joined(train: Split) -> Ragged:
    """Histories with what came next at their end."""
    history, targets = train.columns["history"], train.columns["targets"]
    assert isinstance(history, Ragged) and isinstance(targets, Ragged)
    offsets = history.offsets + targets.offsets
    values = np.empty(offsets[-1], np.int32)
    for part, shift in ((history, targets.offsets[:-1]), (targets, history.offsets[1:])):
        values[np.arange(len(part.values)) + np.repeat(shift, np.diff(part.offsets))] = part.values
    return Ragged(values, offsets)
