"""Processes that submitit starts: in a queue of SLURM, or on this machine as if there were one.

They are stopped by a file in the folder that submitit needs on all nodes anyway, so alike wherever they run.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from metta.common.errors import MissingExtraError, UserError
from metta.common.files import write_atomic
from metta.common.processes import child_environment
from metta.executors.process import Task, start_process
from metta.executors.settings import SlurmSettings, SubmititSettings

try:
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths, UncompletedJobError
    from submitit.helpers import DelayedSubmission
except ImportError:
    raise MissingExtraError("submitit", "slurm") from None

SBATCH = {"name": "job_name", "timeout_min": "time"}
LOOK = 0.2  # seconds between looks at files
LATE = 5.0  # seconds after the end of a job in which its exit code may yet come
GRACE = 60.0  # seconds in which a process that is asked to stop has saved


class SubmititExecutor:
    """A folder of jobs and the queue that they go to."""

    def __init__(self, settings: SubmititSettings, folder: Path, name: str) -> None:
        """Raises UserError where there is no queue."""
        jobs = Path(settings.submitit_folder or folder).absolute()
        self._folder = JobPaths.get_first_id_independent_folder(jobs)  # without %j
        self._slurm, self._started = isinstance(settings, SlurmSettings), list[SubmititProcess]()
        kind = submitit.SlurmExecutor if self._slurm else submitit.LocalExecutor
        python = ["env", f"PYTHONPATH={child_environment()['PYTHONPATH']}", sys.executable]
        most = settings.max_num_timeout if isinstance(settings, SlurmSettings) else 0
        try:
            self._queue = kind(jobs, max_num_timeout=most, python=shlex.join(python))
        except RuntimeError:
            raise UserError("srun is not installed here, so this is no machine of a SLURM cluster") from None
        self._queue.update_parameters(**_parameters(settings, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()

    def start(self, task: Task, place: int) -> "SubmititProcess":
        key = self._folder / "tasks" / uuid.uuid4().hex
        key.parent.mkdir(parents=True, exist_ok=True)
        on_node = OnNode(task, key, None if self._slurm else os.getpid())
        try:
            with _deaf():
                job = self._queue.submit(on_node)
        except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{task.name}: sbatch refused it: {reason[:300]}") from None
        self._started.append(SubmititProcess(job, key, self._slurm, prints=task.output is None))
        return self._started[-1]


def _parameters(settings: SubmititSettings, name: str) -> dict[str, Any]:
    """Settings as submitit takes them: for SLURM by the names of sbatch."""
    given = settings.model_dump(exclude={"submitit_folder", "max_num_timeout", "array_parallelism"})
    said = {key: value for key, value in given.items() if value not in (None, [], {})}
    said = {"name": name, "stderr_to_stdout": True, **said}
    if not isinstance(settings, SlurmSettings):
        return said
    if memory := said.pop("mem_gb", None):
        said["mem"] = f"{memory}GB"
    return {SBATCH.get(key, key): value for key, value in said.items()}


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started here does not hear Ctrl-C, which would end it before what runs below it has saved."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class OnNode:
    """What submitit runs: starts the process of a task, passes on what the files say and tells how it ended."""

    def __init__(self, task: Task, key: Path, parent: int | None) -> None:
        self._task, self._key, self._parent = task, key, parent

    def __call__(self) -> None:
        self._key.with_suffix(".begun").touch()
        if _stops(self._key):  # while it was in the queue
            return write_atomic(self._key.with_suffix(".code"), str(-signal.SIGTERM))
        self._child, passed, code = start_process(self._task), 0, -signal.SIGKILL
        try:
            while self._child.poll() is None:
                asked = _stops(self._key)
                if self._parent and not psutil.pid_exists(self._parent):
                    asked = asked or [signal.SIGTERM]
                for number in asked[passed:]:
                    self._child.send_signal(number)
                passed = len(asked)
                time.sleep(LOOK)
            code = self._child.returncode
        except UncompletedJobError:  # its time is up, and it is not queued again
            code = self._stop()
        except SystemExit:  # it is queued again
            code = None
            raise
        finally:
            if code is not None:
                write_atomic(self._key.with_suffix(".code"), str(code))

    def checkpoint(self) -> Any:
        """Save before the time is up; what is to be queued again."""
        self._stop()
        return DelayedSubmission(type(self)(self._task, self._key, self._parent))

    def _stop(self) -> int:
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(GRACE)
        self._child.kill()
        return self._child.wait()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_child"}


class SubmititProcess:
    """A process below a job of submitit."""

    def __init__(self, job: Any, key: Path, slurm: bool, prints: bool) -> None:
        self._job, self._key, self._slurm, self._prints = job, key, slurm, prints
        self._read, self._gone, self._stopped = 0, 0.0, False

    def poll(self) -> int | None:
        if self._prints:
            self._print()
        with suppress(OSError):
            return int(self._key.with_suffix(".code").read_text())
        never = self._stopped and not self._key.with_suffix(".begun").exists()
        if not never and not self._job.done():
            return None
        self._gone = self._gone or time.monotonic()  # the file may come later than the end, over a network
        return -signal.SIGKILL if time.monotonic() > self._gone + LATE else None

    def stop(self, number: int) -> None:
        self._stopped = True
        with open(self._key.with_suffix(".stop"), "a") as file:
            file.write(f"{int(number)}\n")
        if self._slurm:
            subprocess.run(("scancel", "--state=PENDING", self._job.job_id), check=False)

    def kill(self) -> None:
        if self.poll() is None:
            self.stop(signal.SIGKILL)
            self._job.cancel(check=False)

    def _print(self) -> None:
        """What it has printed since, less what submitit says of itself."""
        with suppress(OSError), open(self._job.paths.stdout) as file:
            file.seek(self._read)
            lines = file.read().rpartition("\n")[0]
            self._read += len(lines.encode()) + bool(lines)
            told = [line for line in lines.splitlines() if not line.startswith("submitit ")]
            print(*told, sep="\n", end="\n" * bool(told), flush=True)


def _stops(key: Path) -> list[int]:
    """The signals that were asked for so far."""
    with suppress(OSError):
        return [int(line) for line in key.with_suffix(".stop").read_text().split()]
    return []
