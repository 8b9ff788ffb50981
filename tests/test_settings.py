import dataclasses
import math
from dataclasses import dataclass
from typing import Optional

import pytest

from shared.errors import UserError
from shared.settings import FitSettings, as_dict, check_bounds, flag_of, refuse, setting

FIELDS = {field.name: field for field in dataclasses.fields(FitSettings)}


@dataclass(kw_only=True)
class Example:
    share: float = setting(0.5, "a share", at_least=0, at_most=1)
    count: int = setting(3, "a count", at_least=2)
    side: Optional[int] = setting(None, "a side", at_least=8)
    mirror: bool = setting(True, "flip", at_least=5)
    name: str = setting("x", "a name")


@pytest.mark.parametrize("changes", [{}, {"share": 0.0}, {"share": 1.0}, {"count": 2}, {"count": 10**9}, {"side": 8},
                                     {"mirror": False}])
def test_bounds_are_inside(changes):
    check_bounds(Example(**changes))


@pytest.mark.parametrize("changes, sentence", [
    ({"share": -0.1}, "--share -0.1: give a number of at least 0 and at most 1."),
    ({"share": 1.01}, "--share 1.01"),
    ({"share": math.nan}, "--share nan"),
    ({"share": math.inf}, "--share inf"),
    ({"count": 1}, "--count 1: give a number of at least 2."),
    ({"count": math.nan}, "--count nan"),
    ({"side": 7}, "--side 7"),
])
def test_what_is_out_of_bounds_is_said(changes, sentence):
    with pytest.raises(UserError) as error:
        check_bounds(Example(**changes))
    assert sentence in str(error.value)


def test_flags_have_dashes_unless_named():
    assert flag_of(FIELDS["batch_size"]) == "--batch-size"
    assert flag_of(FIELDS["from_run"]) == "--from"
    flags = [flag_of(field) for field in FIELDS.values()]
    assert len(set(flags)) == len(flags)


def test_a_refused_setting_is_refused_only_where_it_was_changed():
    refused = {"label_smoothing": "boxes have no classes.", "ema": "it keeps its own."}
    refuse(FitSettings(learning_rate=0.5), refused, "boxes")
    with pytest.raises(UserError) as error:
        refuse(FitSettings(label_smoothing=0.1), refused, "boxes")
    assert str(error.value) == "--label-smoothing means nothing to boxes: boxes have no classes."


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_one_line_of_help(name):
    text = FIELDS[name].metadata["help"]
    assert text and "\n" not in text and len(text) > 5


def test_every_number_has_a_least_value_and_a_default_within():
    for field in FIELDS.values():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert field.metadata["at_least"] is not None, field.name
    check_bounds(FitSettings())


def test_as_dict_gives_back_the_settings():
    settings = FitSettings(epochs=3, from_run="a", ema=0.5)
    assert FitSettings(**as_dict(settings)) == settings
