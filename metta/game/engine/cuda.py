"""Launchers for a CUDA device: kernels around the rules that the CPU runs too.

A step is six launches on one stream. They neither wait for the device nor copy to the host, so a CUDA graph can hold
them together with a policy:

1. `act_step`, a thread per environment: events and actions, which are one after the other by their nature.
2. `live_step`, a thread per agent: upkeep, areas, the tokens by which it is seen.
3. `observe_step`, a block per environment, `lanes` threads per agent: observations.
4. `end_step`, a thread per agent: rewards, ends of episodes.
5. `record_episodes`, a block per episode that has just ended: its statistics go to the log.
6. `renew_episodes`, likewise: state and first observation of a map are copied from the pool.

Between steps `place_starts` puts new maps into the pool.

Whatever the order in which threads run, the result is the same: additions are of integers, and an environment that
ended is found in the log by its number.
"""

from functools import partial
from typing import Any, NamedTuple

import numba.cuda
import numpy as np
from numba.core import config as numba_config

from metta.game.compiled import entry
from metta.game.engine.layout import (
    EN_DROPPED,
    EN_ENDED,
    EN_EPISODE,
    EN_OBSERVATIONS,
    EN_WRITTEN,
    ST_VISITED,
    T_AGENTS,
    T_FIRST_ENV,
    T_STATS,
    TOKENS,
    WINDOW_CELLS,
)  # fmt: skip
from metta.game.engine.observe import encode_agent
from metta.game.engine.reset import choose_map, draw_limit, open_episode
from metta.game.engine.rows import agent_row, env_row
from metta.game.engine.step import begin_step, finish_agent, has_ended, live_agent
from metta.game.engine.upkeep import hold
from metta.game.engine.window import count_cells, mark_cells, write_cells, write_global, write_padding

cuda: Any = numba.cuda
config: Any = numba_config
config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a small batch is no mistake
# Numba can play the device with threads of Python, for tests; it then knows no options. Kernels are compiled to PTX,
# not linked from intermediate code: what can be inspected without a device is what runs. (Numba loses `lto` where it
# is called for a decorator, hence `partial`.)
SIMULATED = bool(config.ENABLE_CUDASIM)
OPTIONS: dict[str, Any] = {} if SIMULATED else {"lto": False, "cache": True}
MOST_THREADS = 768  # of a block: leaves the 80 registers that `observe_step` needs to each
BOUNDS: dict[str, Any] = {} if SIMULATED else {"launch_bounds": MOST_THREADS}

# Entries of `Log.clock`.
CL_STEP, CL_ENDED, CL_LOGGED = range(3)  # steps; episodes that ended in the last one; episodes logged before it


class Buffers(NamedTuple):
    """The caller's arrays, flat."""

    actions: np.ndarray  # int32 [E * A]
    observations: np.ndarray  # uint8 [E * A * 200 * 3]
    rewards: np.ndarray  # float32 [E * A]
    terminals: np.ndarray  # bool [E * A]
    truncations: np.ndarray  # bool [E * A]


class Log(NamedTuple):
    """Episodes that ended: a ring of N of them, N >= E, each the rows of the state that hold statistics."""

    clock: np.ndarray  # int64 [3]: CL_…
    ended: np.ndarray  # int32 [E]: environments whose episode ended in the last step, in any order
    place: np.ndarray  # int64 [2 * N]: step and environment in which an episode ended
    agents: np.ndarray  # int32 [N * …], as in the state; the others too
    teams: np.ndarray
    env: np.ndarray
    floats: np.ndarray


class Frames(NamedTuple):
    """Observations alone."""

    observations: np.ndarray  # uint8 [n * A * 200 * 3]


@entry
def copy_row(target, i, source, j, width, first, step):
    """Copy row `j` to row `i`: every `step`-th element, beginning with the `first`."""
    for k in range(first, width, step):
        target[i * width + k] = source[j * width + k]


@entry
def copy_start(s, i, envs, source, j, first, step):
    """Copy what an episode starts with, all but its number and random numbers, from row `j` to row `i` of
    `envs`."""
    copy_row(s.cells, i, source.cells, j, s.cells.size // envs, first, step)
    copy_row(s.bits, i, source.bits, j, s.bits.size // envs, first, step)
    copy_row(s.cover, i, source.cover, j, s.cover.size // envs, first, step)
    copy_row(s.agents, i, source.agents, j, s.agents.size // envs, first, step)
    copy_row(s.objects, i, source.objects, j, s.objects.size // envs, first, step)
    copy_row(s.blocks, i, source.blocks, j, s.blocks.size // envs, first, step)
    copy_row(s.teams, i, source.teams, j, s.teams.size // envs, first, step)
    copy_row(s.env, i, source.env, j, s.env.size // envs, first, step)
    copy_row(s.floats, i, source.floats, j, s.floats.size // envs, first, step)


@partial(cuda.jit, **OPTIONS)
def act_step(tables, s, buffers, log):
    """Threads: one per environment, in any blocks."""
    e = cuda.grid(1)
    if e == 0:
        log.clock[CL_STEP] += 1
        log.clock[CL_LOGGED] += log.clock[CL_ENDED]
        log.clock[CL_ENDED] = 0
    if e < s.rng.size:
        begin_step(tables.ints, s, e, buffers.actions)


@partial(cuda.jit, **OPTIONS)
def live_step(tables, s):
    """Threads: one per agent, in any blocks."""
    t = tables.ints
    e, a = cuda.grid(1) // t[T_AGENTS], cuda.grid(1) % t[T_AGENTS]
    if e < s.rng.size:
        live_agent(t, s, e, a)
        encode_agent(t, s, e, e, a)
        if a == 0:
            hold(t, s, e)


@partial(cuda.jit, **OPTIONS, **BOUNDS)
def observe_step(tables, s, buffers):
    """Blocks: one per environment; threads (lanes, agents). Each lane has a part of its agent's window."""
    t, out = tables.ints, buffers.observations
    e, lane, a = cuda.blockIdx.x, cuda.threadIdx.x, cuda.threadIdx.y
    lanes = cuda.blockDim.x
    sizes = cuda.shared.array(MOST_THREADS, numba.int32)
    share = (WINDOW_CELLS + lanes - 1) // lanes
    first, last = min(WINDOW_CELLS, lane * share), min(WINDOW_CELLS, (lane + 1) * share)
    size, visited = count_cells(t, s, e, a, first, last)
    own = write_global(t, s, e, a, out) if lane == 0 else 0
    sizes[a * lanes + lane] = own + size
    cuda.syncthreads()

    start, total = own, 0
    for k in range(lanes):
        if k < lane:
            start += sizes[a * lanes + k]
        total += sizes[a * lanes + k]
    written = min(TOKENS, total)
    write_cells(t, s, e, a, first, last, start, out)
    write_padding(t, e, a, written, lane, lanes, out)
    if visited:
        cuda.atomic.add(s.agents, agent_row(t, e, a) + t[T_STATS] + ST_VISITED, visited)
    if lane == 0:
        cuda.atomic.add(s.env, env_row(e) + EN_WRITTEN, written)
        cuda.atomic.add(s.env, env_row(e) + EN_DROPPED, total - written)
        cuda.atomic.add(s.env, env_row(e) + EN_OBSERVATIONS, 1)
    cuda.syncthreads()

    mark_cells(t, s, e, a, first, last)  # after all agents of the environment have asked what was unseen


@partial(cuda.jit, **OPTIONS)
def end_step(tables, s, buffers, log):
    """Threads: one per agent, in any blocks."""
    t = tables.ints
    e, a = cuda.grid(1) // t[T_AGENTS], cuda.grid(1) % t[T_AGENTS]
    if e < s.rng.size:
        finish_agent(tables, s, e, a, buffers.rewards, buffers.terminals, buffers.truncations)
        if a == 0:
            ended = has_ended(t, s, e)
            s.env[env_row(e) + EN_ENDED] = ended
            if ended:
                log.ended[cuda.atomic.add(log.clock, CL_ENDED, 1)] = e


@partial(cuda.jit, **OPTIONS)
def record_episodes(s, log):
    """Blocks: any number, they take the ended episodes in turn; threads: any number, they copy together."""
    envs, room = s.rng.size, log.place.size // 2
    first, step = cuda.threadIdx.x, cuda.blockDim.x
    for i in range(cuda.blockIdx.x, log.clock[CL_ENDED], cuda.gridDim.x):
        e, slot = log.ended[i], (log.clock[CL_LOGGED] + i) % room
        if first == 0:
            log.place[2 * slot] = log.clock[CL_STEP]
            log.place[2 * slot + 1] = e
        copy_row(log.agents, slot, s.agents, e, s.agents.size // envs, first, step)
        copy_row(log.teams, slot, s.teams, e, s.teams.size // envs, first, step)
        copy_row(log.env, slot, s.env, e, s.env.size // envs, first, step)
        copy_row(log.floats, slot, s.floats, e, s.floats.size // envs, first, step)


@partial(cuda.jit, **OPTIONS)
def renew_episodes(tables, s, target, log, pool, starts, keys, begin, desync):
    """Start the next episode of the environments that ended, or with `begin` the first of all. Blocks and threads as
    `record_episodes`; `pool` and `starts` hold state and observations at the start of an episode on every map, `keys`
    uint64 [E] those of the environments."""
    t, envs, maps = tables.ints, s.rng.size, pool.rng.size
    first, step = cuda.threadIdx.x, cuda.blockDim.x
    count = envs if begin else log.clock[CL_ENDED]
    for i in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        e = i if begin else log.ended[i]
        episode = 0 if begin else s.env[env_row(e) + EN_EPISODE]
        m = choose_map(t[T_FIRST_ENV] + e, episode, maps, keys[e])
        cuda.syncthreads()  # everyone has read the number of the episode
        copy_start(s, e, envs, pool, m, first, step)
        copy_row(target.observations, e, starts.observations, m, target.observations.size // envs, first, step)
        cuda.syncthreads()
        if first == 0:
            open_episode(t, s, e, episode, maps, keys[e])
            if desync:
                draw_limit(t, s, e)


@partial(cuda.jit, **OPTIONS)
def place_starts(pool, starts, new, observations, places):
    """Put state and observations at the start of an episode on new maps into the pool, at `places`, int64 [n]. Blocks
    and threads as `record_episodes`."""
    maps = pool.rng.size
    first, step = cuda.threadIdx.x, cuda.blockDim.x
    for i in range(cuda.blockIdx.x, places.size, cuda.gridDim.x):
        copy_start(pool, places[i], maps, new, i, first, step)
        width = starts.observations.size // maps
        copy_row(starts.observations, places[i], observations.observations, i, width, first, step)
