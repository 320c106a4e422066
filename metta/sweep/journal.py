"""Trials in a journal file, for the workers of one machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial

from metta.common.files import ensure_writable
from metta.common.processes import locked
from metta.sweep.store import WORKER, new_worker

JOURNAL = "journal.log"


class JournalStore:
    """A journal file in the folder of the sweep."""

    def __init__(self, folder: Path, works: bool = True) -> None:
        """`works`: this process takes trials, for which it holds a lock as long as it lives."""
        self._folder = folder
        if works:
            ensure_writable(folder / "workers", "system.data_dir")
        self.storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL), JournalLock(folder / JOURNAL)))
        self.worker = new_worker()
        self._opened = ExitStack()
        if works:
            self._opened.enter_context(locked(folder / "workers" / self.worker))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with locked(self._folder / "workers" / "taking"):
            yield

    def beat(self) -> None:
        """The lock says it."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        yield

    def lost(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        return [trial for trial in running if not self._lives(trial.user_attrs.get(WORKER))]

    def _lives(self, worker: str | None) -> bool:
        try:
            with open(self._folder / "workers" / (worker or "nobody")) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False


class JournalLock(BaseJournalFileLock):
    """Held while the journal is written; goes when its holder dies. A line that was cut short then goes too."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def acquire(self) -> bool:
        self._file = open(self._journal, "ab+")  # noqa: SIM115 - closed by release()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        end = size = self._file.seek(0, os.SEEK_END)
        while end and os.pread(self._file.fileno(), 1, end - 1) != b"\n":
            end -= 1
        if end < size:
            self._file.truncate(end)
        return True

    def release(self) -> None:
        self._file.close()
