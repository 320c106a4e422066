"""A PostgreSQL on loopback that keeps its data in a folder."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def serving(folder: Path) -> Iterator[str]:
    """A server that keeps its data in a folder; as root it runs as the user postgres."""
    root = os.getuid() == 0
    owner = "postgres" if root else pwd.getpwuid(os.getuid()).pw_name
    shutil.chown(folder, owner)

    def call(*words: str) -> None:
        command = [str(BINARIES[-1] / words[0]), *words[1:]]
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
