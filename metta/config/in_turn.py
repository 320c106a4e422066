"""The jobs of one command, one after another: one that fails keeps none after it from running."""

import traceback
from collections.abc import Callable, Sequence

from metta.common.commands import guarded
from metta.config.composition import Composed
from metta.config.summary import summary
from metta.rl.settings import RunConfig
from metta.runs.text import table

Execute = Callable[[Composed], tuple[int, bool, bool]]
CRASHED = 1


def run_in_turn(jobs: Sequence[Composed], execute: Execute) -> int:
    """Run every job, then print how each ended; returns the highest of their exit codes.

    `execute` returns a job's exit code, whether somebody has stopped it, so that none after it may start, and whether
    it is done.
    """
    codes: list[int] = []
    rows: list[tuple[str, str, str]] = []
    stopped = False
    for number, job in enumerate(jobs, 1):
        ended = "not started"
        if not stopped:
            print(f"[{number}/{len(jobs)}] {summary(job.config)}", flush=True)
            code, stopped, ended = _attempt(job, execute)
            codes.append(code)
        rows.append((f"{number}/{len(jobs)}", _name(job), ended))
    print(table(("job", "name", "ended"), rows), flush=True)
    return max(codes)


def _attempt(job: Composed, execute: Execute) -> tuple[int, bool, str]:
    """Exit code of a job, whether those after it may not start, and how it ended in words."""
    stopped, finished, why = True, False, "see above"

    def main() -> int:
        nonlocal stopped, finished, why
        try:
            code, stopped, finished = execute(job)
        except Exception as error:
            stopped, why = False, str(error).partition("\n")[0] or type(error).__name__
            raise
        return code

    try:
        code = guarded(main)
    except Exception:
        traceback.print_exc()
        code = CRASHED
    if stopped:
        return code, stopped, "stopped"
    if code:
        return code, stopped, f"failed, exit code {code}: {why}"
    return code, stopped, "finished" if finished else "not finished: its time was up"


def _name(job: Composed) -> str:
    return job.config.run or "" if isinstance(job.config, RunConfig) else summary(job.config)
