#!/usr/bin/env python3
"""Agent-steps per second of the engine: random actions, observations, statistics and resets included."""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine
from metta.common.errors import UserError
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

ACTIONS = 64  # prepared random actions, used in turn


def measure(batch: EnvBatch, rounds: int, seconds: float) -> tuple[list[float], float]:
    """Agent-steps/s of each round, and tokens per observation. Buffers belong to this caller, as in training."""
    shape = (batch.num_envs, batch.num_agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    actions = np.random.default_rng(0).integers(0, 5, (ACTIONS, *shape)).astype(np.int32)
    batch.reset(observations)

    def play(steps: int) -> float:
        start = time.perf_counter()
        for step in range(steps):
            batch.step(actions[step % ACTIONS], observations, rewards, terminals, truncations)
        batch.take_episodes()
        return time.perf_counter() - start

    play(ACTIONS)  # compiles, warms caches
    steps = max(ACTIONS, int(seconds * ACTIONS / play(ACTIONS)))
    rates = [steps * batch.num_envs * batch.num_agents / play(steps) for _ in range(rounds)]
    return rates, float((observations[..., 0] != 0xFF).sum(-1).mean())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=int, default=None, help="cogs per environment (default: the mission's)")
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="rounds, of which the median counts")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    try:
        mission = build_mission(MissionSettings(name=args.mission, cogs=args.agents))
        build_pool(mission, 1, 0)  # compiles
        start, count = time.perf_counter(), max(64, args.envs)
        pool = build_pool(mission, count, 0, threads=1)
        maps_per_second = count / (time.perf_counter() - start)
        batch = EnvBatch(mission, args.envs, maps=pool, threads=args.threads, desync=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rates, tokens = measure(batch, args.rounds, args.seconds)
    result = {
        "benchmark": "env_throughput",
        "agent_steps_per_second": round(statistics.median(rates)),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
        "mission": mission.name,
        "agents": mission.agents,
        "envs": args.envs,
        "threads": args.threads,
        "tokens_per_agent": round(tokens, 1),
        "bytes_per_env": batch.bytes_per_env,
        "maps_per_second": round(maps_per_second),
        **machine(),
    }
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"{mission.name}, {mission.agents} agents, {args.envs} environments, {args.threads} thread(s): "
            f"{result['agent_steps_per_second']:,} agent-steps/s ({result['lowest']:,} to {result['highest']:,}), "
            f"{tokens:.1f} tokens per observation, {batch.bytes_per_env / 1024:.0f} KiB per environment, "
            f"{maps_per_second:,.0f} maps/s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
