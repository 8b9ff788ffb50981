"""The terminal: results to standard output, all else to standard error."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)
if not console.is_terminal:
    console.width = 140  # a log has no edge to wrap at


def tell(message: str) -> None:
    """A sentence for the person who waits."""
    console.print(message, markup=False, soft_wrap=True)


def result(value: Any) -> None:
    """One JSON value, or a line of text, as the command's result."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # bytes of the input that were no UTF-8, or a terminal of few characters
        escaped = text.encode(encoding, "backslashreplace").decode(encoding)
        text = escaped if isinstance(value, str) else json.dumps(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar while something long goes on; gives a function to be told of each advance."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
