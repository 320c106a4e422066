#!/usr/bin/env python3
"""How long training stands still for a checkpoint, and how long and large that is on disk."""

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, training
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least

# Nets of 0.2, 2.5 and 10 M parameters.
NETS = {"0.2M": ["agent=lstm"], "2.5M": ["agent=tutorial"], "10M": ["agent=lstm", "agent.hidden_size=1024"]}


def parts_of(words: list[str], args: argparse.Namespace, folder: str) -> tuple[Any, Any]:
    """Plan and parts of a run whose optimiser has made its first steps."""
    from metta.rl.build import build, plan
    from metta.rl.run.timing import Stopwatch

    batch = args.envs * 8 * 4
    words = [
        *("run=stall", *words, f"device={args.device}", f"system.threads={args.threads}"),
        *(f"training_env.num_envs={args.envs}", "trainer.bptt_horizon=4"),
        *(f"trainer.batch_size={batch}", f"trainer.minibatch_size={batch}", f"system.data_dir={folder}"),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        planned = plan(training(words))
        parts = build(planned)
    parts.rollout.start()
    parts.rollout.begin(0, 0)
    parts.rollout.collect(Stopwatch(), lambda: False)
    parts.updater.update(parts.rollout.experience, 0.0, Stopwatch(), lambda: False)
    return planned, parts


def measure(name: str, args: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Milliseconds until training goes on, by the clock and of its processor time, and until the checkpoint is on disk;
    and its bytes."""
    from metta.rl.run.checkpoint import Checkpointer
    from metta.rl.run.resume import take_snapshot
    from metta.rl.run.run_folder import RunFolder
    from metta.rl.run.snapshot import Progress

    planned, parts = parts_of(NETS[name], args, folder)
    run = RunFolder(Path(folder) / planned.run)
    run.path.mkdir()
    checkpointer = Checkpointer(run, planned.config.checkpointer)
    stalls, busy, whole = [], [], []
    for epoch in range(1, args.rounds + 2):
        begin, used = time.perf_counter(), time.thread_time()
        checkpointer.save(parts.net, take_snapshot(planned, parts, Progress(epoch=epoch)))
        stalls.append(1000 * (time.perf_counter() - begin))
        busy.append(1000 * (time.thread_time() - used))
        if not checkpointer.settle(wait=True):
            raise SystemExit(2)  # the warning is printed
        whole.append(1000 * (time.perf_counter() - begin))
    parts.rollout.close()
    folders = run.checkpoint(args.rounds + 1), run.state(args.rounds + 1)
    return {
        "parameters": sum(parameter.numel() for parameter in parts.net.parameters()),
        "first_stall_ms": round(stalls[0], 1),
        "stall_ms": spread(stalls[1:]),
        "stall_processor_ms": spread(busy[1:]),
        "on_disk_ms": spread(whole[1:]),
        "bundle_bytes": sum(file.stat().st_size for file in folders[0].iterdir()),
        "state_bytes": sum(file.stat().st_size for file in folders[1].iterdir()),
    }


def spread(values: list[float]) -> list[float]:
    """Median, least and most."""
    return [round(value, 1) for value in (statistics.median(values), min(values), max(values))]


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=[*NETS], help="by parameters (default all)")
    parser.add_argument("--envs", type=at_least(1), default=256, help="environments, whose state is saved too")
    parser.add_argument("--threads", type=at_least(1), default=2, help="threads of engine and network")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=at_least(1), default=9, help="saves after the first, which allocates buffers")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the table")
    args = parser.parse_args(argv)
    results = {}
    for name in args.nets:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure(name, args, folder)
    told = {"benchmark": "checkpoint_stall", "envs": args.envs, "threads": args.threads, "nets": results, **machine()}
    print(json.dumps(told) if args.json else table(results))
    return 0


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results for people."""
    lines = [
        "parameters, stall in ms (first; least-most), its processor ms, ms to disk (least-most), weights, state in MB"
    ]
    for row in results.values():
        stall, busy, disk = row["stall_ms"], row["stall_processor_ms"], row["on_disk_ms"]
        cells = [
            f"{row['parameters']:,}",
            f"{stall[0]:g} ({row['first_stall_ms']:g}; {stall[1]:g}-{stall[2]:g})",
            f"{busy[0]:g}",
            f"{disk[0]:g} ({disk[1]:g}-{disk[2]:g})",
            f"{row['bundle_bytes'] / 1e6:.1f}",
            f"{row['state_bytes'] / 1e6:.1f}",
        ]
        lines.append("   ".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
