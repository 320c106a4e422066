"""New maps for a pool that is being played on, drawn in the background: no episode need ever repeat a map."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from metta.game.maps.cells import JUNCTION, KIND_MASK
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission

CHUNK = 64  # maps drawn at a time, one chunk ahead of need
Gather = Callable[[np.ndarray], np.ndarray]  # [n] of one batch -> those of all batches of a run, one after the other


def alone(part: np.ndarray) -> np.ndarray:
    """What there is where a run has one batch."""
    return part


class MapRenewal:
    """Replaces maps of a pool by the maps of the seeds that follow the pool's.

    What is replaced by what depends on the calls alone, not on how fast the background is: a call waits if it must.
    Batches of one run (on several processes) have the same pool, renewed by what all of them play.
    """

    def __init__(self, mission: Mission, seed: int, maps: np.ndarray, gather: Gather = alone):
        """`maps` uint8 [P, H, W] are those of `seed` to `seed + P - 1`; `gather` brings together what the run's batches
        play, all of which call `renew` as often."""
        self._mission, self._seed, self._most = mission, seed, int(_objects(maps).max())
        self._gather = gather
        self.numbers = np.arange(len(maps), dtype=np.int64)  # [P]: the map at index i is that of seed + numbers[i]
        self._next = len(maps)  # number of the first map that was not looked at yet
        self._turn = 0  # index of the pool that is replaced next
        self._executor = ThreadPoolExecutor(1, "maps")
        self._chunks: dict[int, Future[np.ndarray]] = {}
        self._ask_for(self._next // CHUNK)

    def renew(self, maps: np.ndarray, in_use: np.ndarray, count: int) -> list[int]:
        """Overwrite `count` of `maps` in turn, leaving out the indices `in_use`, int64 [n], where there are several
        batches for each what it says; returns the indices overwritten."""
        free = np.ones(len(maps), bool)
        free[self._gather(in_use)] = False
        order = np.roll(np.arange(len(maps)), -self._turn)
        chosen = order[free[order]][: self._gather(np.array([count])).sum()].tolist()
        for index in chosen:
            self.numbers[index], maps[index] = self._draw()
            self._turn = (index + 1) % len(maps)
        return chosen

    def _draw(self) -> tuple[int, np.ndarray]:
        """The next map and its number; one with more objects than any at first had is passed over."""
        while True:
            number = self._next
            self._next += 1
            self._ask_for(number // CHUNK)
            drawn = self._chunks[number // CHUNK].result()[number % CHUNK]
            if _objects(drawn[None])[0] <= self._most:
                return number, drawn

    def _ask_for(self, chunk: int) -> None:
        """Have a chunk and the one behind it drawn, forget those before."""
        self._chunks = {key: future for key, future in self._chunks.items() if key >= chunk}
        for key in (chunk, chunk + 1):
            if key not in self._chunks:
                first = self._seed + key * CHUNK
                self._chunks[key] = self._executor.submit(build_pool, self._mission, CHUNK, first, 1)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"map_numbers": self.numbers.copy(), "map_position": np.array([self._next, self._turn], np.int64)}

    def load_state_dict(self, state: dict[str, np.ndarray], maps: np.ndarray) -> list[int]:
        """Go on from `state_dict`; draws the maps of the pool that it had, and returns the indices of those that are
        others now."""
        changed = np.flatnonzero(state["map_numbers"] != self.numbers).tolist()
        for index in changed:
            maps[index] = build_pool(self._mission, 1, self._seed + int(state["map_numbers"][index]), 1)[0]
        self.numbers[:] = state["map_numbers"]
        self._next, self._turn = (int(value) for value in state["map_position"])
        self._ask_for(self._next // CHUNK)
        return changed

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


def _objects(maps: np.ndarray) -> np.ndarray:
    return ((maps & KIND_MASK) >= JUNCTION).reshape(len(maps), -1).sum(1)
