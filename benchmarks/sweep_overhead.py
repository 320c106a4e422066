#!/usr/bin/env python3
"""What a sweep costs beside its trials: several workers pull trials that only wait, on a journal or on PostgreSQL."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, positive
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.common.jsonl import read_rows
from metta.sweep.plan import Plan
from metta.sweep.settings import SweepSettings
from tests.postgres import BINARIES, serving
from tests.sweep.dummy import TOLD

ROOT = Path(__file__).parents[1]
Gap = tuple[float, float]  # between two trials of a worker: seconds, and seconds of its processor


@contextmanager
def storage(args: Namespace) -> Iterator[str | None]:
    """The address of the database; None: a journal."""
    if args.storage != "here":
        yield None if args.storage == "journal" else args.storage
        return
    if not BINARIES:
        raise UserError("--storage here: PostgreSQL is not installed (apt-get install postgresql)")
    with serving() as server:
        yield server.address


def pull(args: Namespace, folder: Path, url: str | None, turn: int) -> list[Gap]:
    """Have the workers pull all trials of a sweep. Raise UserError where one of them fails."""
    tree = {"parameters": {"x": {"uniform": [0, 1]}, "y": {"log": [0.01, 1]}}, "budget": {"trials": args.trials}}
    sweep = SweepSettings.model_validate(tree | {"storage": url})
    plan = Plan(
        name=f"pulled-{turn}", recipe=None, typed=[], file="", sweep=sweep, data_dir=str(folder), defaults={}, total=1
    )
    plan.folder.mkdir()
    workers = [_start(plan, args.seconds) for _ in range(args.workers)]
    if max([worker.wait() for worker in workers], key=abs):
        raise UserError("a worker failed; what it said is above")
    rows = list(read_rows(plan.folder / TOLD))
    found = []
    for worker in {row["worker"] for row in rows}:
        own = [row for row in rows if row["worker"] == worker]
        gaps = [(one, other) for one, other in pairwise(own) if one["what"] == "ends"]
        found += [(other["time"] - one["time"], other["processor"] - one["processor"]) for one, other in gaps]
    return found


def _start(plan: Plan, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.sweep.dummy", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment, stdout=subprocess.DEVNULL)
    assert worker.stdin
    with worker.stdin as stdin:
        stdin.write(plan.model_dump_json(by_alias=True))
    return worker


def told(gaps: list[Gap]) -> dict[str, float]:
    """Means and medians in milliseconds."""
    wall, processor = zip(*((1000 * wall, 1000 * processor) for wall, processor in gaps), strict=True)
    return {
        "wall_ms": statistics.fmean(wall),
        "median_wall_ms": statistics.median(wall),
        "processor_ms": statistics.fmean(processor),
    }


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--workers", type=at_least(1), default=4)
    parser.add_argument("--trials", type=at_least(2), default=200)
    parser.add_argument("--seconds", type=positive, default=0.2, help="of a trial")
    parser.add_argument("--turns", type=at_least(1), default=3, help="sweeps, one after another")
    parser.add_argument("--storage", default="here", help="postgresql+psycopg://…, journal, or here: a new server")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, storage(args) as url:
        turns = [told(pull(args, Path(folder), url, turn)) for turn in range(args.turns)]
    if args.json:
        asked = {"workers": args.workers, "trials": args.trials, "seconds": args.seconds, "storage": args.storage}
        print(json.dumps({"benchmark": "sweep_overhead", **asked, "turns": turns} | machine()))
        return 0
    for number, turn in enumerate(turns, 1):
        print(
            f"sweep {number}: {turn['wall_ms']:.1f} ms between two trials of a worker (median "
            f"{turn['median_wall_ms']:.1f}), {turn['processor_ms']:.1f} ms of its processor"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
