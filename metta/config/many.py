"""Several jobs of one command: in this process, or beside each other on an executor; how each ended, and its score."""

from collections.abc import Callable, Sequence
from pathlib import Path

from metta.common.errors import UserError
from metta.common.logging import note
from metta.common.settings import Settings
from metta.config.composition import Composed
from metta.config.in_turn import run_in_turn
from metta.config.job_process import OUTPUT, job_task, summary_of
from metta.config.run_job import Summary
from metta.config.summary import summary
from metta.eval.settings import PlayConfig
from metta.eval.statistics import show, show_ends
from metta.executors.choice import make_executor
from metta.executors.executor import run_tasks
from metta.executors.settings import BasicSettings
from metta.rl.settings import RunConfig
from metta.runs.objective import EpisodesSettings, Objective
from metta.runs.text import table

OTHERS = ".jobs"  # in system.data_dir: folders of jobs that have no run


def run_many(jobs: Sequence[Composed], launcher: Settings, run: Callable[[Composed], Summary]) -> int:
    """Run every job, then print how each ended; returns the highest of their exit codes. `run` is how one runs in this
    process, the launcher of Hydra's `basic`."""
    ended = run_in_turn(jobs, run) if isinstance(launcher, BasicSettings) else run_beside(jobs, launcher)
    print(ended_table(jobs, ended), flush=True)
    return max(one.code for one in ended if one)


def run_beside(jobs: Sequence[Composed], launcher: Settings) -> list[Summary | None]:
    """Run every job in a process of its own on an executor. Raises UserError where that cannot be."""
    for job in jobs:
        if isinstance(job.config, PlayConfig):
            raise UserError("playing needs this terminal: hydra/launcher=basic")
    folders = [_folder(job, number) for number, job in enumerate(jobs, 1)]
    data = Path(jobs[0].config.system.data_dir)
    executor, places = make_executor(launcher, len(jobs), data / ".submitit", "metta")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    tasks = [job_task(job, Objective(), folder) for job, folder in zip(jobs, folders, strict=True)]
    note(f"{len(jobs)} jobs, {places} at a time; each prints to {OUTPUT} in its folder")
    ended: dict[int, Summary] = {}

    def told(number: int, code: int) -> bool:
        ended[number] = summary_of(folders[number], code)
        if not isinstance(jobs[number].config, RunConfig):
            print((folders[number] / OUTPUT).read_text(errors="replace"), end="")
        note(f"[{number + 1}/{len(jobs)}] {_name(jobs[number])}: {_how(ended[number])}")
        return False

    run_tasks(executor, tasks, places, told)
    return [ended.get(number) for number in range(len(jobs))]


def ended_table(jobs: Sequence[Composed], ended: Sequence[Summary | None]) -> str:
    """How each job ended, and the number that it came to."""
    trains = isinstance(jobs[0].config, RunConfig)
    score = [Objective().metric] if trains else [EpisodesSettings().metric, "95 % interval"]
    header = ("job", "name", *score, "agent-steps", "time (s)", "ended")
    rows = []
    for number, (job, one) in enumerate(zip(jobs, ended, strict=True), 1):
        known = one or Summary("", "stopped")
        score = [show(known.objective)] if trains else [show(known.objective), show_ends(*known.ci95)]
        spent = (f"{known.agent_steps:,}", f"{known.seconds:,.1f}")
        rows.append((f"{number}/{len(jobs)}", _name(job), *score, *spent, _how(one)))
    return table(header, rows, range(2, len(header) - 1))


def _how(ended: Summary | None) -> str:
    if ended is None:
        return "not started"
    if ended.state == "failed":
        return f"failed, exit code {ended.code}: {ended.problem or 'see above'}"
    if ended.state == "out of time":
        return "not finished: its time was up"
    no_score = ended.state == "finished" and ended.objective is None and ended.problem
    return f"{ended.state}; {ended.problem}" if no_score else ended.state


def _folder(job: Composed, number: int) -> Path:
    config = job.config
    data = Path(config.system.data_dir)
    return data / (config.run or "") if isinstance(config, RunConfig) else data / OTHERS / f"{config.cmd}-{number}"


def _name(job: Composed) -> str:
    return job.config.run or "" if isinstance(job.config, RunConfig) else summary(job.config)
