#!/usr/bin/env python3
"""Training by one process and by several, in turns on the same machine: agent-steps per second of whole epochs."""

import json
import statistics
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.common.jsonl import read_rows
from metta.rl.run.metrics import EPOCH

ROOT = Path(__file__).parents[1]
BATCH = 131_072
Setting = tuple[int, int]  # processes, threads of each


def rates(setting: Setting, args: Namespace, folder: Path, turn: int) -> list[float]:
    """Agent-steps/s of each epoch but the first. Raise UserError if the command fails."""
    processes, threads = setting
    run = f"p{processes}t{threads}-{turn}"
    command = [
        sys.executable,
        "tools/run.py",
        "recipes.experiment.cogsguard.train",
        f"run={run}",
        f"agent={args.policy}",
    ]
    command += ["mission=cogsguard_arena.basic", "system.device=cpu", f"system.data_dir={folder}"]
    command += [f"system.nproc={processes}", f"system.threads={threads}", f"training_env.num_workers={threads}"]
    command += [f"training_env.num_envs={args.envs}", f"trainer.batch_size={args.batch}"]
    command += [f"trainer.total_timesteps={args.batch * (args.epochs + 1)}", "checkpointer.epoch_interval=1000"]
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise UserError(f"run {run} failed; its output is above")
    rows = read_rows(folder / run / "metrics.jsonl")
    return [row["timing_per_epoch/sps"] for row in rows if row[EPOCH] > 1]


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policy", default="lstm")
    parser.add_argument("--envs", type=at_least(1), default=256)
    parser.add_argument("--batch", type=at_least(1), default=BATCH, help="agent-steps of an epoch")
    parser.add_argument("--epochs", type=at_least(1), default=6, help="of a run, beside the first")
    parser.add_argument("--turns", type=at_least(1), default=3, help="runs of each setting")
    parser.add_argument("--processes", type=at_least(2), default=2)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    settings: list[Setting] = [(1, 1), (args.processes, 1), (1, args.processes)]
    found: dict[Setting, list[list[float]]] = {setting: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(args.turns):
            for setting in settings:
                found[setting].append(rates(setting, args, Path(folder), turn))
    medians = {setting: [statistics.median(run) for run in runs] for setting, runs in found.items()}
    ratios = {
        f"over {count} process of {threads} thread{'s' * (threads > 1)}": [
            many / few for many, few in zip(medians[settings[1]], medians[(count, threads)], strict=True)
        ]
        for count, threads in (settings[0], settings[2])
    }
    named = {f"{count} x {threads}": numbers for (count, threads), numbers in medians.items()}
    if args.json:
        print(json.dumps({"benchmark": "processes", "agent_steps_per_s": named, "ratios": ratios} | machine()))
        return 0
    for name, numbers in named.items():
        print(f"{name} (processes x threads): {statistics.median(numbers):,.0f} agent-steps/s")
    for name, numbers in ratios.items():
        spread = f"{min(numbers):.2f} to {max(numbers):.2f}"
        print(f"{args.processes} processes of 1 thread {name}: {statistics.median(numbers):.2f} times ({spread})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
