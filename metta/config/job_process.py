"""A composed job in a process of its own, so that whatever becomes of it others go on; it tells by a file how it ended.

What it prints and that file lie in a folder: of a training its run's.
"""

import json
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.files import read_text, write_atomic
from metta.common.ranks import begin
from metta.common.settings import Settings
from metta.common.streams import go_on_unheard
from metta.config.composition import Composed
from metta.config.job import KINDS
from metta.config.run_job import Summary, run_config
from metta.executors.process import Task, received
from metta.policy.nets.components.user import allow
from metta.rl.settings import RunConfig
from metta.runs.objective import Objective

SUMMARY, OUTPUT = "summary.json", "output.log"
MOST_BYTES = 1_000_000


class Given(Settings):
    """What the process reads."""

    cmd: str
    config: dict[str, Any]
    objective: Objective
    summary: Path


def job_task(job: Composed, objective: Objective, folder: Path) -> Task:
    """The task that runs a job and writes its summary and what it prints to a folder."""
    config = job.config.model_dump(mode="json", exclude_unset=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    given = Given(cmd=job.config.cmd, config=config, objective=objective, summary=folder / SUMMARY)
    return Task(name=folder.name, module=__name__, given=given.model_dump_json(), output=folder / OUTPUT)


def summary_of(folder: Path, code: int) -> Summary:
    """What the process said; of one that said nothing, how it ended and its last line."""
    with suppress(UserError, ValueError, TypeError):
        told: dict[str, Any] = json.loads(read_text(folder / SUMMARY, MOST_BYTES))
        return Summary(**{**told, "ci95": tuple(told["ci95"])})
    if code < 0:
        problem = f"killed by {signal.Signals(-code).name}" + " (out of memory?)" * (code == -signal.SIGKILL)
    else:
        output = folder / OUTPUT
        lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
        problem = f"exit code {code}: {lines[-1][:300] if lines else 'no word'}"
    return Summary(folder.name, "failed", code, problem=problem)


def main() -> int:
    """Run the job that standard input names and write its summary; returns its exit code."""
    given = Given.model_validate_json(received())
    begin()
    go_on_unheard()
    config = KINDS[given.cmd].model.model_validate(given.config)
    if isinstance(config, RunConfig):
        allow(config.agent.components)
    ended = run_config(config, given.objective)
    write_atomic(given.summary, json.dumps(asdict(ended)))
    if ended.code and ended.problem:
        print(f"error: {ended.problem}", file=sys.stderr)
    return ended.code


if __name__ == "__main__":
    sys.exit(guarded(main))
