"""Who holds the folder of a run: one process at a time, on whatever machine it is.

The system's lock on the file decides among the processes of one machine, and of several where the folder's file system
knows such locks (NFS does, as a rule). Where it may not, the file says who holds it, and is renewed as long as they
live. Whether it is renewed is watched, not reckoned: clocks differ from machine to machine and are set back.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from metta.common.errors import UserError
from metta.common.files import ensure_writable
from metta.common.logging import note, warn_once

LOCK = ".lock"  # held while the run goes on; says by whom until it ends well
LOCK_LENGTH = 400  # characters of it that are read
BEAT = 5.0  # seconds after which who holds a run renews the file
LIMIT = 20.0  # seconds without that until a run whose holder cannot be asked counts as free
LOOK = 1.0  # seconds between looks
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """A process, the name of its machine, and which start of the machine that was."""

    process: str
    host: str = ""
    boot: str = ""

    @classmethod
    def me(cls) -> "Owner":
        return cls(str(os.getpid()), socket.gethostname(), _boot())

    @classmethod
    def read(cls, lock: TextIO) -> "Owner | None":
        """Who a lock file names; None where the run has ended well, or never began."""
        lock.seek(0)
        words = lock.read(LOCK_LENGTH).split()
        return cls(*words[:3]) if words else None

    @property
    def elsewhere(self) -> bool:
        """Whether it is of another machine, or of this one before it was started anew."""
        return bool(self.boot) and self.boot != _boot()

    def __str__(self) -> str:
        return f"process {self.process}" + (f" on {self.host}" if self.elsewhere else "")


class RunLock:
    """Holds a run's folder while the run goes on in this process; the file says so until the run ends well.

    Raises UserError if the folder cannot be written or another process holds it.
    """

    def __init__(self, run: Path) -> None:
        self._run, self._over = run, threading.Event()
        self._record = " ".join(astuple(Owner.me()))
        self.take()
        threading.Thread(target=self._renew, daemon=True, name="lock").start()

    def take(self) -> None:
        """Hold the folder, which is made if it is not there."""
        ensure_writable(self._run, f"run={self._run.name}: system.data_dir")
        self._file = _locked(self._run)
        self._file.truncate(0)
        self._file.write(self._record)
        self._file.flush()

    @property
    def lost(self) -> bool:
        """Whether the folder was deleted, moved or replaced, and with it all that was saved; or another took it."""
        try:
            with open(self._run / LOCK, errors="replace") as now:
                same = os.path.samestat(os.fstat(now.fileno()), os.fstat(self._file.fileno()))
                return not same or now.read(LOCK_LENGTH) != self._record
        except OSError:
            return True

    def release(self, well: bool) -> None:
        """Let go of the folder."""
        self._over.set()
        with self._file as file:
            if well:
                file.truncate(0)

    def _renew(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError, ValueError):  # deleted, or closed just now
                os.utime(self._file.fileno())


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


def is_running(run: Path) -> bool:
    """Whether a process holds the run's lock; of one of another machine only the time at which it was renewed tells."""
    try:
        with open(run / LOCK, errors="replace") as lock:
            owner = Owner.read(lock)
            if not owner:  # not to be disturbed by a look
                return False
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return owner.elsewhere and abs(time.time() - os.fstat(lock.fileno()).st_mtime) < LIMIT
    except BlockingIOError:
        return True
    except OSError:  # not there, or no plain file
        return False


def is_crashed(run: Path) -> bool:
    """Whether the run ended without a word: killed, or by an error."""
    return (run / LOCK).is_file() and bool((run / LOCK).stat().st_size) and not is_running(run)


def _locked(run: Path) -> TextIO:
    """The run's lock file, open and locked."""
    with usable(run):
        lock = open(run / LOCK, "a+", errors="replace")  # noqa: SIM115 - closing it lets go of the lock
    try:
        certain = _lock(lock, run)
        owner = Owner.read(lock)
        if owner and (owner.elsewhere or not certain) and _is_renewed(run, owner):
            raise _in_use(run, owner)
    except BaseException:
        lock.close()
        raise
    return lock


def _lock(lock: TextIO, run: Path) -> bool:
    """Lock the file; whether that keeps others of this machine away. Raise UserError if one of them has locked it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise _in_use(run, Owner.read(lock)) from error
    except OSError as error:
        why = f"its file system does not lock files ({error.strerror})"
        warn_once(f"run={run.name}: {why}; do not start it twice within {LIMIT:g} s")
        return False
    return True


def _is_renewed(run: Path, owner: Owner) -> bool:
    """Watch whether who is said to hold the run renews its file. Opening it anew has NFS ask its server."""
    note(f"run={run.name}: {owner} held it last and did not end well; watching for {LIMIT:g} s whether it goes on")
    first, deadline = _renewed(run), time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        time.sleep(LOOK)
        if (now := _renewed(run)) != first:
            return now is not None
    return False


def _renewed(run: Path) -> int | None:
    """When the lock file was last renewed, in nanoseconds; None where nobody holds the run any more."""
    try:
        with open(run / LOCK, "rb") as lock:
            now = os.fstat(lock.fileno())
            return now.st_mtime_ns if now.st_size else None
    except OSError:
        return None


def _in_use(run: Path, owner: Owner | None) -> UserError:
    by = f" by {owner}" if owner else ""
    return UserError(f"run={run.name}: in use{by}; wait for it, stop it, or choose another run name")


@lru_cache
def _boot() -> str:
    """Which start of which machine this is; where the system does not say, the name of the machine."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return socket.gethostname()
