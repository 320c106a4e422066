#!/usr/bin/env python3
"""Agent-steps per second of training, and where the time goes."""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, training
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError

# What the metrics call phases, by the three parts that the benchmark reports.
PARTS = {
    "env": ("env",),
    "inference": ("inference", "teacher", "npc"),
    "learning": ("advantage", "forward", "backward", "optimizer", "other"),
}


def run_epochs(args: argparse.Namespace, folder: str) -> list[dict[str, float]]:
    """Train a few epochs in a throw-away folder; the metrics of each."""
    from metta.rl.trainer import train

    batch = args.envs * args.agents * args.horizon
    minibatch = args.minibatch or min(batch, 16_384)
    config = training(
        [
            "run=benchmark",
            *(f"mission={args.mission}", f"mission.cogs={args.agents}", f"agent={args.policy}"),
            f"trainer.total_timesteps={batch * (args.epochs + args.warmup)}",
            *(f"trainer.batch_size={batch}", f"trainer.minibatch_size={minibatch}"),
            f"trainer.bptt_horizon={args.horizon}",
            *(f"training_env.num_envs={args.envs}", f"training_env.num_workers={args.threads}"),
            "checkpointer.epoch_interval=1_000_000",
            *(f"device={args.device}", f"system.data_dir={folder}", f"system.threads={args.threads}"),
        ]
    )
    with contextlib.redirect_stdout(io.StringIO()):
        train(config)
    return [json.loads(line) for line in (Path(folder) / "benchmark" / "metrics.jsonl").read_text().splitlines()]


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policy", default="lstm", help="network, as the word agent= names it")
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=at_least(1), default=8, help="cogs per environment")
    parser.add_argument("--envs", type=at_least(1), default=256)
    parser.add_argument("--horizon", type=at_least(1), default=64, help="steps per segment")
    parser.add_argument("--minibatch", type=at_least(1), help="agent-steps per gradient step (default: 16,384)")
    parser.add_argument("--threads", type=at_least(1), default=1, help="threads of engine and network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=at_least(1), default=5, help="epochs measured, of which the median counts")
    parser.add_argument("--warmup", type=at_least(0), default=2, help="epochs before that")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):  # one thread means one core, for whatever else the libraries start
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: args.threads])
    with tempfile.TemporaryDirectory() as folder:
        rows = run_epochs(args, folder)[args.warmup :]
    if not rows:
        raise UserError("stopped before an epoch was measured")
    rates = [row["timing_per_epoch/sps"] for row in rows]
    share = {
        part: round(
            statistics.median(sum(row.get(f"timing_per_epoch/frac/{name}", 0.0) for name in names) for row in rows), 4
        )
        for part, names in PARTS.items()
    }
    result = {
        "benchmark": "train_throughput",
        "agent_steps_per_second": round(statistics.median(rates)),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
        "policy": args.policy,
        "mission": args.mission,
        "agents": args.agents,
        "envs": args.envs,
        "horizon": args.horizon,
        "threads": args.threads,
        "share": share,
        **machine(),
    }
    if args.json:
        print(json.dumps(result))
    else:
        parts = ", ".join(f"{name} {100 * value:.1f} %" for name, value in share.items())
        print(
            f"{args.policy}, {args.envs} environments x {args.agents} agents x {args.horizon} steps, {args.threads} "
            f"thread(s): {result['agent_steps_per_second']:,} agent-steps/s ({result['lowest']:,} to "
            f"{result['highest']:,}); {parts}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
