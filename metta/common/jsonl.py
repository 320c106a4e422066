"""Files of one JSON object per line, however long they are: read line by line, from the end, or a sample of them.

Lines that are cut short, damaged, longer than LONGEST or no object are left out, and a warning says so once per file;
a row that was written behind a line that is cut short is found.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

from metta.common.logging import warn

LONGEST = 1 << 20  # bytes of a line
BLOCK = 1 << 16

Row = dict[str, Any]


def append_row(path: Path, row: Row) -> None:
    """Add a row, on a line of its own whatever the file ends with."""
    with RowFile(path) as file:
        file.write(row)


class RowFile:
    """A file to which rows are added; each is with the system, whole, when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab+", buffering=0)  # noqa: SIM115 - closed by close()
        end = self._file.seek(0, os.SEEK_END)
        self._torn = end > 0 and os.pread(self._file.fileno(), 1, end - 1) != b"\n"

    def write(self, row: Row) -> None:
        """Add a row. A disk that is full costs this one alone: raises OSError."""
        data = b"\n" * self._torn + json.dumps(row).encode() + b"\n"
        while data:
            count = self._file.write(data) or 0
            self._torn, data = data[count - 1 : count] != b"\n" if count else self._torn, data[count:]

    def write_again(self) -> bool:
        """Make the file anew with all its rows if another, or none, is in its place: this process has it open still.

        Return whether that was so; what was in its place is kept as `<name>.replaced`. Raises OSError where the file
        cannot be made; the rows are not lost then.
        """
        with suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                return False
        if os.path.lexists(self._path):
            os.replace(self._path, self._path.with_name(f"{self._path.name}.replaced"))
        with ExitStack() as opened:
            anew = opened.enter_context(open(self._path, "ab+", buffering=0))
            self._file.seek(0)
            shutil.copyfileobj(self._file, anew)
            opened.pop_all()
        self._file.close()
        self._file = anew
        return True

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def read_rows(path: Path) -> Iterator[Row]:
    """The rows, oldest first, one at a time."""
    with open(path, "rb") as file:
        while line := _line(file):
            if (row := _row(line, path)) is not None:
                yield row


def last_rows(path: Path, count: int) -> list[Row]:
    """At most `count` newest rows, oldest first; reads no more of the file than they take."""
    rows: list[Row] = []
    with open(path, "rb") as file:
        for _, line in _lines_backwards(file):
            if len(rows) == count:
                break
            if (row := _row(line, path)) is not None:
                rows.append(row)
    return rows[::-1]


def cut_after(path: Path, wanted: Callable[[Row], bool]) -> None:
    """Drop what follows the newest row that is wanted: rows that are not, and a torn last line."""
    with open(path, "rb+") as file:
        rows = ((start + len(line) + 1, _row(line, path)) for start, line in _lines_backwards(file))
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
            if (row := _row(_line(file), path)) is not None:
                spread.append(row)
            after = file.tell()
    newest = last_rows(path, 1)
    return spread + [row for row in newest if row != spread[-1]], False


def is_number(value: object) -> bool:
    """Whether a value of a row is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


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


def _row(line: bytes, path: Path) -> Row | None:
    """The row of a line, None for none. One that was written behind a line that is cut short begins as that does."""
    if not line.strip():
        return None
    if (row := _object(line)) is None:
        _say_damaged(path)
        begin = line[: line.find(b":") + 1]
        start = line.rfind(begin) if begin else 0
        row = _object(line[start:]) if start else None
    return row


def _object(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


@cache
def _say_damaged(path: Path) -> None:
    warn(f"{path}: not every line can be read; what is cut short or damaged is left out")
