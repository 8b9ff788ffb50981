"""Items by what people call them: ids or titles."""

import difflib
from collections.abc import Callable, Iterable

from shared.errors import UserError
from shared.facts import Facts

NEAR = 3  # titles that are proposed for one that is not known


def finder(facts: Facts) -> Callable[[str], int | None]:
    """A function from an item's id, or its title in any case, to its number; None where there is no such item."""
    known, titles = numbers(facts["labels"]), numbers(map(str.casefold, facts["titles"]))
    return lambda name: known.get(name) or titles.get(name.casefold())


def numbers(names: Iterable[str]) -> dict[str, int]:
    """From 1 on, by name."""
    return {name: number for number, name in enumerate(names, 1)}


def unknown(name: str, facts: Facts, otherwise: str) -> UserError:
    """What to say of an item that `finder` did not find: which it may be, or `otherwise`."""
    known, titles = facts["labels"], facts["titles"]
    near = ([title for title in titles if name.casefold() in title.casefold()][:NEAR]
            or difflib.get_close_matches(name.casefold(), list(map(str.casefold, [*known, *titles])), 1))
    meant = " or ".join(f"'{one}'" for one in near)
    return UserError(f"The model knows no item '{name[:60]}'" + (f": is it {meant}?" if near else f": {otherwise}."))
