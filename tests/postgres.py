"""A PostgreSQL of this machine, for tests."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A server that keeps its data in a folder; as root it runs as the user postgres."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._binaries, self._root = folder, binaries, os.getuid() == 0
        self._owner = "postgres" if self._root else pwd.getpwuid(os.getuid()).pw_name
        shutil.chown(folder, self._owner)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._data = str(folder / "data")
        self._call("initdb", "-D", self._data, "-U", self._owner, "--auth=trust", "--no-sync")

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://{self._owner}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off -c log_statement=none"
        self._call("pg_ctl", "-D", self._data, "-o", options, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """End it as a crash would."""
        postmaster = int((Path(self._data) / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)

    def _call(self, *words: str) -> None:
        command = [str(self._binaries / words[0]), *words[1:]]
        as_owner = ["runuser", "-u", self._owner, "--", *command] if self._root else command
        subprocess.run(as_owner, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, timeout=120)


@contextmanager
def serving() -> Iterator[Postgres]:
    """A server on loopback; what needs it is skipped where PostgreSQL is not installed."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with TemporaryDirectory(prefix="metta-postgres-") as folder:  # pytest's own folders are closed to other users
        server = Postgres(Path(folder), BINARIES[-1])
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a database on loopback."""
    with serving() as server:
        yield server.address
