"""Control groups: what a sandbox takes in all, of memory, processes and processors, bounded by the kernel.

Of version 2 (a tree in which this process may make groups beside its own, as systemd delegates one) or of version 1 (a
tree of its own for each controller). A group is a folder; it is removed once nobody is in it: with the next sandbox, at
this process's end, or, if that was killed, when the next one starts.
"""

import atexit
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PREFIX = "metta-sandbox-"  # of a group's name; then comes the process that has made it
FRESH = 60.0  # seconds in which a group that is empty may have been made for a process that is about to enter
LAST = 2.0  # seconds at this process's end for those in its groups to end
PERIOD = 100_000  # microseconds in which processor time is counted
UNSWAPPED = ("memory.swap.max", "memory.memsw.limit_in_bytes")  # are there where the kernel counts swap
Files = Mapping[str, str]  # what is written into which file of a group


@dataclass(frozen=True)
class Bounds:
    """What all in a group may take together."""

    memory_bytes: int
    processes: int  # with threads
    cores: float

    def files(self) -> dict[str, tuple[Files, Files]]:
        """By controller: of version 2, of version 1."""
        memory, processes, quota = str(self.memory_bytes), str(self.processes), str(round(self.cores * PERIOD))
        return {
            "memory": (
                {"memory.max": memory, "memory.swap.max": "0"},
                {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
            ),
            "pids": ({"pids.max": processes}, {"pids.max": processes}),
            "cpu": (
                {"cpu.max": f"{quota} {PERIOD}"},
                {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": quota},
            ),
        }


@dataclass(frozen=True)
class Groups:
    """Where this process can make groups."""

    places: Mapping[str, Path]  # by controller: the folder in which groups are made

    def make(self, bounds: Bounds) -> list[str]:
        """A group; the files into which a process writes its number to enter it."""
        self.sweep()
        name, files = f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}", bounds.files()
        for controller, place in self.places.items():
            _make(place / name, files[controller])
        return [str(place / name / "cgroup.procs") for place in dict.fromkeys(self.places.values())]

    def sweep(self) -> None:
        """Remove the groups in which nobody is any more."""
        for place in set(self.places.values()):
            for group in place.glob(f"{PREFIX}*"):
                with suppress(OSError):  # somebody is in it, or it is gone
                    if not _is_running(group) or time.time() - group.stat().st_mtime > FRESH:
                        group.rmdir()

    def leave(self) -> None:
        """Remove the groups that this process has made; those in them are about to end."""
        end = time.monotonic() + LAST
        own = [group for place in set(self.places.values()) for group in place.glob(f"{PREFIX}{os.getpid()}-*")]
        for group in own:
            while group.exists() and time.monotonic() < end:
                with suppress(OSError):
                    group.rmdir()
                    break
                time.sleep(0.02)


def find_groups(process: Path = Path("/proc/self")) -> Groups | None:
    """Where groups can be made, tried by doing; None: nowhere. Those that others have left are removed."""
    own = _own_groups(process)
    second = [own[""].parent, own[""]] if "" in own else []
    files = Bounds(1 << 30, 64, 1.0).files()
    places = {}
    for controller in files:
        candidates = [*([own[controller]] if controller in own else []), *second]
        if place := next((place for place in candidates if _allows(place, files[controller])), None):
            places[controller] = place
    if not places:
        return None
    groups = Groups(places)
    groups.sweep()
    atexit.register(groups.leave)
    return groups


def _own_groups(process: Path) -> dict[str, Path]:
    """Folder of the group that a process is in, by controller; that of version 2 under ''."""
    paths, found = dict[str, PurePosixPath](), dict[str, Path]()
    for line in (process / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), PurePosixPath(path)))
    for line in (process / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        for controller in {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, []):
            path = paths.get(controller)
            if path is not None and path.is_relative_to(root):
                found[controller] = Path(point, path.relative_to(root))
    return found


def _allows(place: Path, files: Sequence[Files]) -> bool:
    """Whether a group can be made in a folder, and bounded."""
    group = place / f"{PREFIX}{os.getpid()}-try"
    try:
        _make(group, files)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            group.rmdir()
    return True


def _make(group: Path, files: Sequence[Files]) -> None:
    """A group with bounds, as one of the versions writes them. Raises OSError where neither does."""
    group.mkdir(exist_ok=True)
    known = next((own for own in files if (group / next(iter(own))).exists()), files[0])
    for name, value in known.items():
        if name not in UNSWAPPED or (group / name).exists():
            with open(group / name, "r+") as file:  # is not made where it is not there
                file.write(value)


def _is_running(group: Path) -> bool:
    """Whether the process that has made a group still runs."""
    return Path("/proc", group.name.removeprefix(PREFIX).partition("-")[0]).exists()
