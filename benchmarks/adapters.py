#!/usr/bin/env python3
"""Agent-steps per second of each view of the environments beside the engine's own, in turns on the same machine."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of, positive
from benchmarks.machine import machine
from metta.adapters import gymnasium, pettingzoo, puffer
from metta.common.commands import Parser, at_least
from metta.game.build import build_batch

ACTIONS, MAP_POOL = 64, 64
Step = Callable[[int], object]


def engine(mission: str, envs: int, threads: int) -> tuple[Step, int]:
    """A step of the engine with buffers of the caller's, and the agents in it."""
    batch = build_batch(mission_of(mission), envs, seed=0, map_pool=MAP_POOL, threads=threads)
    shape = (envs, batch.num_agents)
    observations, rewards = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8), np.zeros(shape, np.float32)
    ends, actions = np.zeros((2, *shape), bool), moves(*shape)
    batch.reset(observations)

    def step(number: int) -> None:
        batch.step(actions[number % ACTIONS], observations, rewards, *ends)
        batch.take_episodes()

    return step, envs * batch.num_agents


def vector_env(mission: str, envs: int, threads: int) -> tuple[Step, int]:
    env = gymnasium.make(mission, num_envs=envs, threads=threads, map_pool=MAP_POOL)
    actions = moves(env.num_envs)
    env.reset()
    return lambda number: env.step(actions[number % ACTIONS]), env.num_envs


def puffer_env(mission: str, envs: int, threads: int) -> tuple[Step, int]:
    env = puffer.make(mission, num_envs=envs, threads=threads, map_pool=MAP_POOL)
    actions = moves(env.num_agents)
    env.reset()
    return lambda number: env.step(actions[number % ACTIONS]), env.num_agents


def parallel_env(mission: str, envs: int, threads: int) -> tuple[Step, int]:
    """One environment, however many are asked for."""
    env = pettingzoo.make(mission, map_pool=MAP_POOL)
    names = env.possible_agents
    actions = [dict(zip(names, row, strict=True)) for row in moves(len(names)).tolist()]
    env.reset()

    def step(number: int) -> None:
        if not env.agents:
            env.reset()
        env.step(actions[number % ACTIONS])

    return step, len(names)


def moves(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (ACTIONS, *shape)).astype(np.int32)


def measure(steps: dict[str, tuple[Step, int]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Agent-steps/s of every round; views take turns, so that what else the machine does meets all of them."""
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, (step, agents) in steps.items():
            start, done = time.perf_counter(), 0
            while (passed := time.perf_counter() - start) < seconds:
                for number in range(16):
                    step(done + number)
                done += 16
            if turn:  # the first round warms up
                rates[name].append(done * agents / passed)
    return rates


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--envs", type=at_least(1), default=64)
    parser.add_argument("--threads", type=at_least(1), default=1)
    parser.add_argument("--rounds", type=at_least(1), default=7, help="rounds, of which the median counts")
    parser.add_argument("--seconds", type=positive, default=0.5, help="length of a round of one view")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    views = {
        "engine": engine(args.mission, args.envs, args.threads),
        "gymnasium": vector_env(args.mission, args.envs, args.threads),
        "puffer": puffer_env(args.mission, args.envs, args.threads),
        "engine, 1 environment": engine(args.mission, 1, 1),
        "pettingzoo, 1 environment": parallel_env(args.mission, 1, 1),
    }
    rates = measure(views, args.rounds, args.seconds)
    medians = {name: round(statistics.median(values)) for name, values in rates.items()}
    if args.json:
        spread = {name: [round(min(values)), round(max(values))] for name, values in rates.items()}
        setting = {"mission": args.mission, "envs": args.envs, "threads": args.threads}
        print(
            json.dumps(
                {"benchmark": "adapters", "agent_steps_per_second": medians, "spread": spread, **setting, **machine()}
            )
        )
        return 0
    for name, values in rates.items():
        print(f"{name:26} {medians[name]:>10,} agent-steps/s ({min(values):,.0f} to {max(values):,.0f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
