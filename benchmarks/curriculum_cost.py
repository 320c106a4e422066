#!/usr/bin/env python3
"""What groups of environments with tasks of their own cost: as many in one batch and in groups, in turns."""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, positive
from benchmarks.env_throughput import Play, host_play, steps_of_round
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least


def players(args: argparse.Namespace, envs: int) -> tuple[Play, Play, Any]:
    """How to play one batch and groups of tasks that cost the same, and the batch."""
    from metta.rl.experience.environments import find_source
    from metta.rl.settings import RunConfig

    def build(**settings: Any) -> Any:
        pool = {"map_pool": args.maps, "num_workers": args.threads, "fresh_maps": False}
        config = RunConfig.model_validate({"mission": {"name": args.mission}, "training_env": pool, **settings})
        return find_source(config).build(envs, 0)

    tasks = {"groups": args.groups, "mission": {"deposit_amount": {"range": [80, 120]}}}
    batch, groups = build(), build(curriculum=tasks)
    return host_play(batch)[0], host_play(groups)[0], batch


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--envs", type=at_least(1), nargs="+", default=[64], help="environments, in turn if several")
    parser.add_argument("--groups", type=at_least(1), default=8)
    parser.add_argument("--maps", type=at_least(1), default=256, help="of the pool")
    parser.add_argument("--threads", type=at_least(1), default=1)
    parser.add_argument("--rounds", type=at_least(1), default=9, help="rounds of each, of which the median counts")
    parser.add_argument("--seconds", type=positive, default=0.5, help="length of a round")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    for envs in args.envs:
        one, groups, batch = players(args, envs)
        steps = steps_of_round(batch, one, args.seconds)
        groups(steps)
        rates = [(one(steps), groups(steps)) for _ in range(args.rounds)]
        result = {
            "benchmark": "curriculum_cost",
            "envs": envs,
            "groups": args.groups,
            "threads": args.threads,
            "one_batch": round(statistics.median(rate for rate, _ in rates)),
            "in_groups": round(statistics.median(rate for _, rate in rates)),
            "ratio": round(statistics.median(theirs / ours for ours, theirs in rates), 3),
            **machine(),
        }
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
