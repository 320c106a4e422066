"""Where trials are kept and who works on which: a journal file on this machine, or PostgreSQL for any number of them.

Workers take trials one at a time, under a lock that goes when its holder dies. What a worker had when it died is found
by the lock of the worker (journal) or by its heartbeat (PostgreSQL), and is given out again.
"""

import fcntl
import os
import socket
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from metta.common.errors import UserError
from metta.common.files import ensure_writable
from metta.common.processes import locked
from metta.sweep.plan import Plan

JOURNAL = "journal.log"
# Attributes of a trial: who has it, what it came to, the rung at which it was stopped, whether it is the baseline.
WORKER, NOTES, PRUNED_AT, BASELINE = "worker", "notes", "pruned_at", "baseline"
ENGINE: dict[str, Any] = {"pool_recycle": 30, "connect_args": {"connect_timeout": 10}}  # seconds
TABLES = 0x6D657474  # lock under which the tables are made
BEATS = 4  # heartbeats in the time after which a worker counts as lost


class Store(Protocol):
    """The trials of one sweep."""

    worker: str  # who works here

    @property
    def storage(self) -> BaseStorage:
        """Where they are kept."""
        ...

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else takes a trial meanwhile."""
        ...

    def beat(self, trial_id: int) -> None:
        """Give a sign of life while working on a trial."""
        ...

    @contextmanager
    def holding(self, trial_id: int) -> Iterator[None]:
        """Give signs of life until the trial is at its end."""
        ...

    def lost(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the trials that somebody took who is gone. To be called under the lock."""
        ...


class JournalStore:
    """A journal file in the folder of the sweep."""

    def __init__(self, folder: Path, works: bool = True) -> None:
        """`works`: this process takes trials, for which it holds a lock as long as it lives."""
        self._folder = folder
        if works:
            ensure_writable(folder / "workers", "system.data_dir")
        self.storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL), JournalLock(folder / JOURNAL)))
        self.worker = _new_worker()
        self._opened = ExitStack()
        if works:
            self._opened.enter_context(locked(folder / "workers" / self.worker))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with locked(self._folder / "workers" / "taking"):
            yield

    def beat(self, trial_id: int) -> None:
        """The lock says it."""

    @contextmanager
    def holding(self, trial_id: int) -> Iterator[None]:
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


def _new_worker() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"


class DatabaseStore:
    """A PostgreSQL database."""

    def __init__(self, url: str, name: str, lost_after: float) -> None:
        """Raises UserError where it does not answer."""
        self._beat = lost_after / BEATS
        self._key = zlib.crc32(name.encode())
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        with answering(url), locked_database(create_engine(url, **ENGINE), TABLES):  # two would make its tables
            self.storage = RDBStorage(
                url, ENGINE, heartbeat_interval=max(1, round(self._beat)), grace_period=max(1, round(lost_after))
            )
        self.worker, self._name = _new_worker(), name

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with locked_database(self.storage.engine, self._key):
            yield

    def beat(self, trial_id: int) -> None:
        self.storage.record_heartbeat(trial_id)

    @contextmanager
    def holding(self, trial_id: int) -> Iterator[None]:
        over = threading.Event()
        beating = threading.Thread(target=self._live, args=(trial_id, over), daemon=True, name="heartbeat")
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def _live(self, trial_id: int, over: threading.Event) -> None:
        while not over.wait(self._beat):
            with suppress(SQLAlchemyError):  # a database that is down may be back at the next beat
                self.beat(trial_id)

    def lost(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        silent = self.storage._get_stale_trial_ids(self.storage.get_study_id_from_name(self._name))
        return [trial for trial in running if trial._trial_id in silent or WORKER not in trial.user_attrs]


@contextmanager
def locked_database(engine: Engine, key: int) -> Iterator[None]:
    """Hold a lock of a database that goes with the connection."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


@contextmanager
def answering(url: str | None) -> Iterator[None]:
    """Raise UserError where the database, if there is one, does not answer; without what is secret in its address."""
    if url is None:
        yield
        return
    try:
        yield
    except SQLAlchemyError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"sweep.storage={shown}: {reason}; the trials are safe, the same command goes on") from None


def open_store(plan: Plan, works: bool = True) -> Store:
    """The store of a sweep. Raises UserError where it cannot be used."""
    if plan.sweep.storage:
        url = plan.sweep.storage.replace("postgresql://", "postgresql+psycopg://")
        return DatabaseStore(url, plan.name, plan.sweep.lost_after)
    return JournalStore(plan.folder, works)
