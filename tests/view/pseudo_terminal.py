"""A command in a terminal of its own: what it shows, what it is typed, and what it leaves behind."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.cells import cell_len

ROOT = Path(__file__).parents[2]
PLAY = (sys.executable, "tools/run.py", "cogsguard.play", "render=unicode")
# A size that is not the terminal's must not be believed.
ENVIRONMENT = {"TERM": "xterm-256color", "COLUMNS": "300", "LINES": "3"}
SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b.|[\r\n]|[^\x1b\r\n]", re.DOTALL)
BEGUN = re.compile(r"\x1b(\[\??[0-9;]*)?$")


class Emulator:
    """The cells that a terminal would show: text, cursor moves, erasing, the alternate screen."""

    def __init__(self, columns: int, rows: int) -> None:
        self.alternate = False
        self.cursor_hidden = False
        self._begun = ""  # of a sequence
        self._picture: list[str] | None = None  # the last one, while the next is drawn
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._picture = None
        self.clear()

    def clear(self) -> None:
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.col = 0

    def feed(self, text: str) -> None:
        """Wherever a sequence is cut, its rest is in what is fed next."""
        text = self._begun + text
        begun = BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        for match in SEQUENCE.finditer(text, 0, len(text) - len(self._begun)):
            private, numbers, command = match.groups()
            if command:
                self._command(bool(private), [int(number or 0) for number in numbers.split(";")], command)
            elif match[0] == "\r":
                self.col = 0
            elif match[0] == "\n":
                self._next_line()
            elif not match[0].startswith("\x1b"):
                self._put(match[0])

    def _command(self, private: bool, numbers: list[int], command: str) -> None:
        if private and numbers == [1049]:
            self.alternate = command == "h"
            self.clear()
        elif private and numbers == [25]:
            self.cursor_hidden = command == "l"
        elif private and numbers == [2026]:
            self._picture = self._drawn() if command == "h" else None
        elif command == "H":
            row, col = (*numbers, 1)[:2] if numbers != [0] else (1, 1)
            self.row, self.col = row - 1, col - 1
            assert self.row < self.rows, "the cursor leaves the screen"
        elif command == "J":
            self.clear()
        else:
            assert command == "m", f"a sequence that is not expected: {numbers} {command}"

    def _put(self, character: str) -> None:
        width = cell_len(character)
        if self.alternate:
            assert self.col + width <= self.columns, f"line {self.row} is too long: {self._drawn()[self.row]!r}"
        elif self.col + width > self.columns:
            self._next_line()
            self.col = 0
        self.cells[self.row][self.col : self.col + width] = [character, *([""] * (width - 1))]
        self.col += width

    def _next_line(self) -> None:
        self.row += 1
        if self.row == self.rows:
            self.cells = [*self.cells[1:], [" "] * self.columns]
            self.row -= 1

    @property
    def lines(self) -> list[str]:
        return self._drawn() if self._picture is None else self._picture

    def _drawn(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.cells]


class PseudoTerminal:
    """A running command, `size` being columns and rows."""

    def __init__(self, *command: str, size: tuple[int, int] = (80, 24)) -> None:
        self.emulator = Emulator(*size)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._master, self._slave = pty.openpty()
        self._set_size(*size)
        self.before = self.attributes()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | ENVIRONMENT,
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        if (columns, rows) != (self.emulator.columns, self.emulator.rows):
            self._read(0)
            self.emulator.resize(columns, rows)
            self._set_size(columns, rows)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def _read(self, timeout: float) -> None:
        """What comes within that time, up to a pause."""
        while select.select([self._master], [], [], timeout)[0]:
            self.emulator.feed(self._decoder.decode(os.read(self._master, 1 << 16)))
            timeout = 0.02

    @property
    def text(self) -> str:
        return "\n".join(self.emulator.lines)

    def wait(self, what: Callable[[str], object], seconds: float = 20) -> str:
        """The screen, once it is as wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.05)
            if what(self.text):
                return self.text
        raise AssertionError(f"not within {seconds} s; the screen:\n{self.text}")

    def settled(self, seconds: float = 0.4) -> str:
        """The screen after some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.05)
        return self.text

    def exit_code(self, seconds: float = 30) -> int:
        """Waits for the end, reading what the command says until then."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.05)
        self._read(0.05)
        return self.process.wait(0.1)
