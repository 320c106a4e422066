"""Stopping on request: the first Ctrl-C or SIGTERM asks the loop to end, the second ends the process at once."""

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType

from metta.common.logging import note
from metta.rl.world import ALONE, World

SIGNALS = (signal.SIGINT, signal.SIGTERM)


Stop = Callable[[], bool]  # whether the run has been asked to stop


def go_on() -> bool:
    """A `Stop` that never comes true."""
    return False


class AgreedStop:
    """Whether any process of a world has been asked to stop. All ask alike often, and now and then one another."""

    EVERY = 16  # calls

    def __init__(self, stop: Stop, world: World) -> None:
        self.own, self._world = stop, world
        self._calls, self._agreed = 0, False

    def __call__(self) -> bool:
        if self._world.size == 1:
            return self.own()
        self._calls += 1
        return self.now() if self._calls % self.EVERY == 0 else self._agreed

    def now(self) -> bool:
        """As a call, but they ask one another in any case."""
        self._agreed = self._agreed or self._world.any(self.own())
        return self._agreed


NEVER = AgreedStop(go_on, ALONE)


class StoppedError(Exception):
    """An epoch was given up midway because a signal asked to stop; the run is to go back to its start."""


class StopRequest:
    """True once a signal has asked to stop. As a context manager it holds the handlers."""

    def __init__(self) -> None:
        self._asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> bool:
        return self._asked is not None

    @property
    def reason(self) -> str:
        return "" if self._asked is None else self._asked.name

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None:
            os._exit(128 + number)
        self._asked = signal.Signals(number)
        note(f"{self._asked.name}: saving, then stopping; once more to stop at once")
