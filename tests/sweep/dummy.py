"""A worker whose trials take no training: 1 - (1 - x)² after so many seconds, told in a file as they begin and end.

    python -m tests.sweep.dummy SECONDS < plan.json

Trials from the number on that the file HELD names wait until it is gone.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from metta.common.jsonl import append_row
from metta.sweep.plan import Plan
from metta.sweep.storage import open_store
from metta.sweep.study import Outcome, Spent, Sweep, Taken
from metta.sweep.worker import Run, work

TOLD, HELD = "told.jsonl", "held"


def score(values: dict) -> float:
    return 1 - (1 - values.get("x", 0.25)) ** 2


def dummy(seconds: float, told: Path) -> Run:
    """What runs a trial, and says so in a file."""

    def tell(number: int, what: str) -> None:
        spent = {"time": time.time(), "processor": time.process_time()}
        append_row(told, {"trial": number, "worker": os.getpid(), "what": what, **spent})

    def run(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
        tell(taken.number, "begins")
        held = told.with_name(HELD)
        while held.exists() and taken.number >= int(held.read_text()):
            time.sleep(0.02)
        time.sleep(seconds)
        tell(taken.number, "ends")
        return Outcome(score=score(taken.values), spent=Spent(100, 1.0))

    return run


def main() -> None:
    plan = Plan.model_validate_json(sys.stdin.read())
    work(Sweep(plan, open_store(plan)), lambda: False, dummy(float(sys.argv[1]), plan.folder / TOLD))


if __name__ == "__main__":
    main()
