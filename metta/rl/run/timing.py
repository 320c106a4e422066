"""Where the time of an epoch goes.

A CUDA device works on what is queued for it while the program goes on. There a phase is the time between two events in
the queue, and nothing is waited for until the times are read.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from metta.policy.ranges import PHASE, named

PHASES = ("env", "inference", "teacher", "npc", "advantage", "forward", "backward", "optimizer")
# Phases of CUDA graphs, which have no others within them: inference and env; forward and backward.
GRAPHS = ("rollout", "minibatch")


class Stopwatch:
    """Seconds per phase since the last reset; what no phase claims is 'other'."""

    def __init__(self, device: torch.device | None = None) -> None:
        """`device` is where the phases' work is done; None: on the processor."""
        self._device = device if device and device.type == "cuda" else None
        self._spare: list[torch.cuda.Event] = []
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds: dict[str, float] = defaultdict(float)
        self._start = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        with named(PHASE + name):
            begin = self._event() if self._device else time.perf_counter()
            try:
                yield
            finally:
                self._count(name, begin)

    def _count(self, name: str, begin: torch.cuda.Event | float) -> None:
        """A phase that has begun then is over."""
        if isinstance(begin, torch.cuda.Event):
            self._events.append((name, begin, self._event()))
        else:
            self._seconds[name] += time.perf_counter() - begin

    def _event(self) -> torch.cuda.Event:
        """An event at the end of what is queued now."""
        event = self._spare.pop() if self._spare else torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def reset(self) -> None:
        self._forget_events()
        self._seconds.clear()
        self._start = time.perf_counter()

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds since the reset and seconds by phase, 'other' included; what is queued is waited for."""
        if self._device:
            torch.cuda.synchronize(self._device)
        total = time.perf_counter() - self._start
        for name, begin, end in self._events:
            self._seconds[name] += begin.elapsed_time(end) / 1000
        self._forget_events()
        phases = {name: self._seconds.get(name, 0.0) for name in PHASES}
        phases |= {name: self._seconds[name] for name in GRAPHS if name in self._seconds}
        return total, {**phases, "other": max(0.0, total - sum(phases.values()))}

    def _forget_events(self) -> None:
        self._spare += [event for _, *pair in self._events for event in pair]
        self._events.clear()
