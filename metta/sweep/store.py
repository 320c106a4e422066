"""What a storage of trials does, and what is noted of each trial."""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

# Attributes of a trial: who has it, what it came to, the rung at which it was stopped, whether it is the baseline.
WORKER, NOTES, PRUNED_AT, BASELINE = "worker", "notes", "pruned_at", "baseline"


class Store(Protocol):
    """The trials of one sweep."""

    worker: str  # who works here

    @property
    def storage(self) -> BaseStorage:
        """Where they are kept."""
        ...

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else takes a trial meanwhile."""
        ...

    def beat(self) -> None:
        """Give a sign of life."""
        ...

    def holding(self) -> AbstractContextManager[None]:
        """Give signs of life while working on a trial."""
        ...

    def lost(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the trials that somebody took who is gone. To be called under the lock."""
        ...


def new_worker() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
