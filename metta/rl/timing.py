"""Where the time of an epoch goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

PHASES = ("env", "inference", "teacher", "npc", "advantage", "forward", "backward", "optimizer")


class Stopwatch:
    """Seconds per phase since the last reset; what no phase claims is 'other'."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - begin

    def reset(self) -> None:
        self._start = time.perf_counter()
        self._seconds.clear()

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds since the reset and seconds by phase, 'other' included."""
        total = time.perf_counter() - self._start
        phases = {name: self._seconds.get(name, 0.0) for name in PHASES}
        return total, {**phases, "other": max(0.0, total - sum(phases.values()))}
