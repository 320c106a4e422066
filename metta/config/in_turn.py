"""The jobs of one command, one after another in this process: one that fails keeps none after it from running."""

import sys
import traceback
from collections.abc import Callable, Sequence

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.config.composition import Composed
from metta.config.run_job import Summary
from metta.config.summary import summary

CRASHED = 1
Run = Callable[[Composed], Summary]


def run_in_turn(jobs: Sequence[Composed], run: Run) -> list[Summary | None]:
    """Run every job; returns how each ended, None for those behind one that somebody stopped, which do not start."""
    ended: list[Summary | None] = []
    for number, job in enumerate(jobs, 1):
        if ended and (ended[-1] is None or ended[-1].state == "stopped"):
            ended.append(None)
            continue
        print(f"[{number}/{len(jobs)}] {summary(job.config)}", flush=True)
        ended.append(_attempt(job, run))
    return ended


def _attempt(job: Composed, run: Run) -> Summary:
    """How a job ended, whatever it raised."""
    ended = Summary("", "stopped")

    def main() -> int:
        nonlocal ended
        try:
            ended = run(job)
        except UserError as error:
            ended = Summary("", "failed", error.exit_code, problem=str(error))
        if ended.code and ended.problem:
            print(f"error: {ended.problem}", file=sys.stderr)
        return ended.code

    try:
        code = guarded(main)
    except Exception as error:
        traceback.print_exc()
        return Summary("", "failed", CRASHED, problem=str(error).partition("\n")[0] or type(error).__name__)
    return ended if ended.code == code else Summary("", "stopped", code)
