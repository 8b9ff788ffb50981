"""A report for people: tables for the terminal, Markdown for a model card."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.evaluation.marked_spans import MarkedText
from shared.evaluation.report import Headline, Report

MOST_ROWS = 20


def number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value > 9999 else str(
        "" if value is None else value)


def cell(value: Any) -> Text:
    """A value for a terminal: brackets in it are no markup, marked spans have their colours."""
    return value.__rich__() if isinstance(value, MarkedText) else Text(number(value))


def show_report(report: Report, headline: Headline, console: Console) -> None:
    """Headline, metrics, the class table (the worst ones where there are many) and what was confused most."""
    about = report.about
    where = ", ".join(str(about[key]) for key in ("data", "split") if key in about)
    console.print(f"[bold]{headline.key} {headline.show(report.metrics[headline.key])}[/bold] "
                  f"on {report.examples:,} examples ({where})")
    show_metrics({"value": report.metrics}, console)
    for name, rows in report.tables.items():
        if not rows:
            continue
        title, shown = name, rows
        if name in ("classes", "types") and len(rows) > MOST_ROWS:
            shown = sorted(rows, key=lambda row: row.get("f1", row.get("iou")) or 0)[:MOST_ROWS]
            title = f"{name}, the {MOST_ROWS} worst of {len(rows)}"
        elif name not in ("classes", "types", "errors", "lengths"):
            shown = rows[:5]
            title = name + (f", {len(shown)} of {len(rows)}" if len(rows) > 5 else "")
        show_comparison(shown, console, title)


def show_metrics(metrics: dict[str, dict[str, float]], console: Console, title: str = "") -> None:
    """Metrics by artifact's name, a row a metric: long names and many metrics fit a narrow terminal."""
    keys = dict.fromkeys(key for each in metrics.values() for key in each)
    show_comparison([{"metric": key, **{name: each.get(key) for name, each in metrics.items()}} for key in keys],
                    console, title)


def show_comparison(rows: list[dict[str, Any]], console: Console, title: str = "") -> None:
    """Rows of equal kind as a table; a column for every key of any row that has a value somewhere."""
    keys = [key for key in dict.fromkeys(key for row in rows for key in row)
            if any(row.get(key) not in (None, "") for row in rows)]
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for key in keys:
        numeric = all(isinstance(row.get(key), int | float | None) for row in rows)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold", no_wrap=key == keys[0])
    for row in rows:
        table.add_row(*(cell(row.get(key)) for key in keys))
    console.print(table)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Rows of equal kind as a Markdown table."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    for row in rows:
        cells = [number(row.get(key)).replace("|", "\\|").replace("\n", " ") for key in keys]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
