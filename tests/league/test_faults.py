"""Servers, workers and databases are killed while a season is played: no match is lost, and none counts twice.

METTA_LEAGUE_MATCHES says how many matches each of the four policies plays.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from metta.eval.match import engine_version
from metta.league import accounts
from metta.league.files import Folder
from metta.league.league import SQLITE
from metta.league.seasons import DEFAULT
from metta.league.store.database import Database
from metta.league.store.policies import add_version
from metta.league.store.schema import Entry, Job, Match, MatchPlayer, Pool, Season
from metta.league.store.seasons import add_season, enter, find_season
from tests.league.conftest import bundle, short_season
from tests.postgres import Postgres, serving

MATCHES = int(os.environ.get("METTA_LEAGUE_MATCHES", "250"))
POLICIES = ("role", "random", "miner", "noop")
SECONDS = 120 + 6 * MATCHES
Server = subprocess.Popen[bytes]


def prepare(database: Database, data: Path) -> None:
    """A season with some policies in it, of which each has its matches to play."""
    pools = [{"name": "competition", "partners": "pool", "matches": MATCHES}]
    database.migrate()
    files = Folder(data / "files", database.key("files"))
    with database.transaction() as session:
        add_season(session, short_season(pools=pools, replays=False), engine_version())
        season = find_season(session, DEFAULT)
        for name in POLICIES:
            user = accounts.add_user(session, name, None)
            caller = accounts.who(session, accounts.issue_token(session, user, "user"))
            content = bundle(name)
            digest = sha256(content).hexdigest()
            files.write(f"bundles/{digest}", content)
            version, _ = add_version(session, user, name, digest, len(content))
            assert caller
            enter(session, caller, season, version)


def begin(data: Path, port: int, *words: str) -> Server:
    """A server with two workers."""
    command = [sys.executable, "-m", "metta.cli.cogames", "league", "serve", "--data", str(data), "--port", str(port)]
    more = ["--workers", "2", "--lease-seconds", "3", *words]
    with open(data / "log", "ab") as log:
        return subprocess.Popen([*command, *more], stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def ended(database: Database) -> int:
    """Matches that have ended; none where the database is down."""
    with suppress(DBAPIError), database.reading() as session:
        return session.scalar(select(func.count(Match.id)).where(Match.status == "completed")) or 0
    return -1


def all_done(database: Database) -> bool:
    """Whether everybody has played, and nothing is under way."""
    with database.reading() as session:
        left = select(func.count(Entry.version_id)).where((Entry.pending > 0) | (Entry.completed < MATCHES))
        return not session.scalar(left)


def check(database: Database, data: Path) -> None:
    """Everything that was planned was played, and counts once."""
    with database.reading() as session:
        assert set(session.scalars(select(Match.status))) == {"completed"}
        assert set(session.scalars(select(Job.status))) == {"done"}
        query = select(MatchPlayer.version_id, func.count(MatchPlayer.match_id.distinct()))
        rows = session.execute(query.group_by(MatchPlayer.version_id)).all()
        played = {row[0]: row[1] for row in rows}
        entries = session.scalars(select(Entry).join(Pool)).all()
        counted = {entry.version_id: (entry.completed, entry.pending, entry.failed) for entry in entries}
        assert counted == {version_id: (count, 0, 0) for version_id, count in played.items()}
        assert all(count >= MATCHES for count in played.values()) and len(played) == len(POLICIES)
        total = session.scalar(select(func.count(Match.id))) or 0
        season = session.scalars(select(Season)).one()
        assert season.results == total == len(list((data / "files/results").iterdir()))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def kill_a_worker(server: Server) -> None:
    children = psutil.Process(server.pid).children()
    next(child for child in children if "metta.league.worker" in child.cmdline()).send_signal(signal.SIGKILL)


def end(server: Server) -> None:
    server.terminate()
    server.wait(60)


def test_who_is_told_to_end_gives_back_what_is_not_played_and_leaves_nobody_behind(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / SQLITE}")
    prepare(database, tmp_path)
    server = begin(tmp_path, free_port())
    until(lambda: ended(database) >= 1)
    helpers = psutil.Process(server.pid).children(recursive=True)
    assert len(helpers) == 3  # two workers, the commissioner
    server.terminate()
    assert server.wait(60) == 0
    assert not [helper for helper in helpers if helper.is_running()]
    assert "warning" not in (tmp_path / "log").read_text()
    with database.reading() as session:
        assert set(session.scalars(select(Job.status))) == {"done", "ready"}  # none is under way
    database.engine.dispose()


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_counted_twice_when_all_are_killed(kind: str, tmp_path: Path):
    with ExitStack() as opened:
        postgres: Postgres | None = opened.enter_context(serving()) if kind == "postgresql" else None
        address = postgres.address if postgres else f"sqlite:///{tmp_path / SQLITE}"
        words = ["--database", address] if postgres else []
        database, port, part = Database(address), free_port(), len(POLICIES) * MATCHES // 10
        prepare(database, tmp_path)
        server = begin(tmp_path, port, *words)
        until(lambda: ended(database) >= part)
        kill_a_worker(server)
        until(lambda: ended(database) >= 2 * part)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        server = begin(tmp_path, port, *words)
        opened.callback(lambda: end(server))
        until(lambda: ended(database) >= 3 * part)
        if postgres:
            postgres.kill()
            time.sleep(2)
            postgres.start()
        other = begin(tmp_path, free_port(), *words)  # a second server on the same database
        opened.callback(lambda: end(other))
        until(lambda: ended(database) >= 4 * part)
        kill_a_worker(server)
        until(lambda: ended(database) >= 5 * part and all_done(database))
        check(database, tmp_path)
        database.engine.dispose()
