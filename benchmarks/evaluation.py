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
from benchmarks.original import Original, Pairs, add_options, against_original, rate
from metta.common.commands import Parser, at_least
from metta.common.settings import validated
from metta.eval.contest import run_contest
from metta.eval.settings import ContestSettings

POLICIES = ("random", "starter", "role", "cogsguard?gear=10")
# What the original plays beside a policy of ours: the same, where it has that; else its policy of Python code.
ORIGINALS = {"random": "random"}
SCRIPTED = "starter"


def contest(policy: str, args: argparse.Namespace) -> ContestSettings:
    """A contest of one policy; all is compiled."""
    said = {"episodes": args.episodes, "steps": args.steps, "workers": args.workers}
    settings = validated(ContestSettings, {"policies": [policy], "missions": [args.mission], **said}, "")
    run_contest(settings.model_copy(update={"episodes": 1, "steps": 2}))
    return settings


def measure(policy: str, args: argparse.Namespace) -> dict[str, Any]:
    """Play a contest with a watch."""
    settings = contest(policy, args)
    start = time.perf_counter()
    result = run_contest(settings)
    result.document()
    seconds = time.perf_counter() - start
    return {
        "policy": policy,
        "agent_steps": result.agent_steps,
        "seconds": round(seconds, 2),
        "agent_steps_per_second": round(result.agent_steps / seconds),
    }


def compare(args: argparse.Namespace, python: str) -> list[dict[str, Any]]:
    """Contests in turns with single episodes of the original's `scrimmage`, all on one core."""
    args.workers = 1
    return [compare_policy(policy, args, python) for policy in args.policies]


def compare_policy(policy: str, args: argparse.Namespace, python: str) -> dict[str, Any]:
    """One policy's contests in turns with the original."""
    settings, theirs = contest(policy, args), ORIGINALS.get(policy, SCRIPTED)

    def play() -> int:
        result = run_contest(settings)
        result.document()
        return result.agent_steps

    with Original(python, "evaluate", mission=args.mission, policy=theirs, steps=args.steps) as original:
        pairs = Pairs(original)
        for pair in range(args.pairs):
            pairs.add(rate(play), seed=pair)
    return {"what": f"{policy} (there {theirs}), {args.mission}, {args.steps} steps", **pairs.result()}


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=POLICIES)
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--episodes", type=at_least(1), default=50)
    parser.add_argument("--steps", type=at_least(1), default=2000)
    parser.add_argument("--workers", type=at_least(1), help="default: all cores")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    add_options(parser)
    args = parser.parse_args(argv)
    if args.against:
        return against_original("evaluation", args, compare)
    rows = [measure(policy, args) for policy in args.policies]
    if args.json:
        print(json.dumps({"benchmark": "evaluation", "machine": machine(), "mission": args.mission, "rows": rows}))
        return 0
    for row in rows:
        print(f"{row['policy']:24} {row['agent_steps_per_second']:>10,} agent-steps/s  {row['seconds']:8.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
