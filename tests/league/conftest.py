"""Leagues for tests: in this process on both databases, and one served by a process of its own."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'league'")

import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import text

from metta.common.background import in_background
from metta.eval.match import engine_version
from metta.league import accounts
from metta.league.client import Client
from metta.league.commissioner import Commissioner
from metta.league.league import SQLITE, League, open_league
from metta.league.play import Sandbox
from metta.league.sandbox.probe import probe
from metta.league.seasons import DEFAULT, SeasonSettings
from metta.league.server.app import make_app
from metta.league.server.connections import Connection
from metta.league.settings import LeagueSettings
from metta.league.store.database import Database
from metta.league.store.seasons import add_season
from metta.league.worker import Worker
from tests.postgres import postgres

__all__ = ["postgres"]
ADDRESS = "http://127.0.0.1:8400"
PASSWORD = "correct horse"
BROWSER = Path(__file__).with_name("browser.py")


def short_season(**changes: Any) -> SeasonSettings:
    """The default season in matches of a few steps."""
    pools = [
        {"name": "qualifying", "partners": "self", "matches": 2, "threshold": -1000.0},
        {"name": "competition", "partners": "pool", "matches": 4},
    ]
    mission = {"name": "cogsguard_arena.basic", "max_steps": 5}
    tree = {"name": DEFAULT, "default": True, "missions": [mission], "pools": pools, "summary": "A few steps."}
    return SeasonSettings.model_validate({**tree, **changes})


def bundle(class_path: str = "role", **files: str) -> bytes:
    """A zip file to upload; the same bytes for the same content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("policy_spec.json"), json.dumps({"class_path": class_path}))
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.py"), content)
    return packed.getvalue()


@dataclass
class Playground:
    """A league in this process: its parts, and somebody who asks."""

    league: League
    web: TestClient
    commissioner: Commissioner
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, name: str, scope: accounts.Scope = "user") -> str:
        """A token of an account, which is made."""
        key = f"{name} {scope}"
        if key not in self.tokens:
            with self.league.database.transaction() as session:
                try:
                    user = accounts.find_user(session, name)
                except Exception:
                    user = accounts.add_user(session, name, PASSWORD, admin=name == "admin")
                self.tokens[key] = accounts.issue_token(session, user, scope)
        return self.tokens[key]

    def get(self, path: str, name: str | None = None, **query: Any) -> Any:
        """What the server answers; it must not refuse."""
        answer = self.web.get(path, params=query, headers=self.headers(name))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, name: str | None, document: Any = None, scope: accounts.Scope = "user") -> Any:
        """As `get`, with the answer as it is."""
        return self.web.post(path, json=document, headers=self.headers(name, scope))

    def headers(self, name: str | None, scope: accounts.Scope = "user") -> dict[str, str]:
        return {"X-Auth-Token": self.token(name, scope)} if name else {}

    def begin(self, name: str = "anna") -> dict[str, Any]:
        """An address to upload to."""
        return self.post("/stats/policies/submit/presigned-url", name).json()

    def upload(self, name: str, policy: str, data: bytes, season: str | None = DEFAULT) -> dict[str, Any]:
        """Upload a bundle for somebody."""
        place = self.begin(name)
        assert self.web.put(place["upload_url"], content=data).status_code == 200
        document = {"upload_id": place["upload_id"], "name": policy, "season": season}
        answer = self.post("/stats/policies/submit/complete", name, document)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def work(self, trust_code: bool = False, sandbox: Sandbox | None = None) -> None:
        """Play until nothing is left to do."""
        worker = Worker(InProcess(self), trust_code, sandbox)
        for _ in range(50):
            self.commissioner.look()
            if not worker.run_once():
                return
        raise AssertionError("work without end")


class InProcess(Client):
    """A client to a league in this process."""

    def __init__(self, playground: Playground, token: str | None = None) -> None:
        """By default a worker's."""
        super().__init__(ADDRESS, token or playground.token("worker", "worker"))
        self._web = playground.web

    def _send(self, request: Any, seconds: float, most: int = 0) -> bytes:
        data = request.data.read() if hasattr(request.data, "read") else request.data
        answer = self._web.request(
            request.get_method(), request.full_url, content=data, headers=dict(request.header_items())
        )
        if answer.status_code >= 400:
            from metta.league.client import ServerError

            raise ServerError(answer.status_code, answer.json()["detail"])
        return answer.content


MakeLeague = Callable[..., Playground]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each database."""
    return request.param


@pytest.fixture
def address(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that is empty."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / SQLITE}"
        return
    server = request.getfixturevalue("postgres")
    name = f"league_{uuid.uuid4().hex[:12]}"
    whole = Database(server)
    with whole.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    whole.engine.dispose()
    yield f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has its tables, on SQLite: to be copied."""
    path = tmp_path_factory.mktemp("empty") / SQLITE
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.engine.dispose()
    return path


@pytest.fixture
def make_league(tmp_path: Path, empty: Path) -> Iterator[MakeLeague]:
    """Opens a league with such settings and season."""
    opened: list[Playground] = []

    def make(season: SeasonSettings | None = None, **settings: Any) -> Playground:
        given = LeagueSettings.model_validate({"data": str(tmp_path), **settings})
        if given.database is None:
            shutil.copyfile(empty, tmp_path / SQLITE)
        database = Database(given.database or f"sqlite:///{tmp_path / SQLITE}")
        database.migrate()
        with database.transaction() as session:
            add_season(session, season or short_season(), engine_version())
        league = open_league(given)
        playground = Playground(league, TestClient(make_app(league), base_url=ADDRESS), Commissioner(league))
        opened.append(playground)
        return playground

    yield make
    for playground in opened:
        playground.league.database.engine.dispose()


@pytest.fixture
def playground(make_league: MakeLeague) -> Playground:
    """A league on SQLite."""
    return make_league()


@contextmanager
def listening(playground: Playground) -> Iterator[str]:
    """The address of a league in this process that others can reach."""
    server = uvicorn.Server(uvicorn.Config(make_app(playground.league), port=0, log_level="warning", http=Connection))
    with in_background(lambda over: server.run(), "server"):
        try:
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True


@dataclass(frozen=True)
class Served:
    """A league that a process of its own serves, with a worker."""

    address: str
    data: Path
    process: subprocess.Popen[str]


def serve(data: Path, *words: str, season: SeasonSettings | None = None, address: str | None = None) -> Served:
    """Begin to serve a league with a short season; `address`: of its database."""
    if address:
        words = (*words, "--database", address)
    database = Database(address or f"sqlite:///{data / SQLITE}")
    database.migrate()
    with database.transaction() as session:
        add_season(session, season or short_season(), engine_version())
    database.engine.dispose()
    command = [sys.executable, "-m", "metta.cli.cogames", "league", "serve", "--data", str(data), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("league: "), line
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return Served(line.split()[1], data, process)


def one_worker() -> list[str]:
    """Words of `serve` for a worker that runs uploaded code."""
    return ["--workers", "1", *([] if probe().sandbox else ["--trust-code"])]


@pytest.fixture
def served_on(address: str, tmp_path: Path) -> Iterator[Served]:
    """As `served`, on each database."""
    found = serve(tmp_path / "league", *one_worker(), address=address)
    yield found
    found.process.terminate()
    found.process.wait(30)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A league with a worker that runs uploaded code."""
    found = serve(tmp_path_factory.mktemp("league"), *one_worker())
    yield found
    found.process.terminate()
    found.process.wait(30)
