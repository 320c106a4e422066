"""A batch of environments that lives on a CUDA device."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from metta.common.errors import UserError
from metta.common.logging import warn
from metta.common.seeds import Seed
from metta.game.engine import layout as L
from metta.game.engine.batch import Batch, Cut, EnvBatch, Episode, agents_of
from metta.game.engine.cuda import (
    CL_ENDED,
    CL_LOGGED,
    MOST_THREADS,
    SIMULATED,
    Buffers,
    Frames,
    Log,
    act_step,
    end_step,
    live_step,
    observe_step,
    place_starts,
    record_episodes,
    renew_episodes,
)
from metta.game.engine.random import environment_keys
from metta.game.maps.renewal import MapRenewal
from metta.game.mission import Mission

LANES, BLOCK = (2, 32) if SIMULATED else (32, 256)  # threads per agent, threads that a block should not exceed
THREADS = 4 if SIMULATED else 32  # of a block without lanes: small, to spread over all multiprocessors
COPY_THREADS, COPY_BLOCKS = (2, 2) if SIMULATED else (256, 528)  # blocks: four for each multiprocessor of an H200
NEVER = -1
LOGGED = 1024  # finished episodes that wait to be taken, at least


class CudaEnvBatch(Batch):
    """Environments on the device that is current when the batch is made, in 6 launches per step (`engine.cuda`).

    The caller's buffers are arrays on the same device, of any library that shows `__cuda_array_interface__`, of the
    shapes and types that `Batch` names; nothing is copied. All work is queued on `stream()`, the handle of the stream
    of the moment (0: the default one), so it is ordered with what the caller queues there. `reset` and `step` do not
    wait for it; the other methods do. After a first call, `advance` can be captured in a CUDA graph.
    """

    device = "cuda"

    def __init__(
        self,
        mission: Mission,
        num_envs: int,
        *,
        maps: np.ndarray,
        seed: Seed = 0,
        auto_reset: bool = True,
        desync: bool = False,
        renewal: MapRenewal | None = None,
        first: int = 0,
        stream: Callable[[], int] = lambda: 0,
    ):
        """`maps` is the pool, uint8 [P, H, W]; `seed` one for all environments or one for each; `desync` cuts every
        first episode at a random step; `renewal` and `first` as of `EnvBatch`.

        Raises:
            UserError: the maps do not fit the mission, or there is no device.
        """
        if not cuda.is_available():
            raise UserError("there is no CUDA device for the environments; backend=cpu runs them on the processor")
        super().__init__(mission, num_envs, maps, renewal, first=first)
        if self.num_agents > MOST_THREADS:
            raise UserError(f"the cuda backend plays at most {MOST_THREADS} agents per environment")
        self._keys = _upload(environment_keys(seed, num_envs, first))
        self._auto_reset, self._desync, self._stream = auto_reset, desync, stream
        self._lanes = max(1, min(LANES, BLOCK // self.num_agents))
        self._state = self._allocate(num_envs, _empty)
        self._flat = L.State(*(array.reshape(-1) for array in self._state))
        self._device_tables = L.Tables(*map(_upload, self._tables))
        self._starts, self._first = self._start_on(maps)
        self._cuts = desync or bool(self._builder.header[L.T_TRUNCATE])  # whether any episode is ever cut short
        self._left: np.ndarray | None = None  # steps until each environment's episode is cut, int64 [E]; None: ask
        self._cutting = np.zeros(0, np.int64)  # environments whose episode is cut in the next step
        self._cut: Cut | None = None
        self._log = self._make_log(max(LOGGED, num_envs))
        self._kept: list[Episode] = []  # taken from the log so that it has room
        self._taken = self._handed = 0  # episodes read from the log, and handed out
        self._unread = 0  # steps since the log was read
        cuda.synchronize()  # what was copied is there, whatever stream comes to use it

    def _start_on(self, maps: np.ndarray) -> tuple[L.State, Frames]:
        """State and observations at the start of an episode on every map, made on the processor."""
        batch = EnvBatch(self.mission, len(maps), maps=maps, objects=int(self._builder.header[L.T_OBJECTS]))
        observations = np.zeros((len(maps), self.num_agents, self.info.num_tokens, L.TOKEN_BYTES), np.uint8)
        batch.reset(observations)
        state = batch._host_state()
        return L.State(*(_upload(array.reshape(-1)) for array in state)), Frames(_upload(observations.reshape(-1)))

    def _replaced(self, indices: list[int]) -> None:
        super()._replaced(indices)
        if indices:
            new, observations = self._start_on(self._tables.maps[indices])
            cuda.synchronize()  # they are there, whatever stream the kernel runs on
            grid = min(len(indices), COPY_BLOCKS), COPY_THREADS, self._queue()
            place_starts[grid](self._starts, self._first, new, observations, _upload(np.array(indices, np.int64)))

    def _make_log(self, room: int) -> Log:
        rows = {name: getattr(self._state, name) for name in ("agents", "teams", "env", "floats")}
        return Log(
            clock=_upload(np.zeros(3, np.int64)),
            ended=_upload(np.zeros(self.num_envs, np.int32)),
            place=_empty(2 * room, np.int64),
            **{name: _empty(room * (part.size // self.num_envs), part.dtype) for name, part in rows.items()},
        )

    def reset(self, observations: Any, seed: Seed | None = None) -> None:
        """Start the first episode of every environment, from other seeds if any are given; writes the observations."""
        if seed is not None:
            self._write(self._keys, environment_keys(seed, self.num_envs, self.first))
        self._taken = self._handed = self._finished()
        self._kept, self._unread, self._left = [], 0, None
        self._renew(_flat_view(observations), begin=True)

    def step(self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any) -> None:
        """Queue one step of every environment. Flat actions outside the mission's are counted and ignored."""
        self.prepare()
        self.advance(actions, observations, rewards, terminals, truncations)

    def prepare(self) -> np.ndarray:
        """What the host does of a step, before it: once for each `advance`, also for one that a CUDA graph repeats.

        Return the agents whose episode is cut in that step, int64 [n].
        """
        self._make_room()
        self._cut = None
        if self._auto_reset and self._cuts:
            self._foresee_cut()
        return agents_of(self._cutting, self.num_agents)

    def advance(
        self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any, last: Any = None
    ) -> None:
        """What is queued of a step, in any stream; the rest was done by `prepare`. If `last` is given, shaped as the
        observations, it gets what agents saw before new episodes began, in steps that may cut one or may be repeated
        as one that does; `take_truncated` then has nothing."""
        buffers = Buffers(*map(_flat_view, (actions, observations, rewards, terminals, truncations)))
        envs, stream, tables, state = self.num_envs, self._queue(), self._device_tables, self._flat
        env_blocks, agent_blocks = -(-envs // THREADS), -(-envs * self.num_agents // THREADS)
        act_step[env_blocks, THREADS, stream](tables, state, buffers, self._log)
        live_step[agent_blocks, THREADS, stream](tables, state)
        observe_step[envs, (self._lanes, self.num_agents), stream](tables, state, buffers)
        end_step[agent_blocks, THREADS, stream](tables, state, buffers, self._log)
        record_episodes[min(envs, COPY_BLOCKS), COPY_THREADS, stream](state, self._log)
        if self._auto_reset:
            if last is not None and self._cuts:
                last[...] = observations
            elif self._cutting.size:
                self._cut = agents_of(self._cutting, self.num_agents), self._pick(observations, self._cutting)
            self._renew(buffers.observations, begin=False)

    def _renew(self, observations: Any, begin: bool) -> None:
        grid = min(self.num_envs, COPY_BLOCKS), COPY_THREADS, self._queue()
        args = (self._device_tables, self._flat, Frames(observations), self._log, self._starts, self._first)
        renew_episodes[grid](*args, self._keys, begin, begin and self._desync)

    def _foresee_cut(self) -> None:
        """Find the episodes that are cut in the next step. That follows from limits that were drawn before, so the
        device is not waited for but once after `reset` or `load_state_dict`."""
        if self._left is None:
            self._left = self._steps_to_cut(self._read(self._state.env))
        self._left -= 1
        self._cutting = np.flatnonzero(self._left == 0)
        self._left[self._cutting] = self.mission.max_steps if self._builder.header[L.T_TRUNCATE] else NEVER

    def _steps_to_cut(self, env: np.ndarray) -> np.ndarray:
        limit, most = env[:, L.EN_LIMIT].astype(np.int64), self.mission.max_steps
        cut = (limit < most) | bool(self._builder.header[L.T_TRUNCATE])
        return np.where(cut, np.minimum(limit, most) - env[:, L.EN_STEP], NEVER)

    def _pick(self, observations: Any, envs: np.ndarray) -> Any:
        """Copies of some environments' observations, [n * A, 200, 3], by the caller's library."""
        every = observations.reshape(self.num_envs, self.num_agents, self.info.num_tokens, L.TOKEN_BYTES)
        return every[envs].reshape(-1, self.info.num_tokens, L.TOKEN_BYTES)

    def take_truncated(self) -> Cut | None:
        taken, self._cut = self._cut, None
        return taken

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        super().load_state_dict(state)
        self._left = None

    def _finished(self) -> int:
        """Episodes that have finished since the batch was made."""
        clock = self._read(self._log.clock)
        return int(clock[CL_LOGGED] + clock[CL_ENDED])

    def take_episodes(self) -> list[Episode]:
        """Episodes that finished since the last call, in the order in which they ended. A warning tells how many are
        lost, which only steps can cause that a CUDA graph repeats without `prepare`: the log holds max(1024, E)."""
        taken, self._kept = self._kept + self._read_log(), []
        finished, self._handed = self._taken - self._handed, self._taken
        if lost := finished - len(taken):
            warn(f"{lost} of {finished} finished episodes are missing in the statistics: the device keeps {self._room}")
        self._renew_maps(finished)
        return taken

    def _make_room(self) -> None:
        """Before a step: read the log if it might not hold all episodes that end until then."""
        self._unread += 1
        if self.num_envs * (1 + (self._unread - 1) // self.mission.max_steps) > self._room:
            self._kept += self._read_log()
            self._unread = 1

    @property
    def _room(self) -> int:
        return self._log.place.size // 2

    def _read_log(self) -> list[Episode]:
        """Of the episodes that finished since the last call those that the log holds, in the order of their ends."""
        finished, room = self._finished(), self._room
        slots = np.arange(max(self._taken, finished - room), finished) % room
        self._taken, self._unread = finished, 0
        if not slots.size:
            return []
        place = self._read(self._log.place).reshape(room, 2)[slots]
        order = np.lexsort((place[:, 1], place[:, 0]))
        env, agents, teams, floats = (
            self._read(getattr(self._log, name)).reshape(room, *getattr(self._state, name).shape[1:])[slots[order]]
            for name in ("env", "agents", "teams", "floats")
        )
        return list(self._episodes_of((place[order, 1], env, agents, teams, floats[:, :, L.FL_RETURN])))

    def _env_rows(self) -> np.ndarray:
        return self._read(self._state.env)

    def _host_state(self) -> L.State:
        return L.State(*map(self._read, self._state))

    def _host_keys(self) -> np.ndarray:
        return self._read(self._keys)

    def _read(self, array: Any) -> np.ndarray:
        """A copy of a device array, after all work queued so far."""
        if SIMULATED:
            return array.copy()
        stream = self._queue()
        copy = array.copy_to_host(stream=stream)
        stream.synchronize()
        return copy

    def _write(self, mine: Any, array: np.ndarray) -> None:
        if SIMULATED:
            mine[:] = array
        else:
            mine.copy_to_device(np.ascontiguousarray(array), stream=self._queue())

    def close(self) -> None:
        if self._renewal:
            self._renewal.close()

    def _queue(self) -> Any:
        """The stream of the moment, as numba takes it."""
        handle = self._stream()
        return cuda.external_stream(handle) if handle else cuda.default_stream()


class HostCudaBatch(CudaEnvBatch):
    """The same for callers whose buffers are numpy arrays: they are copied in every step, which is slow."""

    device = "cpu"

    def _pick(self, observations: Any, envs: np.ndarray) -> np.ndarray:
        return super()._pick(self._read(observations), envs)

    def reset(self, observations: np.ndarray, seed: Seed | None = None) -> None:
        """Start the first episode of every environment, from other seeds if any are given; writes the observations."""
        there = _upload(observations)
        super().reset(there, seed)
        observations[:] = self._read(there)

    def step(
        self,
        actions: np.ndarray,
        observations: np.ndarray,
        rewards: np.ndarray,
        terminals: np.ndarray,
        truncations: np.ndarray,
    ) -> None:
        """Advance every environment by one step."""
        outputs = (observations, rewards, terminals, truncations)
        there = [_upload(array) for array in outputs]
        super().step(_upload(actions), *there)
        for array, copy in zip(outputs, there, strict=True):
            array[:] = self._read(copy)


def _empty(shape: Any, dtype: Any) -> Any:
    size = tuple(int(n) for n in np.atleast_1d(shape))  # numpy's own numbers are short, products of them overflow
    return np.zeros(size, dtype) if SIMULATED else cuda.device_array(size, dtype)


def _upload(array: np.ndarray) -> Any:
    return array.copy() if SIMULATED else cuda.to_device(array)


def _flat_view(buffer: Any) -> Any:
    """The caller's array, flat, where it lies."""
    return buffer.reshape(-1) if SIMULATED else cuda.as_cuda_array(buffer, sync=False).reshape(-1)
