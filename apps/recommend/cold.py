"""Items and people that training never sees, held out to be ranked (`--hold-out items`)."""

from typing import Any

import numpy as np

from shared.data.dataset import Ragged, Split
from shared.errors import UserError

TRAIN, VALIDATION, TEST = range(3)


def parts(count: int, settings: Any, random: np.random.Generator) -> np.ndarray:
    """To which part each of so many belongs: a share `settings.test` to the test, of the rest a share
    `settings.validation` to the validation."""
    test = int(settings.test * count)
    made = np.full(count, TRAIN)
    order = random.permutation(count)
    made[order[:test]] = TEST
    made[order[test:test + int(settings.validation * (count - test))]] = VALIDATION
    return made


def splits(name: str, items: np.ndarray, starts: np.ndarray, ends: np.ndarray, people: list[str], count: int,
           settings: Any) -> tuple[dict[str, Split], list[str]]:
    """Training without held-out items and people; and what is to be said of it.

    Validation and test ask each new person for the last of the held-out items that they had, among all held-out ones
    but those that they had before; all others stand in `exclude`. `history` is what they had before it, without items
    that are held out, as if nobody had had one yet. Validation sees nothing of the test's items.

    Args:
        name: of the data.
        items: numbers from 1 on, by person, in order.
        starts, ends: of each person's.
        people: their names.
        count: items of the catalogue.
        settings: shares `test` and `validation`, of the items as of the people, and `seed`.

    Raises:
        UserError: there are too few of either.
    """
    random = np.random.default_rng([settings.seed, 20_28])
    of_number = np.concatenate([[TRAIN], parts(count, settings, random)])
    of_person = parts(len(people), settings, random)
    person, kind = np.repeat(np.arange(len(people)), ends - starts), of_number[items]
    trains = (of_person[person] == TRAIN) & (kind == TRAIN)
    sizes = np.bincount(person[trains], minlength=len(people))
    rows = np.flatnonzero(sizes)
    history = Ragged(items[trains], np.r_[0, np.cumsum(sizes[rows])])
    last = history.offsets[1:] - 1
    before = np.ones(len(history.values), bool)
    before[last] = False
    made = {"train": Split({"history": Ragged(history.values[before], history.offsets - np.arange(len(rows) + 1)),
                            "targets": Ragged(history.values[last], np.arange(len(rows) + 1)),
                            "exclude": np.zeros((len(rows), 1), np.int32)}, {"user": [people[row] for row in rows]})}
    for part, called in ((VALIDATION, "validation"), (TEST, "test")):
        made[called] = asked(items, person, kind, of_person == part, part, people, of_number == part)
    if not all(map(len, made.values())):
        raise UserError(f"{name}: too few people or items to hold some of both out: raise --test or --validation.")
    held, new = (np.bincount(which, minlength=3) for which in (of_number[1:], of_person))
    return made, [
        f"Training sees none of {held[TEST]} items and {new[TEST]} people of the test, nor of {held[VALIDATION]} and "
        f"{new[VALIDATION]} of the validation, of {count} items and {len(people)} people; the seed chose them.",
        f"Asked is for the last held-out item that a new person had ({len(made['test'])} have one behind others to "
        f"test, {len(made['validation'])} to validate), among the held-out ones that they did not have before; their "
        f"histories are shown without held-out items."]


def asked(items: np.ndarray, person: np.ndarray, kind: np.ndarray, own: np.ndarray, part: int, people: list[str],
          held: np.ndarray) -> Split:
    """What new people are asked for.

    Args:
        items, person, kind: of each event.
        own: which people are of this part.
        part: of it; items of lower ones may stand in histories.
        people: names.
        held: which items are of this part, bool `[1 + items]`.
    """
    at, mine = np.arange(len(items)), own[person]
    last = np.full(len(people), -1)
    np.maximum.at(last, person[mine & (kind == part)], at[mine & (kind == part)])
    before = mine & (kind < part) & (at < last[person])
    sizes = np.bincount(person[before], minlength=len(people))
    rows = np.flatnonzero(sizes)
    others = mine & (kind == part) & (at < last[person])
    had = np.split(items[others], np.cumsum(np.bincount(person[others], minlength=len(people)))[:-1])
    exclude = [np.union1d(np.flatnonzero(~held[1:]) + 1, had[row]).astype(np.int32) for row in rows]
    return Split({"history": Ragged(items[before], np.r_[0, np.cumsum(sizes[rows])]),
                  "targets": Ragged(items[last[rows]], np.arange(len(rows) + 1)),
                  "exclude": Ragged(np.concatenate([np.zeros(0, np.int32), *exclude]),
                                    np.cumsum([0, *map(len, exclude)]))},
                 {"user": [people[row] for row in rows]})
