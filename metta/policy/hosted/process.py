"""The process of a user's code, and how it is held: its time, what it runs under, where its output goes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metta.common.defaults import ACTION_TIMEOUT_MS
from metta.common.errors import printable
from metta.common.processes import ROOT
from metta.policy.hosted.child import BOOT
from metta.policy.hosted.wire import Wire

SIGNALLED = 128  # exit codes above are what a sandbox makes of signals
MOST_SAID = 200  # characters of what a process says last


class Sandbox(Protocol):
    """Walls around the code of one policy."""

    def __call__(self, folder: Path, setup: str = "", secrets: str = "") -> Sequence[str]:
        """Words before a command whose code lies in a folder, which it may read; `setup` is a script in there that is
        run before it, `secrets` a file with further values of its environment (JSON), there until it has started."""
        ...


@dataclass(frozen=True)
class Hosting:
    """How a user's class is held."""

    action_timeout_ms: float = ACTION_TIMEOUT_MS
    seconds: float | None = None  # for all its answers after a reset; None: no limit
    prefix: Sandbox | None = None  # gives the words before its command
    most_output: int | None = None  # bytes that it may write, kept as its log; None: any, to standard error

    def command(self, folder: str | None, *words: str) -> list[str]:
        """Of a process that works in a folder. (In a sandbox Python need not look for packages that lie elsewhere: it
        is told where to find what can be seen there, and starts in half the time.)"""
        if self.prefix is None:
            return [sys.executable, *words]
        return [*self.prefix(Path(folder or ".")), sys.executable, "-S", *words]


class Output:
    """What a process writes, up to a number of bytes; `too_much` is called once where it writes more."""

    def __init__(self, most: int, too_much: Callable[[], None]) -> None:
        self._most, self._too_much = most, too_much
        self._kept = bytearray()
        self.flooded = False
        self._end, self.into = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """The process has the end that it writes into."""
        os.close(self.into)
        self._reader.start()

    def _read(self) -> None:
        with open(self._end, "rb", buffering=0) as file:
            while data := file.read(1 << 16):
                self._kept += data[: self._most - len(self._kept)]
                if len(self._kept) >= self._most and not self.flooded:
                    self.flooded = True
                    self._too_much()

    def text(self, seconds: float = 1.0) -> str:
        """What has come; waits a little for the end of a process that has ended."""
        self._reader.join(seconds)
        return self._kept.decode(errors="replace")


class Process:
    """A process of a user's code; it ends with the object, and all that it has started."""

    def __init__(
        self,
        command: Sequence[str],
        folder: str | None,
        most_output: int | None,
        handles: Sequence[int] = (),
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """`folder`, if any, is where it works, `handles` what it has open beside its output. `close` is called at its
        end."""
        self.output = Output(most_output, self._kill) if most_output is not None else None
        into = self.output.into if self.output else 2  # what it prints must not get into this process's output
        self._popen = subprocess.Popen(
            command,
            cwd=folder,
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=into,
            start_new_session=True,  # Ctrl-C is for this process
        )
        if self.output:
            self.output.begin()
        self.end = weakref.finalize(self, _end, self._popen, close)

    def wait(self, seconds: float) -> int:
        """Its exit code. Raise subprocess.TimeoutExpired."""
        return self._popen.wait(seconds)

    def _kill(self) -> None:
        kill_all(self._popen.pid)

    def how_it_ended(self, broken: str = "") -> str:
        """For people; waits for an end that is near. `broken`: what it did, if it goes on."""
        try:
            code = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return broken or "it broke off"
        if self.output and self.output.flooded:
            return "it wrote more output than it may"
        number = code - SIGNALLED if code > SIGNALLED else -code
        if number in set(signal.Signals):
            why = ", as for want of memory" if number == signal.SIGKILL else ""
            return f"its process was ended by {signal.Signals(number).name}{why}"
        return f"its process ended itself with exit code {code}"

    def last_words(self) -> str:
        """The last line that it wrote, in brackets; nothing where that is not kept."""
        lines = self.output.text().strip().splitlines() if self.output else []
        return f" ({printable(lines[-1])[:MOST_SAID]})" if lines else ""


class Child(Process):
    """The process in which a class plays; it ends with this process however that ends."""

    def __init__(self, folder: str | None, hosting: Hosting) -> None:
        """`folder`, if any, is where it works and first looks for modules, then in its `src`."""
        ours, theirs = socket.socketpair()
        life, hold = os.pipe()
        path = [*([folder, os.path.join(folder, "src")] if folder else []), *sys.path]
        path += [str(ROOT)] * (str(ROOT) not in path)  # installed from a checkout it is on nobody's path
        command = hosting.command(folder, "-u", "-c", BOOT, str(theirs.fileno()), str(life), *path)

        def close() -> None:
            ours.close()
            os.close(hold)

        super().__init__(command, folder, hosting.most_output, (theirs.fileno(), life), close)
        theirs.close()
        os.close(life)
        self.wire = Wire(ours)


def kill_all(group: int) -> None:
    """Kill a process that leads a group, and what it has started."""
    with suppress(ProcessLookupError):  # they have ended
        os.killpg(group, signal.SIGKILL)


def _end(process: subprocess.Popen, close: Callable[[], None]) -> None:
    close()
    kill_all(process.pid)
    process.wait()
