"""Compiling ahead: what a command needs is compiled before it begins, in processes of its own, where that can be seen
and stopped. What is compiled already costs a look at the dates of the sources."""

import hashlib
import math
import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from metta.common.logging import warn
from metta.common.processes import child_environment, locked
from metta.common.ranks import find_place, share_of_cores
from metta.game.cache import PACKAGE, VARIABLE, cache_problem

WORKER = "METTA_COMPILES"  # environment: this process is one of those that compile
LOOK = 0.1  # seconds between looks at keys and clock
PLAIN = 4  # lines of progress where there is no terminal


@dataclass(frozen=True)
class Kernels:
    """Functions that are compiled together: `call`, as module:function, has each of them called once.

    `seconds` is about what that takes on one older core. The sources are those of this package and of `package`.
    """

    name: str
    call: str
    seconds: int
    package: Path = PACKAGE

    def marker(self) -> Path:
        """The file that is there where these sources have been compiled by this Python for this processor. Numba asks
        for the same: name, date and size of a source, and what the processor can do."""
        digest = hashlib.sha256()
        for path in sorted({*PACKAGE.rglob("*.py"), *self.package.rglob("*.py")}):
            stat = path.stat()
            digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size}\n".encode())
        digest.update(f"{platform.python_version()} {version('numba')} {_processor()}".encode())
        return Path(os.environ[VARIABLE]) / "compiled" / f"{self.call.replace(':', '.')}-{digest.hexdigest()[:16]}"


ENGINE = Kernels("the engine", "metta.game.rehearsal:play", 60)
MAPS = Kernels("the maps", "metta.game.rehearsal:paint", 30)
_seen: set[Kernels] = set()  # by this process


def compile_ahead(*kernels: Kernels, quits: Callable[[], bool] | None = None) -> None:
    """Compile what is not compiled yet, as many at once as there are cores. Ctrl-C, and `quits`, end it at once; what
    is done by then stays. One process of a machine does it, the others wait."""
    new = [each for each in kernels if each not in _seen]
    _seen.update(new)
    if WORKER in os.environ or not (missing := _missing(new)):
        return
    if problem := cache_problem():
        warn(f"{problem}: all is compiled anew at every start")
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "compiling.lock", lambda: _tell("another process compiles the engine: waiting for it ...")):
        if missing := _missing(missing):
            Compilation(missing).run(quits or (lambda: False))


def _missing(kernels: Sequence[Kernels]) -> list[Kernels]:
    return [each for each in kernels if not each.marker().exists()]


@dataclass
class _Worker:
    """A process that compiles some kernels, and how far it is."""

    kernels: Kernels
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    marker: Path
    total: int = 0
    done: int = 0
    rest: bytes = field(default=b"")

    @classmethod
    def start(cls, kernels: Kernels) -> "_Worker":
        said = TemporaryFile()  # noqa: SIM115 - closed with the worker
        process = subprocess.Popen(
            [sys.executable, "-m", "metta.game.compilation", kernels.call],
            env=child_environment() | {WORKER: "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
        )  # fmt: skip
        return cls(kernels, process, said, kernels.marker())

    def read(self) -> bool:
        """Take what it says; False once it has ended."""
        assert self.process.stdout
        data = os.read(self.process.stdout.fileno(), 4096)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"total "):
                self.total = int(line[6:])
            else:
                self.done = min(self.done + 1, self.total)
        return bool(data)

    def end(self) -> None:
        """Note that all is compiled, or say why not."""
        if not self.process.wait():
            self.done = self.total
            self.marker.parent.mkdir(parents=True, exist_ok=True)
            self.marker.touch()
            return
        self.said.seek(0)
        last = (self.said.read().decode(errors="replace").strip() or "no word").splitlines()[-1]
        warn(f"{self.kernels.name} could not be compiled ahead ({last}); it is compiled where it is needed")

    def kill(self) -> None:
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.said):
            if stream:
                stream.close()


class Compilation:
    """The processes that compile some kernels, the longest first."""

    def __init__(self, kernels: Sequence[Kernels]) -> None:
        self._waiting = sorted(kernels, key=lambda each: each.seconds)
        self._workers: list[_Worker] = []
        self._running = 0
        self._selector = selectors.DefaultSelector()
        self._started = time.monotonic()

    def run(self, quits: Callable[[], bool]) -> None:
        """Until all is done. Raise KeyboardInterrupt where `quits` comes true."""
        cores = min(share_of_cores(1), len(self._waiting))
        seconds = max(sum(each.seconds for each in self._waiting) / cores, self._waiting[-1].seconds)
        names = ", ".join(each.name for each in reversed(self._waiting))
        _tell(f"compiling {names}, once per version: about {math.ceil(seconds / 60)} min")
        try:
            with _Bar() as bar:
                while self._waiting or self._running:
                    while self._waiting and self._running < cores:
                        self._start(self._waiting.pop())
                    for key, _ in self._selector.select(LOOK):
                        self._read(key.data)
                    waiting = sum(each.seconds for each in self._waiting)
                    bar.show(sum(each.done for each in self._workers), self._total(waiting))
                    if quits():
                        raise KeyboardInterrupt
        finally:
            for worker in self._workers:
                worker.kill()
            self._selector.close()
        done = sum(worker.done for worker in self._workers)
        _tell(f"compiled {done} functions in {time.monotonic() - self._started:.0f} s")

    def _start(self, kernels: Kernels) -> None:
        worker = _Worker.start(kernels)
        self._workers.append(worker)
        self._selector.register(worker.process.stdout or -1, selectors.EVENT_READ, worker)
        self._running += 1

    def _read(self, worker: _Worker) -> None:
        if not worker.read():
            self._selector.unregister(worker.process.stdout or -1)
            self._running -= 1
            worker.end()

    def _total(self, waiting: int) -> int:
        """Functions of all; of those that have not begun, as many as the others have a second."""
        known = sum(each.total for each in self._workers)
        begun = sum(each.kernels.seconds for each in self._workers if each.total)
        return known + (round(known * waiting / begun) if begun else 0)


class _Bar:
    """How far it is: a bar on a terminal, a line now and then elsewhere; on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._told = 0

    def __enter__(self) -> "_Bar":
        if find_place().leads and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("functions"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done, total=total or None)
        elif total and done * PLAIN // total > self._told < PLAIN - 1:
            self._told = done * PLAIN // total
            _tell(f"compiled {done} of about {total} functions")


def _tell(line: str) -> None:
    if find_place().leads:
        print(line, file=sys.stderr, flush=True)


def _processor() -> str:
    """What compiled code depends on, as numba sees it."""
    from llvmlite import binding

    chosen = [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")]
    return " ".join([binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), *chosen])


def _work(call: str) -> None:
    """In a process of its own: tell how many functions there are and of each that it is compiled, on standard output.
    Ends with the process that started it."""
    import threading

    from numba.core import event
    from numba.core.registry import CPUDispatcher

    threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
    out, sys.stdout = sys.stdout, sys.stderr
    module, _, function = call.partition(":")
    rehearsal = getattr(import_module(module), function)
    known: set[Any] = set()
    for name, loaded in list(sys.modules.items()):
        if name.startswith("metta."):
            known.update(each for each in vars(loaded).values() if isinstance(each, CPUDispatcher))
    waiting = {each for each in known if each.targetoptions.get("inline", "never") == "never"}

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None: ...

        def on_end(self, event: Any) -> None:
            if event.data["dispatcher"] in waiting:
                waiting.discard(event.data["dispatcher"])
                print(event.data["dispatcher"].py_func.__name__, file=out, flush=True)

    print(f"total {len(waiting)}", file=out, flush=True)
    event.register("numba:compile", Listener())
    rehearsal()


if __name__ == "__main__":
    _work(sys.argv[1])
