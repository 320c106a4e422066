"""The jobs of one command, one after another: one that fails keeps none after it from running."""

import traceback
from collections.abc import Callable, Sequence

from metta.common.commands import guarded
from metta.config.composition import Composed
from metta.config.summary import summary
from metta.rl.settings import RunConfig
from metta.runs.text import table

Execute = Callable[[Composed], tuple[int, bool]]
CRASHED = 1


def run_in_turn(jobs: Sequence[Composed], execute: Execute) -> int:
    """Run every job, then print how each ended; returns the highest of their exit codes.

    `execute` returns a job's exit code, and whether those after it may start: not where somebody has stopped it.
    """
    codes: list[int] = []
    rows: list[tuple[str, str, str]] = []
    going_on = True
    for number, job in enumerate(jobs, 1):
        ended = "not started"
        if going_on:
            print(f"[{number}/{len(jobs)}] {summary(job.config)}", flush=True)
            code, going_on, why = _attempt(job, execute)
            codes.append(code)
            ended = f"failed, exit code {code}: {why}" if code and going_on else "finished" if going_on else "stopped"
        rows.append((f"{number}/{len(jobs)}", _name(job), ended))
    print(table(("job", "name", "ended"), rows), flush=True)
    return max(codes)


def _attempt(job: Composed, execute: Execute) -> tuple[int, bool, str]:
    """Exit code of a job, whether those after it may start, and why it failed."""
    going_on, why = False, "interrupted"

    def main() -> int:
        nonlocal going_on, why
        try:
            code, going_on = execute(job)
            why = "see above"
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            going_on, why = True, str(error).splitlines()[0] if str(error) else type(error).__name__
            raise
        return code

    try:
        return guarded(main), going_on, why
    except Exception:
        traceback.print_exc()
        return CRASHED, going_on, why


def _name(job: Composed) -> str:
    return job.config.run or "" if isinstance(job.config, RunConfig) else summary(job.config)
