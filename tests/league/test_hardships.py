"""A disk that is full, and a database that is slow: requests are told so, and no match is lost or counts twice."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from sqlalchemy import func, select
from sqlalchemy.engine import URL, make_url

from metta.common.background import in_background
from metta.league.client import Client, ServerError
from metta.league.files import PARTS, ROOM, Folder
from metta.league.seasons import DEFAULT
from metta.league.store.schema import Entry, Job, Match, MatchPlayer, Season
from metta.league.worker import Worker
from tests.league.conftest import InProcess, MakeLeague, Playground, bundle, listening, short_season

SIZE = ROOM + (16 << 20)  # bytes of the disk
DELAY = 1.0  # seconds by which an answer of the database is late
PHASE = 10.0  # seconds for which it is slow at least
MATCHES = 60  # of each policy
SECONDS = 300


class Disk:
    """A small disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self._filler = path, path / "filler"

    def fill(self) -> None:
        """Leave no byte."""
        with suppress(OSError), open(self._filler, "wb", buffering=0) as file:
            for size in (1 << 20, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        assert os.statvfs(self.path).f_bavail == 0

    def clear(self) -> None:
        self._filler.unlink()

    def files(self) -> set[str]:
        return {path.name for path in self.path.rglob("*") if path.is_file() and path.name != "filler"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def check(league: Playground, matches: int) -> None:
    """Everything that was planned was played, and counts once."""
    with league.league.database.reading() as session:
        assert set(session.scalars(select(Match.status))) == {"completed"}
        assert set(session.scalars(select(Job.status))) == {"done"}
        rows = session.execute(select(MatchPlayer.version_id, func.count()).group_by(MatchPlayer.version_id)).all()
        entries = session.scalars(select(Entry)).all()
        assert {entry.version_id: entry.completed for entry in entries} == {row[0]: row[1] for row in rows}
        assert all(entry.completed >= matches and not entry.pending for entry in entries)
        assert session.scalars(select(Season.results)).one() == session.scalar(select(func.count(Match.id)))


def completed(league: Playground) -> int:
    with league.league.database.reading() as session:
        return session.scalar(select(func.count(Match.id)).where(Match.status == "completed")) or 0


class Filling(InProcess):
    """A worker's client: while its matches are played the disk fills up, until a result is refused."""

    def __init__(self, league: Playground, disk: Disk) -> None:
        super().__init__(league)
        self._disk, self.refused = disk, 0

    def post(self, path: str, document: Any = None) -> Any:
        answer = super().post(path, document)
        if path == "/work/leases":
            self._disk.fill()
        return answer

    def _send(self, request: Any, seconds: float, most: int = 0) -> bytes:
        try:
            return super()._send(request, seconds, most)
        except ServerError as error:
            assert error.status == 507
            self.refused += 1
            self._disk.clear()
            raise


@pytest.mark.parametrize("replays", [False, True], ids=["results", "replays"])
@pytest.mark.parametrize("all_there", [False, True], ids=["its files", "its database too"])
def test_on_a_full_disk_nothing_is_half_kept_and_matches_go_on_with_the_space(
    all_there: bool, replays: bool, disk: Disk, make_league: MakeLeague, tmp_path: Path
):
    season = short_season(pools=[{"name": "competition", "partners": "pool", "matches": 4}], replays=replays)
    database = f"sqlite:///{(disk.path if all_there else tmp_path) / 'ours.sqlite'}"
    league = make_league(season, files=str(disk.path / "files"), database=database)
    for name in ("role", "random"):
        league.upload("anna", name, bundle(name))
    Worker(InProcess(league)).run_once()  # tries both out
    league.commissioner.look()
    Worker(client := Filling(league, disk), most=2).run_once()
    assert client.refused == 1 and completed(league) == 2

    begun, before = league.begin(), disk.files()
    disk.fill()
    answer = league.web.put(begun["upload_url"], content=os.urandom(1 << 20))
    assert answer.status_code == 507 and answer.json() == {
        "detail": "the league's disk is full; its keeper is to make room"
    }
    with pytest.raises(ServerError, match="the league's disk is full"):
        Worker(InProcess(league)).run_once()
    said = {"upload_id": begun["upload_id"], "name": "x"}
    assert league.post("/stats/policies/submit/complete", "anna", said).status_code == 400
    assert disk.files() == before
    disk.clear()
    league.work()
    check(league, 4)
    assert league.upload("anna", "again", bundle("miner"))["version"] == 1


def test_what_servers_that_were_killed_left_unfinished_goes_after_a_day(tmp_path: Path):
    Folder(tmp_path, b"key").write(f"results/{UUID(int=1)}", b"whole")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [str(UUID(int=1))]
    parts = [tmp_path / PARTS / name for name in ("old", "new")]
    for part in parts:
        part.write_bytes(b"half")
    os.utime(parts[0], (0, 0))
    Folder(tmp_path, b"key")
    assert [part.exists() for part in parts] == [False, True]


class Slow:
    """Stands before a database; while it is slow, each answer comes late."""

    def __init__(self, behind: URL) -> None:
        self.late, self.delay = 0, 0.0
        self._behind = (str(behind.host), int(behind.port or 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, far = self._listener.accept()[0], socket.create_connection(self._behind)
            for source, target, answers in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pass_on, args=(source, target, answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                if answers and self.delay:
                    self.late += 1
                    time.sleep(self.delay)
                target.sendall(data)


def ask(address: str, path: str) -> int:
    """The status of an answer."""
    return requests.get(address + path, timeout=120).status_code


@pytest.mark.soak
def test_while_the_database_is_slow_no_match_is_lost_or_counts_twice(postgres: str, make_league: MakeLeague):
    database = make_url(postgres)
    slow = Slow(database)
    season = short_season(pools=[{"name": "competition", "partners": "pool", "matches": MATCHES}], replays=False)
    behind = database.set(port=slow.port).render_as_string(hide_password=False)
    league = make_league(season, database=behind, jobs={"lease_seconds": 2})
    for name in ("role", "random", "miner"):
        league.upload("anna", name, bundle(name))
    paths = ["/", "/tournament/seasons", f"/tournament/seasons/{DEFAULT}/matches", f"/seasons/{DEFAULT}"]
    with ExitStack() as opened:
        address = opened.enter_context(listening(league))
        opened.enter_context(in_background(league.commissioner.conduct, "commissioner"))
        for _ in range(2):
            worker = Worker(Client(address, league.token("worker", "worker")))
            opened.enter_context(in_background(worker.run, "worker"))
        until(lambda: completed(league) > 10)
        slow.delay = DELAY
        begun = completed(league)
        with ThreadPoolExecutor(8) as asking:
            statuses = set(asking.map(lambda path: ask(address, path), 4 * paths))
        time.sleep(PHASE)
        slow.delay = 0.0
        print(f"{slow.late} answers were late, {completed(league) - begun} matches ended meanwhile, {statuses}")
        assert statuses <= {200, 503} and slow.late > 16
        until(lambda: is_over(league))
    check(league, MATCHES)


def is_over(league: Playground) -> bool:
    """Whether everybody has played."""
    with league.league.database.reading() as session:
        left = select(func.count(Entry.version_id)).where((Entry.pending > 0) | (Entry.completed < MATCHES))
        return not session.scalar(left)


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)
