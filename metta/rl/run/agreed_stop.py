"""Stopping together: a signal that reaches one process of a run stops all of them at one moment."""

from metta.rl.run.signals import Stop, go_on
from metta.rl.world import ALONE, World


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
