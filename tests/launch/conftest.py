"""A machine that plays a mettabox: an OpenSSH server on loopback, with keys and folders of its own."""

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SSHD = Path("/usr/sbin/sshd")
WAIT = 180  # seconds that something may take on a busy machine
CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv TMUX_TMPDIR={folder} OMP_NUM_THREADS=1 TERM=xterm PATH={folder}/bin:/usr/bin:/bin
"""
DOCKER = """\
#!/bin/bash
# Plays docker exec -i|-it metta COMMAND: a container that is the machine itself.
[[ $1 == exec && $2 == -i* && $3 == metta ]] || exit 1
exec "${@:4}"
"""


@dataclass
class Box:
    """The machine: folders, the file of hosts, and the target that leads to its container.

    Its hosts are `box`, which is the machine, `boxed`, its container, `gone`, where nothing listens, and `mute`, which
    never says a word.
    """

    folder: Path
    port: int
    hosts: Path
    target: Path

    @property
    def data(self) -> Path:
        return self.folder / "train_dir"

    def sessions(self) -> list[str]:
        environment = {**os.environ, "TMUX_TMPDIR": str(self.folder)}
        listed = ["tmux", "list-sessions", "-F", "#{session_name}"]
        return subprocess.run(listed, env=environment, capture_output=True, text=True, check=False).stdout.split()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="package")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    for tool in (SSHD, "ssh", "ssh-keygen", "tmux", "git"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if not (ROOT / ".git").exists():
        pytest.skip("a launch sends a commit, and this is no git checkout")
    folder, port = tmp_path_factory.mktemp("box"), free_port()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder))
    for name in ("train_dir", "bin"):
        (folder / name).mkdir()
    (folder / "bin/docker").write_text(DOCKER)
    (folder / "bin/docker").chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-E", folder / "sshd.log", "-f", folder / "sshd_config"])
    try:
        until(lambda: answers(port), "the server listens")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            yield Box(folder, port, *described(folder, port, mute.getsockname()[1]))
    finally:
        environment = {**os.environ, "TMUX_TMPDIR": str(folder)}
        subprocess.run(["tmux", "kill-server"], env=environment, capture_output=True, check=False)
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            process.kill()
        server.wait()


def described(folder: Path, port: int, mute: int) -> tuple[Path, Path]:
    """The file of hosts and the target."""
    known = [f"UserKnownHostsFile={folder}/known_hosts", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR"]
    me = {"address": "127.0.0.1", "user": psutil.Process().username(), "port": port}
    host = {**me, "identity": f"{folder}/key", "ssh_options": known, "data_dir": f"{folder}/train_dir"}
    hosts, target = folder / "hosts.yaml", folder / "box.yaml"
    others = {
        "boxed": {**host, "container": "metta"},
        "gone": {**host, "port": free_port()},
        "mute": {**host, "port": mute, "answer_seconds": 1},
    }
    hosts.write_text(json.dumps({"hosts": {"box": {**host, "aws": f"{folder}/aws"}, **others}}))
    places = {"code": f"{folder}/code", "data_dir": f"{folder}/train_dir", "python": sys.executable}
    target.write_text(json.dumps({"kind": "ssh", "hosts": ["boxed"], "hosts_file": str(hosts), **places}))
    return hosts, target


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, f"not within {WAIT} s: {what}"
        time.sleep(0.1)


def in_terminal(*command: str | Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command in a terminal of its own; its process and the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    return process, ours
