"""One job in several processes of this machine: started together, watched, and started again when one is lost.

Each has torchrun's environment, so it does what it would do under torchrun. Beyond that, bad input is not tried again,
and processes that wait for one in vain leave the stacks of all.
"""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from metta.common.commands import DIVERGED, LOST
from metta.common.logging import warn
from metta.common.processes import child_environment
from metta.common.ranks import LISTENING, STACKS, share_of_cores
from metta.rl.run.settings import SystemSettings
from metta.rl.run.signals import OVERDUE, heard, is_again
from metta.rl.run.stacks import ask_for_stacks, read_stacks

LOOPBACK = "127.0.0.1"
FINAL = (2, OVERDUE, DIVERGED)  # exit codes: trying again makes nothing better
SECONDARY = (None, 0, LOST, -signal.SIGABRT)  # how those end that only wait for another; NCCL's watchdog aborts
POLL = 0.05  # seconds
SETTLE = 5.0  # seconds in which those that lost another end by themselves
DUMPING = 1.0  # seconds to write stacks in
MARGIN = 5.0  # seconds beyond those after which a process ends itself


@dataclass(frozen=True)
class Job:
    """What each process runs and reads from standard input. The last folder that is there keeps stacks."""

    name: str
    command: Sequence[str]
    given: bytes
    folders: Sequence[Path]


@dataclass(frozen=True)
class Ended:
    """How a job ended: exit code, and whether a signal has stopped it."""

    code: int
    finished: bool


@dataclass(frozen=True)
class Fault:
    """Why the processes of a job cannot go on, and the exit code that this comes to."""

    reason: str
    code: int


def launch(job: Job, processes: int, settings: SystemSettings) -> Ended:
    """Run a job in so many processes, and again in as many when one is lost, at most `max_restarts` times."""
    with Signals() as signals:
        for restart in count():
            with TemporaryDirectory(prefix="metta-stacks-") as stacks:
                ended = Team(job, processes, settings, signals, restart, stacks).run()
            if isinstance(ended, Ended):
                return ended
            most, what = settings.max_restarts, f"run={job.name}: {ended.reason}"
            if restart == most:
                print(f"error: {what}; given up (system.max_restarts={most})", file=sys.stderr)
                return Ended(ended.code, False)
            warn(f"{what}; all start again from the last checkpoint (restart {restart + 1} of {most})")
    raise AssertionError("counting ends only with a return")


class Signals:
    """The requests to stop that have come, in turn. As a context manager it holds the handlers."""

    def __init__(self) -> None:
        self.come: list[int] = []
        self._first = 0.0

    def __enter__(self) -> "Signals":
        self._before = {number: signal.signal(number, self._handle) for number in heard()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.come:
            self._first = time.monotonic()
        if not self.come or is_again(number, self._first):
            self.come.append(number)


class Team:
    """The processes of a job, from their start until none is left."""

    def __init__(
        self, job: Job, size: int, settings: SystemSettings, signals: Signals, restart: int, stacks: str
    ) -> None:
        self._job, self._size, self._settings, self._signals, self._stacks = job, size, settings, signals, stacks
        with socket.create_server((LOOPBACK, 0), backlog=size) as meeting:
            environment = self._environment(meeting.getsockname()[1], restart)
            self._processes = [self._start(rank, environment, meeting.fileno()) for rank in range(size)]

    def run(self) -> Ended | Fault:
        """Wait until all have ended; none is left then."""
        try:
            self._hand_over()
            deadline = math.inf
            while None in self._codes:
                if self._signals.come:
                    return self._stop()
                if any(self._codes) or time.monotonic() > deadline:
                    break
                if 0 in self._codes and deadline == math.inf:
                    deadline = time.monotonic() + self._settings.timeout_seconds
                time.sleep(POLL)
            return Ended(0, True) if not any(self._codes) and None not in self._codes else self._fault()
        finally:
            self._kill()

    @property
    def _codes(self) -> list[int | None]:
        """How each has ended, as subprocess tells it; None for those that go on."""
        return [process.poll() for process in self._processes]

    def _stop(self) -> Ended:
        """Pass on the signal that asks to stop and wait; a second one ends all at once."""
        come = self._signals.come
        self._tell(come[0])
        grace = math.inf if come[0] == signal.SIGINT else self._settings.grace_seconds + MARGIN
        deadline = time.monotonic() + grace
        while None in self._codes and len(come) == 1 and time.monotonic() < deadline:
            time.sleep(POLL)
        if len(come) > 1:
            return Ended(128 + come[1], False)
        worst = [code for code in self._codes if code not in (0, LOST)] or [code for code in self._codes if code]
        return Ended(_exit_code(worst[0]) if worst else 0, False)

    def _fault(self) -> Ended | Fault:
        """What went wrong. Those that others wait for in vain write down where they are."""
        deadline = time.monotonic() + SETTLE
        while None in self._codes and all(code in SECONDARY for code in self._codes) and time.monotonic() < deadline:
            time.sleep(POLL)
        codes = self._codes
        for code in FINAL:
            if code in codes:
                return Ended(code, False)
        for rank, code in enumerate(codes):
            if code not in SECONDARY:
                return Fault(f"rank {rank} {_how(code)}", _exit_code(code))
        silent = [rank for rank, code in enumerate(codes) if code is None]
        if not silent:
            return Fault("the processes lost each other", LOST)
        who = f"rank{'s' if len(silent) > 1 else ''} {', '.join(map(str, silent))}"
        waited = f"did not answer for {self._settings.timeout_seconds:g} s (system.timeout_seconds)"
        return Fault(f"{who} {waited}; {self._write_stacks()}", LOST)

    def _write_stacks(self) -> str:
        """Gather where every process is, or was when it gave up, into one file; returns the words that name it."""
        for process in self._processes:
            if process.poll() is None:
                ask_for_stacks(process.pid)
        self._tell(signal.SIGCONT)  # after it: one that was stopped tells where it stands before it goes on
        time.sleep(DUMPING)
        told = [
            f"rank {rank}, process {process.pid}\n\n{read_stacks(self._stacks, process.pid)}\n"
            for rank, process in enumerate(self._processes)
        ]
        folder = next(folder for folder in reversed(self._job.folders) if folder.is_dir())
        path = folder / f"stacks.{time.strftime('%Y%m%d-%H%M%S')}.txt"
        try:
            path.write_text("\n".join(told))
        except OSError as error:
            return f"{path} could not be written ({error.strerror})"
        return f"{path} says where each of them was"

    def _tell(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)

    def _kill(self) -> None:
        """End what is left, and what those that failed have started themselves."""
        for process in self._processes:
            if process.poll() != 0:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self, port: int, restart: int) -> dict[str, str]:
        return {
            "OMP_NUM_THREADS": str(share_of_cores(self._size)),
            "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
            **child_environment(),
            "MASTER_ADDR": LOOPBACK,
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(self._size),
            "LOCAL_WORLD_SIZE": str(self._size),
            "TORCHELASTIC_RESTART_COUNT": str(restart),
            STACKS: self._stacks,
        }

    def _start(self, rank: int, environment: dict[str, str], meeting: int) -> subprocess.Popen[bytes]:
        """A process in a session of its own, which thus gets signals from here alone, not from the terminal too."""
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} | ({} if rank else {LISTENING: str(meeting)})
        return subprocess.Popen(
            self._job.command,
            stdin=subprocess.PIPE,
            env=environment | own,
            pass_fds=() if rank else (meeting,),
            start_new_session=True,
        )

    def _hand_over(self) -> None:
        for process in self._processes:
            assert process.stdin
            with suppress(BrokenPipeError), process.stdin as stdin:  # one that is gone already
                stdin.write(self._job.given)


def _exit_code(code: int | None) -> int:
    """As a shell gives it; for one that goes on, that of one that did not stop in time."""
    return OVERDUE if code is None else 128 - code if code < 0 else code


def _how(code: int | None) -> str:
    """How a process ended that should not have."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    hint = ", as the system does where memory runs out" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"
