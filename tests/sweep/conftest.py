"""Sweeps of a function that takes no time, on a journal and on a PostgreSQL of this machine."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("optuna", reason="needs the extra 'sweep'")

from metta.sweep.plan import Plan
from metta.sweep.settings import SweepSettings

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """A plan whose sweep has these settings, with a parameter x from 0 to 1 unless they say otherwise."""

    def make(name: str = "demo", defaults: dict[str, Any] | None = None, total: int = 900, **settings: Any) -> Plan:
        tree = {"parameters": {"x": {"uniform": [0, 1]}}, "budget": {"trials": 6}, "random_trials": 3, **settings}
        sweep = SweepSettings.model_validate(tree)
        return Plan(
            name=name, recipe=None, typed=[], file="demo.yaml", sweep=sweep, data_dir=str(tmp_path / "train_dir"),
            defaults=defaults or {}, total=total,
        )  # fmt: skip

    return make


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
