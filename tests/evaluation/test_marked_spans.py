"""Marked spans: what is shown, in brackets and in colours, whatever text and places come."""

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from shared.data.text_bytes import characters
from shared.evaluation.marked_spans import COLORS, Span, for_terminal, marked

MERKEL = b"Angela Merkel besuchte Peking."
BOTH = [Span(23, 29, "LOC"), Span(0, 13, "PER")]


@pytest.mark.parametrize(("text", "spans", "want"), [
    ("", [], ""), ("Peking", [], "Peking"), ("", [(0, 0, "A"), (0, 3, "A")], ""),
    ("Peking", [(0, 6, "LOC")], "[Peking LOC]"),
    ("Zoë in 北京", [(0, 4, "PER"), (8, 14, "LOC")], "[Zoë PER] in [北京 LOC]"),
    ("ab", [(0, 1, "A"), (1, 2, "B")], "[a A][b B]"),
    ("ab", [(0, 1, "A"), (0, 1, "A")], "[a A]b"),
    ("abcd", [(1, 4, "B"), (0, 3, "A")], "[abc A][d B]"), ("abcd", [(1, 2, "B"), (0, 4, "A")], "[abcd A]"),
    ("abcd", [(0, 1, "A"), (0, 4, "B")], "[abcd B]"), ("北京", [(1, 1, "A"), (5, 4, "A")], "北京"),
    ("ab", [(-5, 1, "A"), (1, 99, "B")], "[a A][b B]"), ("ab", [(7, 9, "A"), (-9, -7, "A"), (2, 1, "A")], "ab"),
    ("北京", [(1, 2, "A")], "[北 A]京"), ("北京", [(2, 4, "A")], "[北京 A]"),
    ("北京", [(0, 4, "A"), (4, 6, "B")], "[北京 A]"),
    ("New\x1fYork\x1f,\x1f", [(0, 8, "LOC")], "[New York LOC] , "),
    ("a\nb\tc\x1b[31m\u2028d\x85", [], "a b c [31m d "),
    ("שלום עולם", [(0, 8, "A")], "[שלום A] עולם"), ("x [a B] y", [(2, 7, "C")], "x [[a B] C] y")])
def test_marks(text, spans, want):
    assert marked(text.encode(), [Span(*span) for span in spans]) == want


def test_a_note_stands_behind_the_type():
    assert marked(MERKEL, [Span(0, 13, "PER", "98 %")]) == "[Angela Merkel PER 98 %] besuchte Peking."


def test_a_part_is_shown_with_the_spans_in_it():
    assert marked(MERKEL, BOTH, part=(7, 26)) == "…[Merkel PER] besuchte [Pek LOC]…"
    assert marked(MERKEL, BOTH, part=(14, 22)) == "…besuchte…"
    assert marked(MERKEL, BOTH, part=(0, 99)) == marked(MERKEL, BOTH)
    assert marked("北京".encode(), [Span(0, 6, "A")], part=(4, 6)) == "…[京 A]"


def test_one_colour_a_type_in_turn():
    text = b"abcdefgh"
    spans = [Span(at, at + 1, name) for at, name in enumerate("ABCDEFGA")]
    styles = [style for *_, style in marked(text, spans).styles]
    assert styles == [*COLORS, COLORS[0], COLORS[0]]
    fixed = marked(text, [Span(0, 1, "C"), Span(1, 2, "Z"), Span(2, 3, "A")], types="ABC")
    assert [style for *_, style in fixed.styles] == [COLORS[2], COLORS[3], COLORS[0]]


def test_what_is_coloured_is_the_brackets_and_what_they_hold():
    made = marked("北 Angela\x1fMerkel\x07!".encode(), [Span(4, 17, "PER")], part=(2, 18))
    [(start, end, _)] = made.styles
    assert made[start:end] == "[Angela Merkel PER]"
    rich = made.__rich__()
    assert rich.plain == made
    assert [(span.start, span.end) for span in rich.spans] == [(start, end)]
    two = marked(MERKEL, BOTH, part=(7, 29))
    assert [two[start:end] for start, end, _ in two.styles] == ["[Merkel PER]", "[Peking LOC]"]


def drawn(renderable, **options):
    console = Console(file=io.StringIO(), width=80, highlight=False, **options)
    console.print(renderable)
    return console.file.getvalue()


def test_in_a_table_of_rich_it_is_coloured_and_no_markup():
    table = Table()
    table.add_row(marked(b"see [/b] and [red]x in Rome", [Span(23, 27, "LOC")]).__rich__())
    assert "see [/b] and [red]x in [Rome LOC]" in drawn(table)
    assert "\x1b[36m[Rome LOC]\x1b[0m" in drawn(table, force_terminal=True, color_system="standard")


def test_elsewhere_it_is_a_string():
    made = marked(MERKEL, BOTH)
    assert json.loads(json.dumps({"text": made})) == {"text": "[Angela Merkel PER] besuchte [Peking LOC]."}
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.styles) == (made, made.styles)


def test_on_standard_output_colours_only_for_a_terminal(monkeypatch):
    made = marked(b"word " * 100 + MERKEL, [Span(500, 513, "PER")])
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert for_terminal(made) == made
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert for_terminal(made) == made.replace("[Angela Merkel PER]", "\x1b[36m[Angela Merkel PER]\x1b[0m")


@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))))
def test_characters_begin_where_their_bytes_do(text):
    plain, starts = characters(text)
    assert plain == text.decode("utf-8", "replace")
    assert starts[0] == 0
    assert starts[-1] == len(text)
    assert (np.diff(starts) > 0).all()
    assert len(starts) == len(plain) + 1
    assert "".join(text[a:b].decode("utf-8", "replace")
                   for a, b in zip(starts[:-1], starts[1:], strict=True)) == plain


@given(st.binary(max_size=30), st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40), st.sampled_from("AB"))),
       st.none() | st.tuples(st.integers(0, 30), st.integers(0, 40)))
def test_no_text_and_no_places_break_it(text, spans, part):
    made = marked(text, [Span(*span) for span in spans], part=part)
    assert all(made[start] == "[" and made[end - 1] == "]" for start, end, _ in made.styles)
    assert all(one[1] <= other[0] for one, other in zip(made.styles[:-1], made.styles[1:], strict=True))
