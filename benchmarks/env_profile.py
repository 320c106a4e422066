#!/usr/bin/env python3
"""Where a step of the engine goes: nanoseconds per agent-step of its parts, and the share of the memory's rate."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.game.compiled import entry
from metta.game.engine.actions import act
from metta.game.engine.batch import EnvBatch
from metta.game.engine.layout import CACHE_LINE, T_AGENTS, TOKEN_BYTES, TOKENS
from metta.game.engine.observe import encode_agents, observe
from metta.game.engine.step import finish, live_agent
from metta.game.engine.upkeep import hold
from metta.game.maps.pool import build_pool

ACTIONS = 64  # prepared random actions, used in turn
COPIED = 1 << 28  # bytes, far more than any cache holds
# Cache lines of the state that an agent-step touches in the mean: 12 of cells, 6 of its own row, 4 of bits, blocks and
# teams that its environment's agents share, 1 of areas.
STATE_LINES = 23


# The parts, `HOT` environments `REPEATS` times over: small enough for the caches, long enough not to time the call.
HOT, REPEATS = 16, 32


@entry
def _act(tables, s, actions):
    for _ in range(REPEATS):
        for e in range(HOT):
            act(tables.ints, s, e, actions)


@entry
def _live(tables, s):
    for _ in range(REPEATS):
        for e in range(HOT):
            for a in range(tables.ints[T_AGENTS]):
                live_agent(tables.ints, s, e, a)
            hold(tables.ints, s, e)


@entry
def _encode(tables, s):
    for _ in range(REPEATS):
        for e in range(HOT):
            encode_agents(tables.ints, s, e, 0)


@entry
def _observe(tables, s, observations):
    for _ in range(REPEATS):
        for e in range(HOT):
            observe(tables, s, e, 0, observations)


@entry
def _finish(tables, s, rewards, terminals, truncations):
    for _ in range(REPEATS):
        for e in range(HOT):
            finish(tables, s, e, rewards, terminals, truncations)


def seconds_of(work: Callable[[int], object], calls: int, rounds: int) -> float:
    """Median seconds of one call; the first call compiles."""
    work(0)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for call in range(calls):
            work(call)
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)


def profile(batch: EnvBatch, steps: int, rounds: int) -> dict[str, float]:
    """Nanoseconds per agent-step: of the whole step, of its parts by themselves, and what is left.

    A part by itself has warm caches and repeats what it has just done, which a processor learns to predict. What is
    left is therefore waiting for memory, mispredicted branches, events, resets and the call.
    """
    shape = (batch.num_envs, batch.num_agents)
    observations = np.zeros((*shape, TOKENS, TOKEN_BYTES), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    actions = np.random.default_rng(0).integers(0, 5, (ACTIONS, *shape)).astype(np.int32)
    batch.reset(observations)

    def step(i: int) -> None:
        batch.step(actions[i % ACTIONS], observations, rewards, terminals, truncations)

    whole = seconds_of(step, steps, rounds) / (batch.num_envs * batch.num_agents)
    tables, state = batch._tables, batch._flat
    flat = [array.reshape(-1) for array in (observations, rewards, terminals, truncations)]
    works: dict[str, Callable[[int], object]] = {
        "actions": lambda i: _act(tables, state, actions[i % ACTIONS].reshape(-1)),
        "upkeep and areas": lambda i: _live(tables, state),
        "agents' tokens": lambda i: _encode(tables, state),
        "observations": lambda i: _observe(tables, state, flat[0]),
        "rewards and ends": lambda i: _finish(tables, state, *flat[1:]),
    }
    agent_steps = HOT * REPEATS * batch.num_agents
    parts = {name: seconds_of(work, 4, rounds) / agent_steps for name, work in works.items()}
    parts["observations"] -= parts["agents' tokens"]
    return {name: value * 1e9 for name, value in {"step": whole, **parts, "rest": whole - sum(parts.values())}.items()}


def copied_per_second(rounds: int) -> float:
    """Bytes that one core copies per second, reads and writes counted, between arrays that no cache holds."""
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    return 2 * COPIED / seconds_of(lambda _: np.copyto(target, source), 1, rounds)


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=at_least(1), help="cogs per environment (default: the mission's)")
    parser.add_argument("--envs", type=at_least(1), default=64, help=f"at least {HOT}")
    parser.add_argument("--steps", type=at_least(1), default=200, help="steps of a round")
    parser.add_argument("--rounds", type=at_least(1), default=7, help="rounds, of which the median counts")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    mission = mission_of(args.mission, cogs=args.agents)
    envs = max(HOT, args.envs)
    batch = EnvBatch(mission, envs, maps=build_pool(mission, max(64, envs), 0), desync=True)
    parts, copied = profile(batch, args.steps, args.rounds), copied_per_second(args.rounds)
    touched = STATE_LINES * CACHE_LINE + TOKENS * TOKEN_BYTES
    share = touched / (parts["step"] * 1e-9) / copied
    result = {
        "benchmark": "env_profile",
        "mission": mission.name,
        "agents": mission.agents,
        "envs": envs,
        "nanoseconds": {name: round(value, 1) for name, value in parts.items()},
        "bytes_touched": touched,
        "copy_bytes_per_second": round(copied),
        "share_of_copy_rate": round(share, 3),
        **machine(),
    }
    if args.json:
        print(json.dumps(result))
        return 0
    print(f"{mission.name}, {mission.agents} agents, {envs} environments, one thread; per agent-step:")
    for name, value in parts.items():
        print(f"{value:8.0f} ns  {name}")
    print(
        f"{touched:,} bytes touched per agent-step: {touched / parts['step']:.1f} GB/s where one core copies "
        f"{copied / 1e9:.1f} GB/s ({share:.0%})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
