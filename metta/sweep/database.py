"""Trials in PostgreSQL: the journal as rows of a table, which workers on many machines write and read.

Optuna's relational storage takes some ninety statements for a trial; a journal is replayed in memory, and takes one for
each thing that happens.
"""

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from metta.common.background import in_background
from metta.common.errors import UserError
from metta.sweep.store import WORKER, new_worker

CONNECTING = 10  # seconds until a server counts as down
IDLE = 30.0  # seconds after which a connection may have been cut
BEATS = 4  # heartbeats in the time after which a worker counts as lost
MAKING = 0x6D657474  # lock under which the tables are made
TABLES = """
CREATE TABLE metta_sweeps (name text PRIMARY KEY, events bigint NOT NULL);
CREATE TABLE metta_events (sweep text, number bigint, event text NOT NULL, PRIMARY KEY (sweep, number));
CREATE TABLE metta_workers (sweep text, worker text, seen timestamptz NOT NULL, PRIMARY KEY (sweep, worker));
"""
# Whoever adds events holds the row of the sweep until they can be seen: who sees one sees all before it.
APPEND = """
WITH counted AS (UPDATE metta_sweeps SET events = events + %(count)s WHERE name = %(sweep)s RETURNING events)
INSERT INTO metta_events SELECT %(sweep)s, counted.events - %(count)s + place - 1, event
FROM counted, unnest(%(events)s::text[]) WITH ORDINALITY AS added (event, place) RETURNING number
"""
READ = "SELECT event FROM metta_events WHERE sweep = %s AND number >= %s ORDER BY number"
SEEN = """
INSERT INTO metta_workers VALUES (%s, %s, clock_timestamp())
ON CONFLICT (sweep, worker) DO UPDATE SET seen = excluded.seen
"""
LIVING = "SELECT worker FROM metta_workers WHERE sweep = %s AND seen > clock_timestamp() - make_interval(secs => %s)"


class Connection:
    """A connection to a database, made anew where it was cut while nothing was asked of it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connect()

    @property
    def open(self) -> psycopg.Connection:
        """It, ready for use."""
        if time.monotonic() - self._used > IDLE:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.OperationalError:
                self._connect()
        self._used = time.monotonic()
        return self._connection

    @contextmanager
    def locked(self, key: int) -> Iterator[psycopg.Connection]:
        """Hold a lock of the database that goes with the connection."""
        connection = self.open
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
            yield connection
        self._used = time.monotonic()

    def _connect(self) -> None:
        self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECTING)
        self._used = time.monotonic()


class DatabaseJournal(BaseJournalBackend):
    """What has happened in a sweep, as Optuna's journal storage writes it down."""

    def __init__(self, connection: Connection, sweep: str) -> None:
        self._connection, self._sweep = connection, sweep
        self._added: tuple[int, list[str]] = (-1, [])  # number of the first event, and the events

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        (first, events), self._added = self._added, (-1, [])
        if first == log_number_from:  # nobody has added any between; those behind them come with the next look
            return [json.loads(event) for event in events]
        rows = self._connection.open.execute(READ, (self._sweep, log_number_from)).fetchall()
        return [json.loads(event) for (event,) in rows]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        events = [json.dumps(log) for log in logs]
        given = {"sweep": self._sweep, "count": len(events), "events": events}
        self._added = min(number for (number,) in self._connection.open.execute(APPEND, given)), events


class DatabaseStore:
    """The trials of a sweep in a PostgreSQL database."""

    def __init__(self, url: str, name: str, lost_after: float) -> None:
        """Raises UserError where it does not answer."""
        self.worker, self._name, self._lost_after = new_worker(), name, lost_after
        self._key = zlib.crc32(name.encode())
        with answering(url):
            address = url.replace("+psycopg", "", 1)
            # One is at work while the other holds a lock, or gives signs of life.
            self._other = Connection(address)
            with self._other.locked(MAKING) as connection:
                if connection.execute("SELECT to_regclass('metta_workers')").fetchone() == (None,):
                    connection.execute(TABLES.encode())
                connection.execute("INSERT INTO metta_sweeps VALUES (%s, 0) ON CONFLICT DO NOTHING", (name,))
            self.storage = JournalStorage(DatabaseJournal(Connection(address), name))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._other.locked(self._key):
            yield

    def beat(self) -> None:
        self._other.open.execute(SEEN, (self._name, self.worker))

    def holding(self) -> AbstractContextManager[None]:
        return in_background(self._live, "heartbeat")

    def _live(self, over: threading.Event) -> None:
        while not over.wait(self._lost_after / BEATS):
            with suppress(psycopg.Error):  # a database that is down may be back at the next beat
                self.beat()

    def lost(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        living = {worker for (worker,) in self._other.open.execute(LIVING, (self._name, self._lost_after))}
        return [trial for trial in running if trial.user_attrs.get(WORKER) not in living]


@contextmanager
def answering(url: str | None) -> Iterator[None]:
    """Raise UserError where the database, if there is one, does not answer; without what is secret in its address."""
    try:
        yield
    except psycopg.Error as error:
        shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url or "")
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"sweep.storage={shown}: {reason}; the trials are safe, the same command goes on") from None
