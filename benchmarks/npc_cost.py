#!/usr/bin/env python3
"""What NPCs of the same size cost: epochs of plain training and of training beside them, in turns."""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, positive, training
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least


def contestants(args: argparse.Namespace, folder: str) -> tuple[Any, Any]:
    """The parts of both runs. Both have the same environments and agents; the NPC is the plain run's network."""
    from metta.policy.stored.bundle import save_bundle
    from metta.rl.build import build, plan

    def parts(run: str, learners: int, dual: Sequence[str]) -> Any:
        batch = args.envs * learners * args.horizon
        words = [
            *(f"run={run}", f"mission={args.mission}", f"mission.cogs={args.agents}", f"agent={args.policy}"),
            *(f"trainer.batch_size={batch}", f"trainer.minibatch_size={batch // args.minibatches}"),
            f"trainer.bptt_horizon={args.horizon}",
            *(f"training_env.num_envs={args.envs}", f"training_env.num_workers={args.threads}"),
            *(f"device={args.device}", f"system.data_dir={folder}", f"system.threads={args.threads}"),
        ]
        config = training([*words, *dual])
        with contextlib.redirect_stdout(io.StringIO()):
            built = build(plan(config))
        built.rollout.start()
        return built

    plain = parts("plain", args.agents, [])
    save_bundle(Path(folder) / "npc", plain.net, "npc", 0, 0)
    npc = [f"trainer.dual_policy.{word}" for word in ("enabled=true", f"policy_a_percentage={args.share}")]
    npc.append(f"trainer.dual_policy.checkpoint_npc.checkpoint_path={folder}/npc")
    return plain, parts("beside", max(1, round(args.agents * args.share)), npc)


def epoch(parts: Any) -> tuple[float, dict[str, float]]:
    """Seconds of an epoch, and by phase."""
    from metta.rl.run.timing import Stopwatch

    watch, begin = Stopwatch(), time.perf_counter()
    parts.rollout.begin(0, 0)
    parts.rollout.collect(watch, lambda: False)
    parts.updater.update(parts.rollout.experience, 0.0, watch, lambda: False)
    return time.perf_counter() - begin, watch.read()[1]


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policy", default="tutorial", help="network, as the word agent= names it")
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=at_least(1), default=8, help="cogs per environment")
    parser.add_argument("--share", type=positive, default=0.5, help="policy_a_percentage")
    parser.add_argument("--envs", type=at_least(1), default=16)
    parser.add_argument("--horizon", type=at_least(1), default=64, help="steps per segment")
    parser.add_argument("--minibatches", type=at_least(1), default=4, help="per epoch")
    parser.add_argument("--threads", type=at_least(1), default=1, help="threads of engine and network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=at_least(1), default=5, help="epochs of each, of which the median counts")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    with tempfile.TemporaryDirectory() as folder:
        both = contestants(args, folder)
        for parts in both:
            epoch(parts)
        rounds = [[epoch(parts) for parts in both] for _ in range(args.rounds)]
        learned = [parts.rollout.experience.actions.numel() for parts in both]
        for parts in both:
            parts.rollout.close()
    played = args.envs * args.agents * args.horizon
    seconds = [statistics.median(pair[side][0] for pair in rounds) for side in (0, 1)]
    result = {
        "benchmark": "npc_cost",
        "policy": args.policy,
        "share": args.share,
        "plain_agent_steps_per_second": round(played / seconds[0]),
        "beside_agent_steps_per_second": round(played / seconds[1]),
        "beside_learned_steps_per_second": round(learned[1] / seconds[1]),
        "time_per_agent_step": round(statistics.median(pair[1][0] / pair[0][0] for pair in rounds), 3),
        "time_per_learned_step": round(
            statistics.median(pair[1][0] / pair[0][0] * learned[0] / learned[1] for pair in rounds), 3
        ),
        "milliseconds": {
            name: [round(1000 * statistics.median(pair[side][1][name] for pair in rounds), 1) for side in (0, 1)]
            for name in rounds[0][0][1]
        },
        **machine(),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
