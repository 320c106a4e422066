"""How long a command may train: a bound in time beside the one in agent-steps."""

import time

from metta.rl.world import ALONE, World


class TimeLimit:
    """The minutes of one command, over all of its phases, counted by the clock from the end of its first epoch: that
    one compiles what is not in a cache yet."""

    def __init__(self, minutes: float | None, world: World = ALONE) -> None:
        """`minutes` above 0; None: no bound."""
        self._seconds, self._world = None if minutes is None else 60 * minutes, world
        self._began: float | None = None
        self.over = False  # the same on all processes

    def end_epoch(self) -> None:
        """An epoch has been learned from; all processes call this alike."""
        if self._began is None:
            self._began = time.monotonic()
        elif (left := self.left) is not None:
            self.over = self._world.of_leader(left <= 0)

    @property
    def left(self) -> float | None:
        """Seconds that are left, on this process; None without a bound."""
        if self._seconds is None:
            return None
        return self._seconds - (0.0 if self._began is None else time.monotonic() - self._began)

    @property
    def share(self) -> float:
        """How much of the time is over, 0 to 1; 0 without a bound."""
        if self._seconds is None or self.left is None:
            return 0.0
        return min(1.0, 1 - self.left / self._seconds)
