"""A batch of environments stepped together: the class that users of the engine hold."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from metta.common.errors import UserError
from metta.common.seeds import Seed
from metta.game.compilation import ENGINE, compile_ahead
from metta.game.engine import layout as L
from metta.game.engine.cpu import reset_some, step_range
from metta.game.engine.random import environment_keys
from metta.game.engine.tables import TableBuilder
from metta.game.maps.cells import JUNCTION, KIND_MASK, TEAM_SHIFT, WALL
from metta.game.maps.drawn import check_maps
from metta.game.maps.renewal import MapRenewal
from metta.game.mission import Mission
from metta.game.observation import cell_name, env_info, resources

CHUNK = 16  # environments that a thread takes at a time, at least
KEYS = "keys"  # in a saved state
# Agents, int64 [n] among all, and what they last saw, uint8 [n, 200, 3], where the buffers lie.
Cut = tuple[np.ndarray, Any]
# Of environments whose episode ended: their numbers [n], rows of `env`, `agents` and `teams`, and returns [n, A].
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Episode:
    """A finished episode: what `Batch.take_episodes` hands out."""

    env: int  # number of the environment it was played in
    number: int  # of that environment's episodes, counted from the first one of the batch
    map: int  # index of its map in the pool
    steps: int
    returns: np.ndarray  # float32 [A]: sum of rewards
    agent: dict[str, np.ndarray]  # statistic: float64 [A]
    collective: dict[str, dict[str, float]]  # team: statistic: value
    game: dict[str, float]

    def __getstate__(self) -> dict[str, Any]:
        """For pickle, with the statistics of agents as one array: as many small ones take eight times as long."""
        return {**vars(self), "agent": (tuple(self.agent), np.array(list(self.agent.values())))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        names, values = state["agent"]
        vars(self).update(state, agent=dict(zip(names, values, strict=True)))


class Batch(ABC):
    """`num_envs` environments of one mission, wherever their state lies.

    The caller owns the buffers: observations uint8 [E, A, 200, 3], rewards float32 [E, A], terminals and truncations
    bool [E, A], actions int32 [E, A], all C-contiguous. With `auto_reset` an episode that ends is followed by the next
    one within the same step: the observation written is then the first of the new episode.
    """

    device: Literal["cpu", "cuda"] = "cpu"  # where the buffers lie
    resumes = True  # `load_state_dict` goes on in the midst of episodes
    _state: L.State
    _keys: Any  # uint64 [E], where the state lies

    def __init__(
        self,
        mission: Mission,
        num_envs: int,
        maps: np.ndarray,
        renewal: MapRenewal | None = None,
        objects: int | None = None,
        first: int = 0,
    ):
        """`maps` is the pool, uint8 [P, H, W], which `renewal` renews; `objects` is the room for those of a map, None:
        for those of the fullest. The environments are numbers `first` and on of a run that may have others elsewhere:
        they play as they would in a batch of all. Raises UserError when the maps do not fit the mission."""
        compile_ahead(ENGINE)
        check_maps(mission, maps)
        self.mission, self.info = mission, env_info(mission)
        self.num_envs, self.num_agents, self._resources = num_envs, mission.agents, len(resources(mission))
        self.first = first
        objects = objects or int(((maps & KIND_MASK) >= JUNCTION).reshape(len(maps), -1).sum(1).max())
        self._builder = TableBuilder(mission, (maps.shape[1], maps.shape[2]), max(1, objects), first)
        self._tables = self._builder.tables(np.ascontiguousarray(maps, np.uint8))
        self._renewal = renewal
        self._map_counts: dict[int, dict[str, float]] = {}

    @abstractmethod
    def reset(self, observations: Any, seed: Seed | None = None) -> None:
        """Start the first episode of every environment, from other seeds if any are given; writes the observations."""

    @abstractmethod
    def step(self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any) -> None:
        """Advance every environment by one step. Flat actions outside the mission's are counted and ignored."""

    @abstractmethod
    def take_episodes(self) -> list[Episode]:
        """Episodes that finished since the last call, in the order in which they ended."""

    @abstractmethod
    def take_truncated(self) -> Cut | None:
        """Of the last step the agents whose episode was cut short though the game would go on (truncation), where the
        next one has taken its place; None if there are none."""

    @abstractmethod
    def _host_state(self) -> L.State:
        """The present state where numpy can read it."""

    @abstractmethod
    def _host_keys(self) -> np.ndarray:
        """What the environments' random numbers follow from, a copy, uint64 [E]."""

    @abstractmethod
    def _write(self, mine: Any, array: np.ndarray) -> None:
        """Replace the contents of an array of the state."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the batch holds besides memory."""

    def _allocate(self, slots: int, zeros: Callable[[Any, Any], Any]) -> L.State:
        """Arrays of the state, made by `zeros(shape, dtype)`; `slots` environments are observed at a time."""
        header, envs, agents = self._builder.header, self.num_envs, self.num_agents
        cells, collectives = header[L.T_CELLS], header[L.T_COLLECTIVES]
        return L.State(
            cells=zeros((envs, cells), np.uint32),
            bits=zeros((envs, header[L.T_BITS]), np.uint64),
            cover=zeros((envs, cells, collectives), np.uint16),
            agents=zeros((envs, agents, header[L.T_AGENT_COLUMNS]), np.int32),
            objects=zeros((envs, header[L.T_OBJECTS], L.OB_COLUMNS), np.int32),
            blocks=zeros((envs, header[L.T_CODES], L.BLOCK_WORDS), np.uint64),
            teams=zeros((envs, collectives, header[L.T_TEAM_COLUMNS]), np.int32),
            env=zeros((envs, L.EN_COLUMNS), np.int32),
            floats=zeros((envs, agents, header[L.T_FLOAT_COLUMNS]), np.float32),
            rng=zeros((envs,), np.uint64),
            scratch=zeros((slots, agents, header[L.T_SCRATCH]), np.uint8),
        )

    @property
    def bytes_per_env(self) -> int:
        """Memory of one environment's state, without the shared map pool and the caller's buffers."""
        return sum(array.nbytes for name, array in self._state._asdict().items() if name != "scratch") // self.num_envs

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self._tables.maps.shape[1:]

    def episode_numbers(self) -> np.ndarray:
        """Number of the present episode of every environment, int64 [E]."""
        return self._env_rows()[:, L.EN_EPISODE].astype(np.int64) - 1

    def _env_rows(self) -> np.ndarray:
        """The rows `env` of the state where numpy can read them, int32 [E, …]."""
        return self._host_state().env

    def _renew_maps(self, count: int) -> None:
        """Put new maps into the pool after so many episodes."""
        if self._renewal:
            self._replaced(self._renewal.renew(self._tables.maps, self._env_rows()[:, L.EN_MAP], count))

    def _replaced(self, indices: list[int]) -> None:
        """Other maps lie at these indices of the pool now."""
        for index in indices:
            self._map_counts.pop(index, None)

    def _rows(self, which: np.ndarray) -> Rows:
        s = self._host_state()
        return which, s.env[which], s.agents[which], s.teams[which], s.floats[which, :, L.FL_RETURN]

    def _episodes_of(self, rows: Rows) -> Iterator[Episode]:
        """The episodes whose rows were kept, with their statistics by name (rules 7.3)."""
        builder = self._builder
        start = builder.header[L.T_STATS]
        for e, env, agents, teams, returns in zip(*rows, strict=True):
            chosen, written = int(env[L.EN_MAP]), int(env[L.EN_WRITTEN])
            counters = agents[:, start : start + builder.agent_stats.size]
            if chosen not in self._map_counts:
                self._map_counts[chosen] = map_counts(self._tables.maps[chosen], self.mission)
            yield Episode(
                env=self.first + int(e),
                number=int(env[L.EN_EPISODE]) - 1,
                map=chosen,
                steps=int(env[L.EN_STEP]),
                returns=returns,
                agent=builder.agent_stats.named(counters, agents[:, L.AG_INVENTORY : L.AG_INVENTORY + self._resources]),
                collective={name: builder.team_stats.named(teams[c]) for c, name in enumerate(builder.collectives)},
                game={
                    "tokens_written": float(written),
                    "tokens_dropped": float(env[L.EN_DROPPED]),
                    "tokens_free_space": float(int(env[L.EN_OBSERVATIONS]) * L.TOKENS - written),
                    **self._map_counts[chosen],
                },
            )

    def statistics(self, e: int) -> Episode:
        """The present episode of environment `e` so far."""
        return next(self._episodes_of(self._rows(np.array([e]))))

    # Views of the state for traces, renderers and scripts; copies, so that they stay as they were.

    def positions(self) -> np.ndarray:
        """Row and column of every agent, int32 [E, A, 2]."""
        return self._host_state().agents[:, :, [L.AG_ROW, L.AG_COL]] - L.PAD

    def inventories(self) -> np.ndarray:
        """Inventory of every agent in resource order, int32 [E, A, R]."""
        return self._host_state().agents[:, :, L.AG_INVENTORY : L.AG_INVENTORY + self._resources].copy()

    def vibes(self) -> np.ndarray:
        """Vibe id of every agent, int32 [E, A]."""
        return self._host_state().agents[:, :, L.AG_VIBE].copy()

    def successes(self) -> np.ndarray:
        """Whether each agent's last action succeeded, bool [E, A]."""
        return self._host_state().agents[:, :, L.AG_SUCCESS] != 0

    def team_inventory(self) -> np.ndarray:
        """Inventory of every collective in id order, int32 [E, C, R]."""
        return self._host_state().teams[:, :, : self._resources].copy()

    def objects(self, e: int) -> list[dict[str, Any]]:
        """Objects of environment `e`, walls left out: type, row, col, owner (collective name or None), stock."""
        s, found = self._host_state(), []
        for o in range(int(s.env[e, L.EN_OBJECTS])):
            row = s.objects[e, o]
            cell, agents = int(row[L.OB_CELL]), self.num_agents
            if int(s.cells[e, cell]) & L.CODE_MASK != L.CELL_FIRST + agents + o:
                continue  # emptied and gone
            r, c = int(row[L.OB_ROW]) - L.PAD, int(row[L.OB_COL]) - L.PAD
            code = int(self._tables.maps[s.env[e, L.EN_MAP], r, c])
            owner = int(row[L.OB_OWNER])
            found.append(
                {
                    "type": cell_name(code & KIND_MASK, self.mission, code >> TEAM_SHIFT),
                    "row": r,
                    "col": c,
                    "owner": None if owner < 0 else self._builder.collectives[owner],
                    "stock": int(row[L.OB_STOCK]),
                }
            )
        return found

    def object_states(self) -> np.ndarray:
        """Owner (collective id, -1 none, -2: object gone) and stock of every object, int32 [E, O, 2].

        They come in the order in which `objects` lists them at the start of the episode; rows beyond those of an
        environment are of no object.
        """
        s = self._host_state()
        codes = s.cells[np.arange(self.num_envs)[:, None], s.objects[:, :, L.OB_CELL]] & L.CODE_MASK
        states = s.objects[:, :, [L.OB_OWNER, L.OB_STOCK]]
        states[:, :, 0][codes != L.CELL_FIRST + self.num_agents + np.arange(s.objects.shape[1])] = -2
        return states

    def steps(self) -> np.ndarray:
        """Steps that the present episode of every environment has had, int32 [E]."""
        return self._host_state().env[:, L.EN_STEP].copy()

    def map(self, e: int) -> np.ndarray:
        """Initial map of environment `e`'s present episode, uint8 [H, W]."""
        return self._tables.maps[self._host_state().env[e, L.EN_MAP]]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that resuming needs, by name; the maps are not part of it."""
        state = {name: array.copy() for name, array in self._host_state()._asdict().items() if name != "scratch"}
        return state | {KEYS: self._host_keys()} | (self._renewal.state_dict() if self._renewal else {})

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state_dict`. Raises UserError when the shapes are of another mission or batch."""
        if self._renewal and "map_numbers" in state:
            self._replaced(self._renewal.load_state_dict(state, self._tables.maps))
        for name, array in ((name, array) for name, array in state.items() if name in (KEYS, *self._state._fields)):
            mine = self._keys if name == KEYS else getattr(self._state, name)
            if mine.shape != array.shape:
                raise UserError(f"environment state '{name}' has shape {array.shape}, this run needs {mine.shape}")
            self._write(mine, array)


class EnvBatch(Batch):
    """Environments on the processor, stepped by threads."""

    def __init__(
        self,
        mission: Mission,
        num_envs: int,
        *,
        maps: np.ndarray,
        seed: Seed = 0,
        threads: int = 1,
        auto_reset: bool = True,
        desync: bool = False,
        renewal: MapRenewal | None = None,
        objects: int | None = None,
        first: int = 0,
    ):
        """`maps` is the pool, uint8 [P, H, W]; `seed` is one for all environments or one for each; `desync` cuts
        every first episode at a random step. With `renewal`, `take_episodes` puts a new map into the pool for every
        episode that it hands out. `objects`, `first`: as `Batch`.

        Raises:
            UserError: the maps do not fit the mission.
        """
        super().__init__(mission, num_envs, maps, renewal, objects, first)
        self._threads = max(1, min(threads, num_envs))
        self._state = self._allocate(self._threads, _aligned)
        self._flat = L.State(*(array.reshape(-1) for array in self._state))
        self._keys = environment_keys(seed, num_envs, first)
        self._auto_reset, self._desync = auto_reset, desync
        self._ended: list[Rows] = []
        self._cut: list[tuple[np.ndarray, np.ndarray]] = []  # environments, and all that their agents last saw
        self._shares = [_halving(*share) for share in pairwise(np.linspace(0, num_envs, self._threads + 1, dtype=int))]
        self._pool = ThreadPoolExecutor(self._threads - 1, "env") if self._threads > 1 else None

    def reset(self, observations: np.ndarray, seed: Seed | None = None) -> None:
        """Start the first episode of every environment, from other seeds if any are given; writes the observations."""
        if seed is not None:
            self._keys = environment_keys(seed, self.num_envs, self.first)
        self._state.env[:] = 0
        self._ended.clear()
        self._reset(np.arange(self.num_envs), observations, self._desync)

    def start_episodes(self, which: np.ndarray, observations: np.ndarray) -> None:
        """Start the next episode of the environments with the indices `which`; writes their first observations."""
        self._reset(which, observations)

    def _reset(self, which: np.ndarray, observations: np.ndarray, desync: bool = False, slot: int = 0) -> None:
        which = which.astype(np.int64)
        reset_some(self._tables, self._flat, which, self._keys, desync, slot, observations.reshape(-1))

    def step(
        self,
        actions: np.ndarray,
        observations: np.ndarray,
        rewards: np.ndarray,
        terminals: np.ndarray,
        truncations: np.ndarray,
    ) -> None:
        """Advance every environment by one step. Flat actions outside the mission's are counted and ignored."""
        actions = actions.astype(np.int32, copy=False)  # of another type the whole engine would be compiled once more
        flat = tuple(array.reshape(-1) for array in (actions, observations, rewards, terminals, truncations))
        ended: list[Rows] = []
        self._cut.clear()
        if self._pool is None or self.num_envs <= CHUNK:
            self._advance(0, self.num_envs, 0, flat, ended)
        else:
            self._step_parallel(flat, ended)
        self._ended += sorted(ended, key=lambda rows: rows[0][0])  # whichever thread came first

    def _advance(self, start: int, stop: int, slot: int, flat: tuple[np.ndarray, ...], ended: list[Rows]) -> None:
        """Step environments start..stop-1, keep the rows of those whose episode ended in `ended`, start the next."""
        step_range(self._tables, self._flat, start, stop, slot, *flat)
        which = start + np.flatnonzero(self._state.env[start:stop, L.EN_ENDED])
        if which.size:
            ended.append(self._rows(which))
            if self._auto_reset:
                if (cut := which[flat[4][which * self.num_agents]]).size:
                    self._cut.append((cut, flat[1].reshape(self.num_envs, -1)[cut]))
                self._reset(which, flat[1], slot=slot)

    def _step_parallel(self, flat: tuple[np.ndarray, ...], ended: list[Rows]) -> None:
        """Every thread advances its own share of the environments, then helps the others with the end of theirs.

        The compiled code runs without the GIL. Shares keep an environment in one core's cache.
        """
        shares = [deque(ranges) for ranges in self._shares]

        def work(slot: int) -> None:
            for turn in range(self._threads):
                share = shares[(slot + turn) % self._threads]
                with suppress(IndexError):  # nothing is left of this share
                    while True:
                        self._advance(*(share.popleft() if turn == 0 else share.pop()), slot, flat, ended)

        assert self._pool is not None
        futures: list[Future[None]] = [self._pool.submit(work, slot) for slot in range(1, self._threads)]
        work(0)
        for future in futures:
            future.result()

    def take_episodes(self) -> list[Episode]:
        """Episodes that finished since the last call, in the order in which they ended."""
        taken, self._ended = self._ended, []
        episodes = [episode for rows in taken for episode in self._episodes_of(rows)]
        self._renew_maps(len(episodes))
        return episodes

    def take_truncated(self) -> Cut | None:
        taken, self._cut = sorted(self._cut, key=lambda part: part[0][0]), []
        if not taken:
            return None
        envs, seen = (np.concatenate(parts) for parts in zip(*taken, strict=True))
        return agents_of(envs, self.num_agents), seen.reshape(-1, self.info.num_tokens, L.TOKEN_BYTES)

    def _host_state(self) -> L.State:
        return self._state

    def _host_keys(self) -> np.ndarray:
        return self._keys.copy()

    def _write(self, mine: np.ndarray, array: np.ndarray) -> None:
        mine[:] = array

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self._renewal:
            self._renewal.close()


def agents_of(envs: np.ndarray, agents: int) -> np.ndarray:
    """Indices among all agents, int64 [n * agents], of those of some environments, int64 [n]."""
    return (envs[:, None] * agents + np.arange(agents)).reshape(-1)


def _halving(start: int, stop: int) -> list[tuple[int, int]]:
    """Ranges that cover start..stop-1, each half of what is left, at least CHUNK: few calls, an even end."""
    ranges = []
    while start < stop:
        size = max(CHUNK, (stop - start) // 2)
        ranges.append((start, min(start + size, stop)))
        start += size
    return ranges


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that start at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + L.CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % L.CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def map_counts(grid: np.ndarray, mission: Mission) -> dict[str, float]:
    """`objects.<type>` counts of a map; agents by team and number (rules 7.3)."""
    counts: dict[str, float] = {}
    codes, numbers = np.unique(grid, return_counts=True)
    for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
        kind, team = code & KIND_MASK, code >> TEAM_SHIFT
        if kind >= JUNCTION or kind == WALL:
            name = f"objects.{cell_name(kind, mission, team)}"
            counts[name] = counts.get(name, 0.0) + number
    for name, size in zip(mission.teams, mission.team_sizes, strict=True):
        counts |= {f"objects.agent.{name}.{k}": 1.0 for k in range(size)}
    return counts
