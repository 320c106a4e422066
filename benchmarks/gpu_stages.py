#!/usr/bin/env python3
"""What benchmarks/gpu.sh asks of Python besides the benchmarks: each prints one line of JSON, the rest is the log's."""

import contextlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from metta.common.commands import Parser, guarded
from metta.common.errors import UserError
from metta.common.jsonl import is_number, sample_rows

NEEDED = ("hydra", "numba", "numba_cuda", "numpy", "omegaconf", "psutil", "pydantic", "pytest", "rich", "safetensors",
          "torch")  # fmt: skip
VERSIONS = ("torch", "triton", "numba", "numba-cuda", "llvmlite", "numpy", "pydantic", "hydra-core", "omegaconf")
POINTS = 200  # of a curve, at most
CURVE = {
    "agent_step": "metric/agent_step",
    "seconds": "metric/train_time",
    "reward": "overview/reward",
    "hearts": "overview/heart_count",
    "agreement": "losses/teacher_agreement",
    "agreement_teacher_led": "losses/teacher_agreement_teacher_led",
    "agreement_student_led": "losses/teacher_agreement_student_led",
    "agent_steps_per_second": "overview/sps",
}


def facts() -> dict[str, Any]:
    """The machine and the versions on it; what cannot be found out is None, and missing packages are named."""
    found = {name: _version(name) for name in VERSIONS}
    missing = [name for name in NEEDED if find_spec(name) is None]
    return {
        "benchmark": "gpu_facts",
        **_device(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "versions": found,
        "missing": missing,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    with contextlib.suppress(ImportError):  # without torch
        from benchmarks.machine import cpu_name

        return cpu_name()
    return platform.machine()


def _device() -> dict[str, Any]:
    """The first device, as nvidia-smi and torch see it, and whether numba does too."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    told: dict[str, Any] = dict.fromkeys(("gpu", "gpu_memory_mib", "driver", "cuda", "capability"))
    with contextlib.suppress(OSError):
        subprocess.run(["nvidia-smi"], stdout=sys.stderr)
        lines = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
        if lines and lines[0].count(",") == 2:
            name, memory, driver = (part.strip() for part in lines[0].split(","))
            told |= {"gpu": name, "gpu_memory_mib": int(memory) if memory.isdigit() else None, "driver": driver}
    with contextlib.suppress(ImportError):
        import torch

        told["cuda"] = torch.version.cuda
        if torch.cuda.is_available():
            told["gpu"] = told["gpu"] or torch.cuda.get_device_name()
            told["capability"] = "{}.{}".format(*torch.cuda.get_device_capability())
    with contextlib.suppress(ImportError):
        from numba import cuda

        told["numba_sees_it"] = bool(cuda.is_available())
    return told


class Outcomes:
    """A plugin of pytest that counts tests by how they ended and keeps the names of those that failed."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.outcome == "failed":
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.outcome == "failed":
            self.failed.append(report.nodeid)


def tests(words: list[str]) -> tuple[dict[str, Any], int]:
    """Run pytest with these words; its counts, and its exit code: 1 also where nothing passed."""
    import pytest

    outcomes = Outcomes()
    with contextlib.redirect_stdout(sys.stderr):
        code = int(pytest.main(["-vv", "-rs", "--color=no", *words], plugins=[outcomes]))
    result = {"benchmark": "gpu_tests", **outcomes.counts, "failures": outcomes.failed}
    return result, code or int(not outcomes.counts["passed"])


def curve(path: Path) -> dict[str, Any]:
    """Points of a run's metrics. Raises UserError where there are none."""
    try:
        rows, _ = sample_rows(path, POINTS)
    except (OSError, IndexError):
        rows = []
    if not rows:
        raise UserError(f"{path}: no epoch was finished")
    points = [{key: row[name] for key, name in CURVE.items() if is_number(row.get(name))} for row in rows]
    return {"benchmark": "gpu_clone", "points": points}


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("facts", help="hardware and versions")
    kinds.add_parser("tests", help="counts of pytest").add_argument("words", nargs="*", help="for pytest, behind --")
    of_clone = kinds.add_parser("curve", help="reward, hearts and agreement of a run")
    of_clone.add_argument("metrics", type=Path, help="its metrics.jsonl")
    of_clone.add_argument("words", nargs="*", help="the words of its command, behind --")

    def run() -> int:
        args, code = parser.parse_args(argv), 0
        if args.what == "tests":
            result, code = tests(args.words)
        else:
            result = facts() if args.what == "facts" else {**curve(args.metrics), "words": args.words}
        print(json.dumps(result), flush=True)
        return code

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main())
