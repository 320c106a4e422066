"""Stopping on request: the first signal asks the loop to end, the second ends the process at once.

Ctrl-C may take as long as it takes; who sends another of the signals, such as a scheduler, kills soon, so the process
ends by itself before that. All of it works also while the process waits for others and would not come to its handlers.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from metta.common.logging import note, warn

# SIGHUP: the terminal was closed; SIGUSR1: what SLURM sends ahead with --signal=USR1@120
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
TOGETHER = 1.0  # seconds: schedulers signal every process, and who has started them passes it on: that is one request
OVERDUE = 128 + signal.SIGTERM  # exit code of a process that did not stop in time


Stop = Callable[[], bool]  # whether the run has been asked to stop


def go_on() -> bool:
    """A `Stop` that never comes true."""
    return False


class StoppedError(Exception):
    """An epoch was given up midway because a signal asked to stop; the run is to go back to its start."""


class StopRequest:
    """True once a signal has asked this process to stop. As a context manager, in the main thread, it has the handlers.

    The process ends with OVERDUE where it has not stopped `grace` seconds after another signal than Ctrl-C.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._asked: signal.Signals | None = None

    def __call__(self) -> bool:
        return self._asked is not None

    @property
    def reason(self) -> str:
        return "" if self._asked is None else self._asked.name

    def __enter__(self) -> "StopRequest":
        self._heard, self._told = os.pipe()
        os.set_blocking(self._told, False)
        self._earlier = signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._handle) for number in heard()}
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="signals")
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._earlier)
        os.close(self._told)
        self._watcher.join()
        os.close(self._heard)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked = self._asked or signal.Signals(number)

    def _watch(self) -> None:
        """Read the numbers of signals, which the system writes as they come, until the other end is closed."""
        first, came, deadline = None, 0.0, None
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not select.select([self._heard], [], [], left)[0]:
                warn(f"not stopped within {self._grace:g} s (system.grace_seconds); ending without saving")
                os._exit(OVERDUE)
            numbers = os.read(self._heard, 1)
            if not numbers:
                return
            if numbers[0] not in SIGNALS:
                continue
            if first and is_again(numbers[0], came):
                os._exit(128 + numbers[0])
            if first:
                continue
            first, came = signal.Signals(numbers[0]), time.monotonic()
            self._asked, deadline = first, None if first == signal.SIGINT else came + self._grace
            note(f"{first.name}: saving, then stopping; once more to stop at once")


def heard() -> list[signal.Signals]:
    """SIGNALS without that of a closed terminal where the process was started to go on then, as by nohup."""
    return [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def is_again(number: int, came: float) -> bool:
    """Whether a signal after the first, which came at that time of the monotonic clock, is a request of its own."""
    return number == signal.SIGINT or time.monotonic() - came > TOGETHER
