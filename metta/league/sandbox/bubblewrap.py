"""The walls of a sandbox, built by bubblewrap: namespaces of its own, a system that can be read, and a filter.

As an ordinary user it has a user namespace of its own; as root each sandbox is a user whom nobody else is. In there lie
Python with what is installed for it, this package, the libraries of the system, and the folder of the code; /tmp and
/dev/shm are its own, in memory, and small.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from metta.common.processes import ROOT
from metta.common.settings import Settings
from metta.league.sandbox import enter
from metta.league.sandbox.groups import Bounds, Groups
from metta.league.sandbox.system_calls import filter_program
from metta.policy.hosted.process import Sandbox

MEGABYTE = 1 << 20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SYSTEM_FILES = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
INSTALLED = ("site-packages", "dist-packages")
WALLS = 4  # processes of bubblewrap around that of the code
BUNDLE = "/run/bundle"  # where files lie that are copied for a script to change
RIGHTS = ("CAP_CHOWN", "CAP_SETGID", "CAP_SETUID")  # of root, until it has become nobody
ENVIRONMENT = {
    "HOME": "/tmp", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TMPDIR": "/tmp",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
}  # fmt: skip


class Limits(Settings):
    """What the code of one policy may take of a machine."""

    memory_bytes: PositiveInt = Field(default=2048 * MEGABYTE, description="address space, all that it can reserve")
    cpu_seconds: PositiveInt = Field(default=1800, description="processor time, of all its threads together")
    threads: PositiveInt = Field(default=64, description="threads; it can start no process")
    open_files: PositiveInt = Field(default=256, description="files open at a time")
    file_bytes: PositiveInt = Field(default=64 * MEGABYTE, description="size of a file that it writes")
    disk_bytes: PositiveInt = Field(default=64 * MEGABYTE, description="what it keeps in /tmp, and in /dev/shm")
    setup_bytes: PositiveInt = Field(default=512 * MEGABYTE, description="its folder, if a script sets it up")
    timers: PositiveInt = Field(default=256, description="timers, and signals that wait")
    core_bytes: NonNegativeInt = Field(default=0, description="size of a core dump")
    total_bytes: PositiveInt = Field(
        default=2048 * MEGABYTE, description="memory, with what it keeps in /tmp and /dev/shm; needs control groups"
    )
    cores: PositiveFloat = Field(default=1.0, description="processors at a time; needs control groups")


@dataclass(frozen=True)
class Bubblewrap:
    """Walls for the code of one policy; see `metta.policy.hosted.process.Sandbox`."""

    program: str  # where bubblewrap lies
    limits: Limits = field(default_factory=Limits)
    groups: Groups | None = None  # where control groups can be made

    @property
    def bounded(self) -> str:
        """What is bounded for a sandbox in all, for people."""
        names = ", ".join(self.groups.places) if self.groups else "nothing: none can be made here"
        return f"sandbox: control groups bound {names}"

    def __call__(self, folder: Path, setup: str = "", secrets: str = "") -> list[str]:
        """Words before a command whose code lies in `folder`: it cannot change it, but for a copy where there is a
        script of the bundle's own, `setup`, to run first. `secrets`: as of `secret_file`."""
        limits, within = self.limits, {"threads": self.limits.threads, "setup": setup, "copy": BUNDLE if setup else ""}
        bounds = Bounds(limits.total_bytes, limits.threads + WALLS, limits.cores)
        plan = {
            "parent": os.getpid(),
            "groups": self.groups.make(bounds) if self.groups else [],
            "limits": {
                "RLIMIT_AS": limits.memory_bytes, "RLIMIT_CPU": limits.cpu_seconds, "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_FSIZE": limits.file_bytes, "RLIMIT_CORE": limits.core_bytes, "RLIMIT_MEMLOCK": 0,
                "RLIMIT_MSGQUEUE": 0, "RLIMIT_SIGPENDING": limits.timers,
            },
            "secrets": secrets,
            "filter": filter_program(platform.machine()).hex(),
            "bubblewrap": [self.program, *self._walls(Path(os.path.abspath(folder)), setup)],
            "environment": {**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            "inside": within,
        }  # fmt: skip
        return [sys.executable, "-I", "-S", enter.__file__, "outside", json.dumps(plan)]

    def _walls(self, folder: Path, setup: str) -> list[str]:
        limits = self.limits
        words = ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
        words += [f"--unshare-{kind}" for kind in ("pid", "net", "ipc", "uts", "cgroup-try")]
        if os.geteuid() == 0:
            words += [word for right in RIGHTS for word in ("--cap-add", right)]
        else:
            words += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
        for path in map(Path, SYSTEM):
            if path.is_symlink():
                words += ["--symlink", os.readlink(path), str(path)]
            elif path.is_dir():
                words += ["--ro-bind", str(path), str(path)]
        words += _to(Path(SYSTEM_FILES[0]))
        for name in SYSTEM_FILES:
            words += ["--ro-bind-try", name, name]
        words += ["--proc", "/proc", "--dev", "/dev"]
        words += [*_own("/dev/shm", limits.disk_bytes), "--remount-ro", "/dev", *_own("/tmp", limits.disk_bytes)]
        for path in _python():
            words += [*_to(path), "--ro-bind", str(path), str(path)]
        bundle = Path(BUNDLE) if setup else folder
        words += [*_to(bundle), "--ro-bind", str(folder), str(bundle)]
        words += [*_to(folder), *_own(str(folder), limits.setup_bytes)] if setup else []
        return [*words, "--remount-ro", "/", "--chdir", str(folder)]


@contextmanager
def secret_file(values: Mapping[str, str]) -> Iterator[str]:
    """A file in memory with values of an environment, for processes of this user while it lasts: its path. Command
    lines and folders can be seen by others."""
    with os.fdopen(os.memfd_create("secrets"), "w") as file:
        json.dump(values, file)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


@contextmanager
def telling(sandbox: Sandbox | None, values: Mapping[str, str]) -> Iterator[Sandbox | None]:
    """A sandbox, if there is one, whose code has further values in its environment."""
    if sandbox is None or not values:
        yield sandbox
        return
    with secret_file(values) as path:
        yield partial(sandbox, secrets=path)


def _to(place: Path) -> list[str]:
    """The folders that lead to a place, for all to go through."""
    above = [str(path) for path in reversed(place.parents) if len(path.parts) > 1 and str(path) not in ("/tmp", "/dev")]
    return [word for path in above for word in ("--perms", "0755", "--dir", path)]


def _own(place: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", place]


def _python() -> list[Path]:
    """Folders of this Python, of what is installed for it, and of this package; none that lies in another."""
    installed = [path for path in sys.path if Path(path).name in INSTALLED and Path(path).is_dir()]
    wanted = sorted({Path(path) for path in (sys.base_prefix, sys.prefix, *installed)} | {ROOT / "metta"})
    known = [Path(path) for path in SYSTEM]
    found: list[Path] = []
    for path in wanted:
        if not any(path.is_relative_to(other) for other in (*known, *found)):
            found.append(path)
    return found
