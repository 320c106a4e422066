"""The folder of one run: its lock, its settings, where its files lie."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import yaml

from metta.common.documents import read_yaml
from metta.common.errors import UserError
from metta.common.files import ensure_writable, read_text, remove_partials, write_atomic
from metta.common.jsonl import append_row
from metta.common.logging import warn

CONFIG = "config.yaml"
MOST_CONFIG_BYTES = 4_000_000  # missions may hold drawn maps
LOCK_LENGTH = 32  # characters of it that are read
LOCK = ".lock"  # held while the run goes on; holds its process id until it ends well


@dataclass(frozen=True)
class RunFolder:
    """`<data_dir>/<run>`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def states(self) -> Path:
        return self.path / "trainer_state"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def replays(self) -> Path:
        return self.path / "replays"

    @property
    def starts(self) -> Path:
        return self.path / "starts.jsonl"

    def checkpoint(self, epoch: int) -> Path:
        return self.checkpoints / f"{self.name}:v{epoch}"

    def state(self, epoch: int) -> Path:
        return self.states / f"v{epoch}"

    def keep_config(self, tree: dict[str, Any], epoch: int) -> None:
        """Save the composed tree. One that differs and led up to `epoch` stays as config.v<epoch>.yaml; a damaged one
        as config.v<epoch>.damaged.yaml, which a line says."""
        text, path = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), self.path / CONFIG
        if os.path.lexists(path):
            kept = self.path / f"config.v{epoch}.yaml"
            try:
                if read_text(path, MOST_CONFIG_BYTES) == text:
                    return
                read_yaml(path, MOST_CONFIG_BYTES)
            except UserError as error:
                kept = kept.with_suffix(".damaged.yaml")
                warn(f"{error}; kept as {kept.name}, the run goes on with the settings it was given")
            os.replace(path, kept)
        write_atomic(path, text)

    def note_start(self, epoch: int, code: dict[str, Any]) -> None:
        """Add a line to starts.jsonl: when the run was started or went on, after which epoch, with which code."""
        append_row(self.starts, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "epoch": epoch, **code})


class RunLock:
    """Holds a run's folder while the run goes on in this process; the file has its process id until the run ends well.

    Raises UserError if the folder cannot be written or another process holds it.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self.take()

    def take(self) -> None:
        """Hold the folder, which is made if it is not there."""
        ensure_writable(self._run, f"run={self._run.name}: system.data_dir")
        self._file = _locked(self._run)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    @property
    def lost(self) -> bool:
        """Whether the folder was deleted, moved or replaced, and with it all that was saved."""
        try:
            return not os.path.samestat(os.stat(self._run / LOCK), os.fstat(self._file.fileno()))
        except OSError:
            return True

    def release(self, well: bool) -> None:
        """Let go of the folder."""
        with self._file as file:
            if well:
                file.truncate(0)


@dataclass(frozen=True)
class OpenRun(RunFolder):
    """The folder of a run that goes on in this process."""

    lock: RunLock


@contextmanager
def open_run(data_dir: Path, name: str) -> Iterator[OpenRun]:
    """Create or reopen a run's folder and hold its lock. Raise UserError if it cannot be written or is in use."""
    ensure_writable(data_dir, "system.data_dir")
    folder, well = OpenRun(data_dir / name, RunLock(data_dir / name)), False
    try:
        for part in (folder.path, folder.checkpoints, folder.states):
            with usable(folder.path):
                part.mkdir(exist_ok=True)
            remove_partials(part)
        yield folder
        well = True
    finally:
        folder.lock.release(well)


@contextmanager
def hold_lock(run: Path) -> Iterator[None]:
    """Hold the lock of a run's folder. Raise UserError if another process does."""
    with _locked(run):
        yield


@contextmanager
def usable(run: Path) -> Iterator[None]:
    """Raise UserError where a part of a run's folder cannot be opened or written: no plain file, or read-only."""
    try:
        yield
    except OSError as error:
        raise UserError(f"run={run.name}: {error.filename}: cannot be used ({error.strerror}); move it away") from error


def _locked(run: Path) -> TextIO:
    """The run's lock file, open and locked."""
    with usable(run):
        lock = open(run / LOCK, "a+", errors="replace")  # noqa: SIM115 - closing it lets go of the lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with lock:
            lock.seek(0)
            owner = lock.read(LOCK_LENGTH).strip()
        by = f" by process {owner}" if owner else ""
        raise UserError(f"run={run.name}: in use{by}; wait for it, stop it, or choose another run name") from error
    return lock


def is_running(run: Path) -> bool:
    """Whether a process holds the run's lock."""
    try:
        with open(run / LOCK, errors="replace") as lock:
            if not lock.read(1):  # ended well or never began; not to be disturbed by a look
                return False
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there, or no plain file
        return False
    return False


def is_crashed(run: Path) -> bool:
    """Whether the run ended without a word: killed, or by an error."""
    return (run / LOCK).is_file() and bool((run / LOCK).stat().st_size) and not is_running(run)
