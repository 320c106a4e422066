"""A run of a trial in a process of its own, so that whatever becomes of it the sweep goes on."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from metta.common.errors import UserError
from metta.common.files import write_atomic
from metta.common.jsonl import Row
from metta.config.composition import compose
from metta.config.job_process import job_task, summary_of
from metta.config.recipes import resolve
from metta.config.run_job import Summary
from metta.config.words import Word
from metta.executors.process import start_process
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.run_lock import LIMIT, is_running
from metta.runs.objective import Objective

OVERRIDES = "overrides.yaml"
POLL = 0.1  # seconds
PATIENCE = 60.0  # seconds in which a run that is asked to stop has saved
Watch = Callable[[Path], bool]  # looks at the metrics of a run; whether it is to stop


def run_trial(
    recipe: str | None, words: list[Word], objective: Objective, folder: Path, watch: Watch, stop: Callable[[], bool]
) -> Summary:
    """Train in a child process, to the end or until `watch` or `stop` comes true, and return how that ended."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / OVERRIDES, "".join(f"- {json.dumps(word.text)}\n" for word in words))
    _wait_until_free(folder)
    try:
        job = compose(resolve([recipe]) if recipe else None, words)
    except UserError as error:
        return Summary(folder.name, "failed", error.exit_code, problem=str(error))
    child = start_process(job_task(job, objective, folder))
    try:
        while child.poll() is None:
            if stop() or watch(run.metrics):
                _end(child)
                break
            time.sleep(POLL)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    watch(run.metrics)
    return summary_of(folder, child.returncode)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a run to save and stop; one that does not is killed."""
    child.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE)


def _wait_until_free(folder: Path) -> None:
    """A run whose worker was killed is still saving."""
    deadline = time.monotonic() + PATIENCE + LIMIT
    while is_running(folder) and time.monotonic() < deadline:
        time.sleep(POLL)


def new_rows(path: Path, offset: int) -> tuple[list[Row], int]:
    """Whole lines of a metrics file behind an offset, and the offset behind them; from its start if it has shrunk."""
    if not path.is_file():
        return [], 0
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(offset if offset <= size else 0)
        lines = file.read().rpartition(b"\n")[0]
        offset = file.tell() if not lines else (offset if offset <= size else 0) + len(lines) + 1
    rows = []
    for line in lines.splitlines():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows, offset
