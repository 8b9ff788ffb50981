"""Several artifacts scored as one, by the average of their answers to the same examples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from shared.app import Answer, App, Raw
from shared.data.dataset import Split
from shared.errors import UserError
from shared.evaluation.answering import Answering
from shared.evaluation.report import Report
from shared.evaluation.score import score
from shared.facts import Facts


@dataclass
class Member:
    """An artifact of an ensemble.

    Args:
        facts: of the artifact.
        answer: see `shared.evaluation.answering`.
        split: the examples in the terms of its facts.
    """

    facts: Facts
    answer: Answering
    split: Split


def score_ensemble(app: App, members: list[Member],
                   advance: Callable[[int], None] = lambda examples: None) -> Report | None:
    """Answers a split by all members in step, so that no more answers are held than a batch of each, and reports.

    Args:
        app: of all members.
        members: their raw inputs may differ, in size for one, but not their examples. What a report needs beyond
            answers (pictures, a language model) comes from the first.
        advance: told how many examples were done since it was last called (progress).

    Returns:
        The report; None where the app has no ensembles.

    Raises:
        UserError: these members cannot be averaged, or their splits hold different examples.
    """
    average = app.averaging([member.facts for member in members])
    if average is None:
        return None
    first = members[0]
    if not all(same_examples(first, member, app.raw) for member in members[1:]):
        raise UserError("the artifacts are scored on different examples; name data that bring this split, or "
                        "artifacts of the same --seed.")
    others = {own_name(number, name): member.split.columns[name]
              for number, member in enumerate(members) if number for name in app.raw}

    def answer(rows: list[Raw]) -> Iterator[Answer]:
        # Rows that a scorer makes up (`Scorer.explain`) have no columns of the others: all are asked the same.
        each = [member.answer([{name: row.get(own_name(number, name), row[name]) for name in app.raw} for row in rows])
                for number, member in enumerate(members)]
        return (average(list(answers)) for answers in zip(*each, strict=True))

    split = Split({**first.split.columns, **others}, first.split.meta)
    return score(answer, split, app.scorer(first.facts), advance=advance, explain=True)


def own_name(number: int, name: str) -> str:
    """A raw input of one member, beside those of the others."""
    return f"{name} of member {number}"


def same_examples(one: Member, other: Member, raw: tuple[str, ...]) -> bool:
    """Whether two splits hold the same examples in the same order, by their truth and `meta`. Where no file is known
    and other seeds may have drawn them, their raw inputs must be the same too: draws from sorted data are alike in
    truth."""
    about, about_other = ({name: list(values) for name, values in member.split.meta.items()}
                          for member in (one, other))
    if len(one.split) != len(other.split) or about != about_other:
        return False
    sure = "file" in about or one.facts.get("splits") == other.facts.get("splits")
    compared = [name for name in one.split.columns if name in other.split.columns and not (sure and name in raw)]
    batches = (Split({name: member.split.columns[name] for name in compared}).batches(256) for member in (one, other))
    return all(all(map(np.array_equal, columns[name], columns_other[name]))
               for (_, columns), (_, columns_other) in zip(*batches, strict=True) for name in compared)
