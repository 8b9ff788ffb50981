"""Texts with marked spans: brackets that every place can show, and colours where there is a terminal for them."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from shared.data.text_bytes import characters

COLORS = ("cyan", "magenta", "green", "yellow", "blue", "red")  # readable on a dark and on a light ground
MORE = "…"


class Span(NamedTuple):
    """A stretch of a text: its bytes from `start` to before `end`, its type, and what is shown behind the type."""

    start: int
    end: int
    type: str
    note: str = ""


class MarkedText(str):
    """A plain string everywhere (JSON, Markdown, a log); in rich tables and consoles it is coloured.

    Args:
        text: what is shown.
        styles: (start, end, style) of coloured stretches, in characters of `text`.
    """

    styles: tuple[tuple[int, int, str], ...]

    def __new__(cls, text: str, styles: Iterable[tuple[int, int, str]] = ()) -> "MarkedText":
        made = super().__new__(cls, text)
        made.styles = tuple(styles)
        return made

    def __rich__(self) -> Text:
        made = Text(str(self))
        for start, end, style in self.styles:
            made.stylize(style, start, end)
        return made


def marked(text: bytes, spans: Iterable[Span], types: Iterable[str] = (),
           part: tuple[int, int] | None = None) -> MarkedText:
    """A text on one line, each span in brackets with its type, one colour a type in turn.

    Control characters (the separator U+001F, line ends, escapes) are shown as spaces, what is no UTF-8 as U+FFFD.
    Spans that begin or end inside a character take all of it. What a span shares with one that begins before it, and
    what lies outside of the text, is left out; a span of which nothing is left is not shown.

    Args:
        text: UTF-8.
        spans: in any order.
        types: whose colours are fixed, so that texts shown together agree; others get theirs as they come.
        part: (start, end) in bytes of what alone is shown.

    Example:

    >>> marked("Angela Merkel besuchte Peking.".encode(), [Span(0, 13, "PER"), Span(23, 29, "LOC", "98 %")])
    '[Angela Merkel PER] besuchte [Peking LOC 98 %].'
    """
    plain, starts = characters(text)
    plain = "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
                    for character in plain)
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(dict.fromkeys(types))}

    def around(start: int, end: int) -> tuple[int, int]:
        first = int(np.searchsorted(starts, start, "right")) - 1
        return max(first, 0), min(int(np.searchsorted(starts, end, "left")), len(plain))

    begin, stop = around(*part) if part else (0, len(plain))
    pieces, styles = [MORE if begin else ""], []
    length, done = len(pieces[0]), begin
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        first, last = around(span.start, span.end)
        first, last = max(first, done), min(last, stop)
        if span.end <= span.start or first >= last:
            continue
        shown = f"[{plain[first:last]} {span.type}{' ' if span.note else ''}{span.note}]"
        color = colors.setdefault(span.type, COLORS[len(colors) % len(COLORS)])
        before = length + first - done
        styles.append((before, before + len(shown), color))
        pieces += plain[done:first], shown
        length, done = before + len(shown), last
    pieces += plain[done:stop], MORE if stop < len(plain) else ""
    return MarkedText("".join(pieces), styles)


def for_terminal(text: MarkedText) -> str:
    """With the codes of its colours where standard output is a terminal that takes them, else as it is."""
    console = Console(highlight=False)
    with console.capture() as made:
        console.print(text, end="", soft_wrap=True)
    return made.get()
