"""What is made once for all who ask for it within a moment."""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key, those asked for last: fresh for some seconds; then made anew, for which readers wait only once it
    is stale."""

    def __init__(self, fresh: float, stale: float, most: int) -> None:
        self._fresh, self._stale, self._most = fresh, stale, most
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()  # when each was made, and what it is
        self._lock = threading.Lock()

    async def get(self, key: Hashable, make: Callable[[T | None], T]) -> T:
        """The value of a key; `make` makes it, of the earlier one if there is one."""
        made, value = self._values.get(key, (0.0, None))
        age = time.monotonic() - made
        if value is None or age > self._stale:
            return await run_in_threadpool(self._look, key, make)
        if age > self._fresh and not self._lock.locked():  # nobody waits for the new one
            self._making = asyncio.create_task(run_in_threadpool(self._look, key, make))
        return value

    def _look(self, key: Hashable, make: Callable[[T | None], T]) -> T:
        """The value as it is now; of several that look at once one makes it."""
        with self._lock:
            made, value = self._values.get(key, (0.0, None))
            if value is None or time.monotonic() - made > self._fresh:
                value = make(value)
                self._values[key] = time.monotonic(), value
                self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            return value
