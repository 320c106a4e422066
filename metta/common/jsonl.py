"""Files of one JSON object per line, however long they are: read line by line, from the end, or a sample of them.

Lines that are cut short, damaged, longer than LONGEST or no object are left out.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

LONGEST = 1 << 20  # bytes of a line
BLOCK = 1 << 16

Row = dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows, oldest first, one at a time."""
    with open(path, "rb") as file:
        while line := _line(file):
            if (row := _row(line)) is not None:
                yield row


def last_rows(path: Path, count: int) -> list[Row]:
    """At most `count` newest rows, oldest first; reads no more of the file than they take."""
    rows: list[Row] = []
    with open(path, "rb") as file:
        for _, line in _lines_backwards(file):
            if len(rows) == count:
                break
            if (row := _row(line)) is not None:
                rows.append(row)
    return rows[::-1]


def cut_after(path: Path, wanted: Callable[[Row], bool]) -> None:
    """Drop what follows the newest row that is wanted: rows that are not, and a torn last line."""
    with open(path, "rb+") as file:
        rows = ((start + len(line) + 1, _row(line)) for start, line in _lines_backwards(file))
        end = next((end for end, row in rows if row is not None and wanted(row)), 0)
        size = file.seek(0, 2)
        file.truncate(min(end, size))
        if end > size:  # its line break is what is torn
            file.seek(0, 2)
            file.write(b"\n")


def sample_rows(path: Path, count: int) -> tuple[list[Row], bool]:
    """At most `count` rows spread evenly over the file's bytes, oldest first, and whether these are all.

    The first and the last row are always among them.
    """
    rows: list[Row] = []
    for row in read_rows(path):
        rows.append(row)
        if len(rows) > count:
            break
    else:
        return rows, True
    size, spread = path.stat().st_size, [rows[0]]
    with open(path, "rb") as file:
        after = 0
        for part in range(1, count - 1):
            file.seek(max(after, size * part // (count - 1)))
            _line(file)  # the rest of the line that the jump fell into
            if (row := _row(_line(file))) is not None:
                spread.append(row)
            after = file.tell()
    newest = last_rows(path, 1)
    return spread + [row for row in newest if row != spread[-1]], False


def is_number(value: object) -> bool:
    """Whether a value of a row is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _line(file: IO[bytes]) -> bytes:
    """The next line; of one that is too long the part that is kept, which is no JSON."""
    line = file.readline(LONGEST)
    rest = line
    while len(rest) == LONGEST and not rest.endswith(b"\n"):
        rest = file.readline(LONGEST)
    return line


def _lines_backwards(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where each line starts, and the line, from the last to the first; one that is too long ends the walk."""
    position, rest = file.seek(0, 2), b""
    while position and len(rest) <= LONGEST:
        start = max(0, position - BLOCK)
        file.seek(start)
        first, *lines = (file.read(position - start) + rest).split(b"\n")
        end = position + len(rest)
        for line in reversed(lines):
            end -= len(line)
            yield end, line
            end -= 1
        position, rest = start, first
    if not position:
        yield 0, rest


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
