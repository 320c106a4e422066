"""How commands print data: a table for people, or one JSON or YAML document and nothing else."""

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from metta.common.documents import as_text

PLAIN_WIDTH = 160  # columns where standard output is no terminal


class Format(StrEnum):
    table = "table"
    json = "json"
    yaml = "yaml"


def show(output: Format, document: dict[str, Any], as_table: Callable[[], Any]) -> None:
    """Print a document in the format asked for; what `as_table` returns is for rich."""
    if output is Format.table:
        from rich.console import Console

        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        with console.capture() as captured:
            console.print(as_table())
        print("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))
    else:
        print(as_text(output.value, document))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Any:
    """A rich table. A column whose name begins with `>` is aligned to the right; without any name there is no head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    head = any(columns)
    result = Table(
        title=title, box=box.SIMPLE_HEAD if head else None, title_justify="left", pad_edge=False, show_header=head
    )
    for name in columns:
        result.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    for row in rows:
        result.add_row(*(Text(str(cell)) for cell in row))
    return result
