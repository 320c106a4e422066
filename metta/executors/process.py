"""A process that an executor starts: a module of this package, which reads what it is to do from standard input."""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import Field

from metta.common.processes import child_environment
from metta.common.ranks import end_with_parent
from metta.common.settings import Settings


class Task(Settings):
    """What an executor is to start."""

    name: str
    module: str  # whose main reads `given` by `received`
    given: str
    output: Path | None = None  # file to which what it prints is added; None: where its parent's goes
    folder: Path = Field(default_factory=Path.cwd)  # from which paths lead; on all nodes


def start_process(
    task: Task, environment: Mapping[str, str] = {}, cores: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a task below this process, with whose end it is asked to stop, on some cores; by default on any.

    It has a session of its own: Ctrl-C at the terminal comes to it only from here.
    """
    path = task.folder / task.output if task.output else Path(os.devnull)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as output, _on(cores):
        child = subprocess.Popen(
            (sys.executable, "-P", "-m", task.module),
            env={**child_environment(), **environment},
            cwd=task.folder,
            stdin=subprocess.PIPE,
            stdout=output if task.output else None,
            stderr=output if task.output else None,
            start_new_session=True,
        )
    assert child.stdin
    with suppress(BrokenPipeError), child.stdin as stdin:  # one that is gone already
        stdin.write(f"{os.getpid()}\n{task.given}".encode())
    return child


@contextmanager
def _on(cores: Collection[int]) -> Iterator[None]:
    """Run on some cores meanwhile: a child has those of its parent from the first moment on."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def received() -> str:
    """What the task of this process is given. From here on the process ends with the one that started it."""
    parent, _, given = sys.stdin.buffer.read().decode().partition("\n")
    end_with_parent(int(parent))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as of what a queue has started
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return given
