"""A PostgreSQL of this machine, for tests."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a database on loopback."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with TemporaryDirectory(prefix="metta-postgres-") as folder:  # pytest's own folders are closed to other users
        yield from _serving(Path(folder), BINARIES[-1])


def _serving(folder: Path, binaries: Path) -> Iterator[str]:
    """A server that keeps its data in a folder; as root it runs as the user postgres."""
    root = os.getuid() == 0
    owner = "postgres" if root else pwd.getpwuid(os.getuid()).pw_name
    shutil.chown(folder, owner)

    def call(*words: str) -> None:
        command = [str(binaries / words[0]), *words[1:]]
        as_owner = ["runuser", "-u", owner, "--", *command] if root else command
        subprocess.run(as_owner, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data, options = str(folder / "data"), f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c log_statement=none"
    call("initdb", "-D", data, "-U", owner, "--auth=trust", "--no-sync")
    call("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://{owner}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
