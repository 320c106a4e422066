"""A disk that is full, and a database that is slow: requests are told so, and no match is lost or counts twice."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from metta.league.client import ServerError
from metta.league.files import ROOM
from metta.league.store.schema import Entry, Job, Match, MatchPlayer, Season
from metta.league.worker import Worker
from tests.league.conftest import InProcess, MakeLeague, Playground, bundle, short_season

SIZE = ROOM + (16 << 20)  # bytes of the disk
DELAY = 1.0  # seconds by which an answer of the database is late
PHASE = 20.0  # seconds for which it is slow


class Disk:
    """A small disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self._filler = path, path / "filler"

    def fill(self) -> None:
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
    """A worker's client while whose match the disk fills up, for a second."""

    def __init__(self, league: Playground, disk: Disk) -> None:
        super().__init__(league)
        self._disk, self.refused = disk, 0

    def post(self, path: str, document: Any = None) -> Any:
        try:
            answer = super().post(path, document)
        except ServerError as error:
            assert error.status == 507
            self.refused += 1
            raise
        if path == "/work/leases" and not self.refused:
            self._disk.fill()
            threading.Timer(1.0, self._disk.clear).start()
        return answer


@pytest.mark.parametrize("all_there", [False, True], ids=["its files", "its database too"])
def test_on_a_full_disk_nothing_is_half_kept_and_matches_go_on_with_the_space(
    all_there: bool, disk: Disk, make_league: MakeLeague, tmp_path: Path
):
    season = short_season(pools=[{"name": "competition", "partners": "pool", "matches": 4}], replays=False)
    database = f"sqlite:///{(disk.path if all_there else tmp_path) / 'ours.sqlite'}"
    league = make_league(season, files=str(disk.path / "files"), database=database)
    for name in ("role", "random"):
        league.upload("anna", name, bundle(name))
    Worker(InProcess(league)).run_once()  # tries both out
    league.commissioner.look()
    worker = Worker(client := Filling(league, disk), most=2)
    worker.run_once()
    assert client.refused and completed(league) == 2

    begun, before = league.begin(), disk.files()
    disk.fill()
    answer = league.web.put(begun["upload_url"], content=os.urandom(1 << 20))
    assert answer.status_code == 507 and answer.json() == {
        "detail": "the league's disk is full; its keeper is to make room"
    }
    with pytest.raises(ServerError, match="the league's disk is full"):
        worker.run_once()
    said = {"upload_id": begun["upload_id"], "name": "x"}
    assert league.post("/stats/policies/submit/complete", "anna", said).status_code == 400
    assert disk.files() == before
    disk.clear()
    league.work()
    check(league, 4)
    assert league.upload("anna", "again", bundle("miner"))["version"] == 1
