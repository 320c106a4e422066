"""The screen that a live view draws on, given back as it was found."""

import os
import signal
import sys
from types import FrameType
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from metta.view.terminal.keys import Keys
from metta.view.terminal.text import Line, width_of

ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT")  # signals that end the process, after the screen is restored

# Between these a terminal shows the last picture: no half of a new one is seen. Those without this mode pass it over.
BEGIN, END = Segment("\x1b[?2026h", None, []), Segment("\x1b[?2026l", None, [])


def shows_pictures(console: Console) -> bool:
    """Whether emoji can be drawn; the text console of Linux has none."""
    return console.encoding.startswith("utf") and os.environ.get("TERM") != "linux"


class Screen:
    """The alternate screen and the keys of a terminal, inside a `with` block.

    Left by an exception, Ctrl-C or a signal that ends the process, the terminal is as before. Ctrl-Z gives it back for
    as long as the process is stopped: call `rest` regularly.
    """

    def __init__(self, console: Console, keys: Keys) -> None:
        self.console, self.keys = console, keys
        self._shown: list[Line] = []
        self._size = (0, 0)
        self._stop_wanted = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Screen":
        for name in ENDING:
            self._handle(name, _end)
        self._handle("SIGTSTP", self._want_stop)
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._close()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def size(self) -> tuple[int, int]:
        """Columns and rows now; what COLUMNS and LINES say may be of another time."""
        size = os.get_terminal_size(self.console.file.fileno())
        return size.columns or 80, size.lines or 24

    def draw(self, lines: list[Line]) -> None:
        """Show lines as wide as the screen; only those that changed are sent."""
        size = (width_of(lines[0]) if lines else 0, len(lines))
        changes: Line = []
        if size != self._size:
            self._shown, self._size = [], size
            changes.append(Control.clear().segment)
        for row, line in enumerate(lines):
            if row >= len(self._shown) or line != self._shown[row]:
                changes += [Control.move_to(0, row).segment, *line]
        self._shown = lines
        if changes:
            self.console.print(Segments([BEGIN, *changes, END]), end="", soft_wrap=True)

    def forget(self) -> None:
        """Draw everything the next time: something else may have written on the screen."""
        self._shown, self._size = [], (0, 0)

    def rest(self) -> bool:
        """Stop if Ctrl-Z asked for it, and come back; whether that was so and the screen is empty now."""
        stopped, self._stop_wanted = self._stop_wanted, False
        if stopped:
            self._close()
            ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, ours)
            self._open()
        return stopped

    def _open(self) -> None:
        self.keys.open()
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)
        self.forget()

    def _close(self) -> None:
        try:
            self.console.show_cursor(True)
            self.console.set_alt_screen(False)
        finally:
            self.keys.close()

    def _handle(self, name: str, handler: Any) -> None:
        number = getattr(signal, name, None)  # Windows has few of them
        if number is not None:
            self._handlers[number] = signal.signal(number, handler)

    def _want_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_wanted = True


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
