"""Keys from a terminal: names of what was pressed, and the terminal as it was when all is over."""

import os
import re
import select
import sys
import time
from importlib.util import find_spec
from typing import Any

ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
NAMED = {"\t": "tab", "\x1b": "escape"}
TOKEN = re.compile(r"\x1b[\[O][0-9;?]*[A-Za-z~]|\x1b[\[O]?[0-9;?]*\Z|.", re.DOTALL)
UNFINISHED = re.compile(r"\x1b[\[O]?[0-9;?]*")
MOST = 1024  # bytes read at a time


def decode(text: str) -> tuple[list[str], str]:
    """Names of the keys in what a terminal sent, and the start of an escape sequence that is not complete yet."""
    names, tokens = [], TOKEN.findall(text)
    rest = tokens.pop() if tokens and UNFINISHED.fullmatch(tokens[-1]) else ""
    for token in tokens:
        if len(token) == 1:
            names.append(NAMED.get(token, token))
        elif token[-1] in ARROWS:
            names.append(ARROWS[token[-1]])
        elif token.endswith("[Z"):
            names.append("backtab")
    return names, rest


class Keys:
    """Standard input read key by key between `open` and `close`, where it is a terminal that can do that.

    Ctrl-C and Ctrl-Z stay signals.
    """

    def __init__(self) -> None:
        self.absent = ""  # why there are no keys
        if find_spec("termios") is None:
            self.absent = "this system gives no single keys"
        elif not sys.stdin.isatty():
            self.absent = "standard input is no terminal"
        self._before: list[Any] | None = None
        self._rest = ""

    def open(self) -> None:
        if not self.absent and self._before is None:
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSANOW)

    def close(self) -> None:
        """Give the terminal its attributes back; what was typed ahead is dropped."""
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, self._before)
            self._before = None

    def read(self, timeout: float) -> list[str]:
        """Names of the keys pressed; waits up to `timeout` seconds for the first. A terminal that is gone means q."""
        if self.absent:
            time.sleep(timeout)
            return []
        if not select.select([sys.stdin], [], [], timeout)[0]:
            rest, self._rest = self._rest, ""
            return ["escape"] if rest == "\x1b" else []
        try:
            data = os.read(sys.stdin.fileno(), MOST)
        except OSError:
            data = b""
        if not data:
            return ["q"]
        names, self._rest = decode(self._rest + data.decode(errors="ignore"))
        return names
