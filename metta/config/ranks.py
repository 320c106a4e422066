"""A training job in several processes: who starts them, and what each of them runs.

The job is composed once, by the process that starts the others; they read its settings from standard input.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.ranks import begin, find_place, is_launched
from metta.common.streams import go_on_unheard
from metta.config.composition import Composed
from metta.config.job import KINDS
from metta.policy.nets.components.user import allow
from metta.rl.launcher import Ended, Job, launch
from metta.rl.settings import RunConfig

COMMAND = (sys.executable, "-P", "-m", __name__)


def train_in_many(config: RunConfig) -> Ended | None:
    """Train in as many processes as system.nproc says; None where that is one, which is this, or torchrun did so."""
    if config.system.nproc in (None, 1) or is_launched():
        return None
    from metta.rl.machine import count_processes

    processes = count_processes(config.system)
    if processes == 1:
        return None
    config.system = config.system.model_copy(update={"nproc": processes})
    data = Path(config.system.data_dir)
    folders = [data, *(data / (run.run or "") for run in config.phase_runs)]
    given = config.model_dump_json(exclude_unset=True).encode()
    return launch(Job(config.run or "", COMMAND, given, folders), processes, config.system)


def check_launched(jobs: Sequence[Composed]) -> None:
    """Raise UserError for jobs that cannot run where torchrun has started several processes for them."""
    if find_place().size == 1:
        return
    if len(jobs) > 1:
        raise UserError("-m: one job after another needs system.nproc=…; torchrun starts the processes of one job")
    for job in jobs:
        if not isinstance(job.config, RunConfig):
            raise UserError(f"{job.config.cmd}: runs in one process, not under torchrun; only training takes several")


def refused(error: UserError) -> UserError:
    """What to raise for an error before training: where there are several processes, all raise the same."""
    if not is_launched():
        return error
    from metta.rl.rendezvous import refuse_all

    return refuse_all(error)


def main() -> int:
    """Train as one of several processes; returns the exit code."""
    begin()
    go_on_unheard()
    config = RunConfig.model_validate_json(sys.stdin.buffer.read())
    allow(config.agent.components)
    KINDS["train"].execute(config)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
