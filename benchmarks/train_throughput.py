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
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, training
from benchmarks.machine import machine
from benchmarks.original import Original, Pairs, add_options, against_original
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.rl.settings import RunConfig

EpochEnd = Callable[[], None]
ORIGINAL_HORIZON = 64  # of the original's recurrent policies
# What the metrics call phases, by the three parts that the benchmark reports. In a CUDA graph env is within inference.
PARTS = {
    "env": ("env",),
    "inference": ("inference", "teacher", "npc", "rollout"),
    "learning": ("advantage", "forward", "backward", "minibatch", "optimizer", "other"),
}


def sizes(args: argparse.Namespace) -> tuple[int, int]:
    """Agent-steps of a batch and of a minibatch."""
    batch = args.envs * args.agents * args.horizon
    return batch, args.minibatch or min(batch, 16_384)


def run_epochs(args: argparse.Namespace, folder: str, epochs: int, after: EpochEnd = lambda: None) -> RunConfig:
    """Train a few epochs in a throw-away folder; `after` is called at the end of each. Return the settings that the run
    had, what they leave to the machine said."""
    from metta.rl.evaluation import NoEvaluation
    from metta.rl.trainer import train

    class Ended(NoEvaluation):
        def __call__(self, net: Any, epoch: int, last: bool, folder: Any, stop: Any) -> dict[str, float]:
            after()
            return super().__call__(net, epoch, last, folder, stop)

    batch, minibatch = sizes(args)
    config = training(
        [
            "run=benchmark",
            *(f"mission={args.mission}", f"mission.cogs={args.agents}", f"agent={args.policy}"),
            f"trainer.total_timesteps={batch * epochs}",
            *(f"trainer.batch_size={batch}", f"trainer.minibatch_size={minibatch}"),
            f"trainer.bptt_horizon={args.horizon}",
            *(f"training_env.num_envs={args.envs}", f"training_env.num_workers={args.threads}"),
            "checkpointer.epoch_interval=1_000_000",
            *(f"device={args.device}", f"system.data_dir={folder}", f"system.threads={args.threads}"),
            *(f"trainer.precision={args.precision}", f"env.backend={args.backend}"),
            f"trainer.cuda_graphs={args.graphs}",
        ]
    )
    settled: list[RunConfig] = []

    def evaluator_of(plan: Any) -> Ended:
        settled.append(plan.config)
        return Ended()

    with contextlib.redirect_stdout(io.StringIO()):
        train(config, evaluator_of)
    return settled[-1]


def rows_of(folder: str) -> list[dict[str, float]]:
    """Metrics of the epochs that `run_epochs` trained there."""
    return [json.loads(line) for line in (Path(folder) / "benchmark" / "metrics.jsonl").read_text().splitlines()]


def compare(args: argparse.Namespace, python: str) -> list[dict[str, Any]]:
    """Epochs in turns with the original's trainer, with batches of the same size. Raises UserError for bad input."""
    if args.threads != 1 or args.horizon != ORIGINAL_HORIZON:
        raise UserError(f"--against original compares with one thread and a horizon of {ORIGINAL_HORIZON}")
    if not args.warmup:
        raise UserError("--against original needs an epoch before those that count: --warmup 1")
    args.device = args.backend = "cpu"
    batch, minibatch = sizes(args)
    settings = {"mission": args.mission, "agents": args.agents, "envs": args.envs, "policy": args.policy}
    with tempfile.TemporaryDirectory() as folder:
        with Original(python, "train", batch=batch, minibatch=minibatch, **settings) as original:
            pairs, marks = Pairs(original), []

            def after() -> None:
                marks.append(time.process_time())
                if len(marks) > args.warmup:
                    pairs.add(batch / (marks[-1] - marks[-2]))
                else:
                    original.ask()
                marks[-1] = time.process_time()

            run_epochs(args, folder, args.pairs + args.warmup, after)
        share = shares(rows_of(folder)[args.warmup :])
    what = f"{args.policy}, {args.mission}, {args.envs} environments x {args.agents} agents x {args.horizon} steps"
    return [{"what": what, **pairs.result(), "minibatch": minibatch, "share": share}]


def shares(rows: list[dict[str, float]]) -> dict[str, float]:
    """Parts of an epoch's time, medians."""
    return {
        part: round(
            statistics.median(sum(row.get(f"timing_per_epoch/frac/{name}", 0.0) for name in names) for row in rows), 4
        )
        for part, names in PARTS.items()
    }


def work(config: RunConfig) -> dict[str, int]:
    """Size of the policy, and the floating-point operations that training takes per agent-step (see --describe)."""
    from metta.config.describe import describe_policy

    total = describe_policy(config)["total"]
    return {"parameters": total["parameters"], "trained_flops_per_agent_step": total["trained_flops"]}


def peak(rows: list[dict[str, float]]) -> dict[str, float]:
    """Most memory that was taken of a CUDA device, in GB; nothing without one."""
    taken = [row["monitor/gpu_memory_gb"] for row in rows if "monitor/gpu_memory_gb" in row]
    return {"gpu_memory_gb": round(max(taken), 2)} if taken else {}


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
    parser.add_argument("--device", default="auto", help="where the network runs")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="where the engine runs")
    parser.add_argument("--precision", default="auto", help="as trainer.precision: auto, float32, bf16")
    parser.add_argument("--graphs", default="auto", help="as trainer.cuda_graphs: auto, on, off")
    parser.add_argument("--epochs", type=at_least(1), default=5, help="epochs measured, of which the median counts")
    parser.add_argument("--warmup", type=at_least(0), default=2, help="epochs before that")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    add_options(parser)
    args = parser.parse_args(argv)
    if args.against:
        return against_original("train_throughput", args, compare)
    if hasattr(os, "sched_setaffinity"):  # one thread means one core, for whatever else the libraries start
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: args.threads])
    with tempfile.TemporaryDirectory() as folder:
        config = run_epochs(args, folder, args.epochs + args.warmup)
        rows = rows_of(folder)[args.warmup :]
    if not rows:
        raise UserError("stopped before an epoch was measured")
    rates = [row["timing_per_epoch/sps"] for row in rows]
    share, size, rate = shares(rows), work(config), statistics.median(rates)
    result = {
        "benchmark": "train_throughput",
        "agent_steps_per_second": round(rate),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
        "policy": args.policy,
        "mission": args.mission,
        "agents": args.agents,
        "envs": args.envs,
        "horizon": args.horizon,
        "batch": config.trainer.batch_size,
        "minibatch": config.trainer.minibatch_size,
        "epochs": len(rows),
        "threads": args.threads,
        "device": config.system.device,
        "backend": args.backend,
        "precision": config.trainer.precision,
        **size,
        "trained_flops_per_second": round(rate * size["trained_flops_per_agent_step"]),
        "share": share,
        **peak(rows),
        **machine(),
    }
    if args.json:
        print(json.dumps(result))
    else:
        parts = ", ".join(f"{name} {100 * value:.1f} %" for name, value in share.items())
        print(
            f"{args.policy} ({size['parameters']:,} parameters), {args.envs} environments x {args.agents} agents x "
            f"{args.horizon} steps, {args.threads} thread(s), {config.system.device} in {config.trainer.precision}: "
            f"{result['agent_steps_per_second']:,} agent-steps/s ({result['lowest']:,} to {result['highest']:,}), "
            f"{result['trained_flops_per_second'] / 1e9:,.3g} GFLOP/s trained; {parts}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
