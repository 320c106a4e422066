#!/usr/bin/env python3
"""Agent-steps per second of the engine: random actions, observations, statistics and resets included."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of, positive
from benchmarks.machine import machine
from benchmarks.original import Original, Pairs, add_options, against_original
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.game.engine.backends import make_batch
from metta.game.engine.batch import Batch, EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.rl.machine import torch_stream

MOST_MAPS = 1024  # of the pool
ACTIONS = 64  # prepared random actions, used in turn
Play = Callable[[int], float]  # plays about so many steps; agent-steps per second


def host_play(batch: Batch, clock: Callable[[], float] = time.perf_counter) -> tuple[Play, np.ndarray]:
    """How to play on the processor, and the observations. Buffers belong to this caller, as in training."""
    shape = (batch.num_envs, batch.num_agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    actions = random_actions(batch)
    batch.reset(observations)

    def play(steps: int) -> float:
        start = clock()
        for step in range(steps):
            batch.step(actions[step % ACTIONS], observations, rewards, terminals, truncations)
        batch.take_episodes()
        return steps * batch.num_envs * batch.num_agents / (clock() - start)

    return play, observations


def device_play(batch: Batch) -> tuple[Play, torch.Tensor]:
    """How to play on a device, ACTIONS steps to a CUDA graph, and the observations."""
    shape = (batch.num_envs, batch.num_agents)
    observations = torch.zeros(*shape, batch.info.num_tokens, 3, dtype=torch.uint8, device="cuda")
    rewards, ends = torch.zeros(shape, device="cuda"), torch.zeros(2, *shape, dtype=torch.bool, device="cuda")
    actions = torch.from_numpy(random_actions(batch)).cuda()
    batch.reset(observations)
    batch.step(actions[0], observations, rewards, ends[0], ends[1])  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for step in actions:
            batch.step(step, observations, rewards, ends[0], ends[1])

    def play(steps: int) -> float:
        torch.cuda.synchronize()
        start, replays = time.perf_counter(), -(-steps // ACTIONS)
        for _ in range(replays):
            graph.replay()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        batch.take_episodes()
        return replays * ACTIONS * batch.num_envs * batch.num_agents / seconds

    return play, observations


def random_actions(batch: Batch) -> np.ndarray:
    """Moves and waiting, int32 [ACTIONS, E, A]."""
    size = (ACTIONS, batch.num_envs, batch.num_agents)
    return np.random.default_rng(0).integers(0, 5, size).astype(np.int32)


def steps_of_round(batch: Batch, play: Play, seconds: float) -> int:
    """Steps that take about so many seconds."""
    play(ACTIONS)  # compiles, warms caches
    return max(ACTIONS, int(seconds * play(ACTIONS) / (batch.num_envs * batch.num_agents)))


def tokens_per_agent(observations: np.ndarray | torch.Tensor) -> float:
    """Tokens of the mean observation."""
    locations = observations[..., 0]
    return float((locations != 0xFF).sum()) / (locations.shape[0] * locations.shape[1])


def measure(batch: Batch, rounds: int, seconds: float) -> tuple[list[float], float]:
    """Agent-steps/s of each round, and tokens per observation."""
    play, observations = device_play(batch) if batch.device == "cuda" else host_play(batch)
    steps = steps_of_round(batch, play, seconds)
    return [play(steps) for _ in range(rounds)], tokens_per_agent(observations)


def compare(args: argparse.Namespace, python: str) -> list[dict[str, Any]]:
    """In turns with the original's environments, as many of them. Raises UserError for what one core cannot."""
    if args.backend != "cpu" or args.threads != 1:
        raise UserError("--against original compares on one core: not with --backend cuda or several --threads")
    mission = mission_of(args.mission, cogs=args.agents)
    return [compare_envs(args, python, mission, envs) for envs in args.envs]


def compare_envs(args: argparse.Namespace, python: str, mission: Mission, envs: int) -> dict[str, Any]:
    """The same with so many environments."""
    batch = EnvBatch(mission, envs, maps=build_pool(mission, min(max(64, envs), MOST_MAPS), 0), desync=True)
    play, observations = host_play(batch, time.process_time)
    steps = steps_of_round(batch, play, args.seconds)
    with Original(python, "env", mission=args.mission, agents=args.agents, envs=envs) as original:
        first = original.ask(steps=2)
        theirs = max(2, round(2 * args.seconds / first["seconds"]))
        pairs = Pairs(original)
        for _ in range(args.pairs):
            pairs.add(play(steps), steps=theirs)
    return {
        "what": f"{mission.name}, {mission.agents} agents, {envs} environments",
        **pairs.result(),
        "tokens_per_agent": round(tokens_per_agent(observations), 1),
        "original_tokens_per_agent": round(pairs.last["tokens_per_agent"], 1),
    }


def result_of(args: argparse.Namespace, mission: Mission, envs: int) -> dict[str, Any]:
    """What was measured of so many environments. Raises UserError where they cannot be made."""
    build_pool(mission, 1, 0)  # compiles
    start, count = time.perf_counter(), min(max(64, envs), MOST_MAPS)
    pool = build_pool(mission, count, 0, threads=1)
    maps_per_second = count / (time.perf_counter() - start)
    batch = make_batch(args.backend, mission, envs, maps=pool, threads=args.threads, desync=True, stream=torch_stream)
    rates, tokens = measure(batch, args.rounds, args.seconds)
    return {
        "benchmark": "env_throughput",
        "agent_steps_per_second": round(statistics.median(rates)),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
        "mission": mission.name,
        "agents": mission.agents,
        "envs": envs,
        "backend": args.backend,
        "threads": args.threads,
        "tokens_per_agent": round(tokens, 1),
        "bytes_per_env": batch.bytes_per_env,
        "maps_per_second": round(maps_per_second),
        **machine(),
    }


def in_words(result: dict[str, Any]) -> str:
    """The same in one line."""
    return (
        f"{result['mission']}, {result['agents']} agents, {result['envs']} environments, "
        f"{'CUDA device' if result['backend'] == 'cuda' else str(result['threads']) + ' thread(s)'}: "
        f"{result['agent_steps_per_second']:,} agent-steps/s ({result['lowest']:,} to {result['highest']:,}), "
        f"{result['tokens_per_agent']:.1f} tokens per observation, {result['bytes_per_env'] / 1024:.0f} KiB per "
        f"environment, {result['maps_per_second']:,} maps/s"
    )


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=at_least(1), help="cogs per environment (default: the mission's)")
    parser.add_argument("--envs", type=at_least(1), nargs="+", default=[64], help="environments, in turn if several")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="where the engine runs")
    parser.add_argument("--threads", type=at_least(1), default=1)
    parser.add_argument("--rounds", type=at_least(1), default=7, help="rounds, of which the median counts")
    parser.add_argument("--seconds", type=positive, default=1.0, help="length of a round")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each of --envs")
    add_options(parser)
    args = parser.parse_args(argv)
    if args.against:
        return against_original("env_throughput", args, compare)
    mission = mission_of(args.mission, cogs=args.agents)
    for envs in args.envs:
        result = result_of(args, mission, envs)
        print(json.dumps(result) if args.json else in_words(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
