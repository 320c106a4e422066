#!/usr/bin/env python3
"""Measure evaluation: agent-steps per second of whole contests, from the first map to the last interval."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.settings import validated
from metta.eval.contest import run_contest
from metta.eval.settings import ContestSettings

# Agent-steps/s of the original's `scrimmage` on a core of this kind, where it was measured.
ORIGINAL = {"starter": 2_200, "random": 6_300}
SCRIPTED = 2_200  # what a policy of Python code had there
POLICIES = ("random", "starter", "role", "cogsguard?gear=10")


def measure(policy: str, args: argparse.Namespace) -> dict[str, Any]:
    """Play a contest once for the compiler, then again with a watch."""
    said = {"episodes": args.episodes, "steps": args.steps, "workers": args.workers}
    settings = validated(ContestSettings, {"policies": [policy], "missions": [args.mission], **said}, "")
    run_contest(settings.model_copy(update={"episodes": 1, "steps": 2}))
    start = time.perf_counter()
    result = run_contest(settings)
    result.document()
    seconds = time.perf_counter() - start
    rate = result.agent_steps / seconds
    return {
        "policy": policy,
        "agent_steps": result.agent_steps,
        "seconds": round(seconds, 2),
        "agent_steps_per_second": round(rate),
        "times_the_original": round(rate / ORIGINAL.get(policy, SCRIPTED), 1),
    }


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=POLICIES)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--episodes", type=at_least(1), default=50)
    parser.add_argument("--steps", type=at_least(1), default=2000)
    parser.add_argument("--workers", type=at_least(1), help="default: all cores")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    args = parser.parse_args(argv)
    rows = [measure(policy, args) for policy in args.policies]
    if args.json:
        print(json.dumps({"benchmark": "evaluation", "machine": machine(), "mission": args.mission, "rows": rows}))
        return 0
    for row in rows:
        print(
            f"{row['policy']:24} {row['agent_steps_per_second']:>10,} agent-steps/s  {row['seconds']:8.2f} s"
            f"  {row['times_the_original']:6.1f} x the original"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
