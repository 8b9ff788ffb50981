"""Sentences from columns of text, as CoNLL's tasks have them."""

from collections import Counter
from collections.abc import Sequence

from apps.ner.sentences import Place, Tagged
from shared.data.tables import lines_of
from shared.data.tag_schemes import is_tag, parts
from shared.errors import UserError


def from_columns(file: str, text: str, asked: str | None, notes: list[str]) -> list[Tagged]:
    """A token and its tag on each line, with tabs or spaces between; blank lines end sentences.

    Args:
        file: its name in messages.
        text: its content.
        asked: the tags' column: a number from 1, or `last`; found where None, the last of several.
        notes: gets what a person should know.
    """
    lines = [(number, line.rstrip(" \t")) for number, line in enumerate(lines_of(text), 1)]
    plain = [line for _, line in lines if line and line[0] != "#"] or [line for _, line in lines if line]
    tabs = 2 * sum("\t" in line for line in plain) > len(plain)
    blocks: list[list[tuple[int, list[str]]]] = [[]]
    for number, line in lines:
        if not line.strip() or line.startswith("-DOCSTART-"):
            blocks.append([])
        else:
            blocks[-1].append((number, line.split("\t") if tabs else [word for word in line.split(" ") if word]))
    rows = [row for block in blocks for row in block]
    sure = [row for row in rows if row[1][0][:1] != "#"] or rows  # the others may be comments
    if not sure:
        raise UserError(f"{file}:1: the file is empty or blank: put a token and its tag on each line, and a blank "
                        f"line after each sentence.")
    width = Counter(len(found) for _, found in sure).most_common(1)[0][0]

    def right_width(number: int, found: list[str]) -> list[str]:
        if len(found) != width or width == 1:
            expected = "a token and its tag" if width == 1 else f"the {width} of most lines"
            raise UserError(f"{file}:{number}: {len(found)} column(s) where there must be {expected}: part columns by "
                            f"{'one tab' if tabs else 'spaces or tabs'}, and sentences by a blank line.")
        return found

    tag = tag_column(file, [(number, right_width(number, found)) for number, found in sure], asked, notes)
    sentences: list[tuple[int, list[list[str]]]] = []
    for block in blocks:
        head = 0  # comments of CoNLL-U
        while head < len(block) and block[head][1][0][:1] == "#" and not (
                len(block[head][1]) == width and is_tag(block[head][1][tag])):
            head += 1
        if head < len(block):
            sentences.append((block[head][0], [right_width(*row) for row in block[head:]]))
    # The word is first, but in files with the tag there, or (CoNLL-U, GermEval) the number of the token.
    numbered = width > 2 and all(row[0] == str(at) for _, found in sentences for at, row in enumerate(found, 1))
    word = int(tag == 0 or (numbered and tag > 1))
    return [Tagged([row[word] for row in found], [row[tag] for row in found], Place(file, line, True))
            for line, found in sentences]


def tag_column(file: str, rows: Sequence[tuple[int, list[str]]], asked: str | None, notes: list[str]) -> int:
    """The column that holds nothing but tags, from 0; rows have their line numbers."""
    width = len(rows[0][1])
    columns = range(width)
    if asked is not None:
        number = width if asked == "last" else int(asked) if asked.isdecimal() and len(asked) < 5 else 0
        if not 1 <= number <= width:
            raise UserError(f"--tag-column {asked}: {file}:{rows[0][0]} has {width} columns; give a number from 1 to "
                            f"{width}, or last.")
        columns = range(number - 1, number)
    counts = [Counter(row[column] for _, row in rows) for column in columns]
    fitting = [sum(count for value, count in values.items() if is_tag(value)) for values in counts]
    best = max(fitting)
    *others, column = [column for column, fits in zip(columns, fitting, strict=True) if fits == best]
    if best < len(rows):
        line, value = next((line, row[column]) for line, row in rows if not is_tag(row[column]))
        try:
            parts(value)
        except ValueError as error:
            raise UserError(f"{file}:{line}: in column {column + 1} of {width}, {error}; mend it, or name the tags' "
                            f"column by --tag-column.") from error
    if others:
        note = (f"Columns {', '.join(str(other + 1) for other in others)} and {column + 1} of {width} look like tags: "
                f"column {column + 1} is taken, --tag-column names another.")
        notes += [note] if note not in notes else []
    return column
