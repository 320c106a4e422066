"""Tables as text: whole words, however wide, so that they can be read, searched and pasted."""

import json
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns side by side under a rule; those numbered in `right` are aligned there."""
    lines = [("  ".join(cells)).rstrip() for cells in _aligned([header, *rows], right)]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """The same as a table of Markdown."""
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, *rows)]
    head, *body = [f"| {' | '.join(cells)} |" for cells in _aligned(escaped, right)]
    rule = ["-" * (width - 1) + (":" if index in right else "-") for index, width in enumerate(_widths(escaped))]
    return "\n".join([head, f"| {' | '.join(rule)} |", *body])


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[list[str]]:
    forms = [f"{'>' if column in right else '<'}{width}" for column, width in enumerate(_widths(rows))]
    return [[f"{cell:{form}}" for cell, form in zip(row, forms, strict=True)] for row in rows]


def as_text(value: object) -> str:
    """A setting's value as one would type it; a dash for none."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, default=str)
