"""Where this process stands among those that train one run, as torchrun's environment says."""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from metta.common.errors import UserError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
STACKS = "METTA_STACKS"  # environment: set by this package's launcher; the folder where processes keep their stacks
LISTENING = "METTA_LISTENING"  # environment: number of the open socket on which rank 0 is to listen for the others
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Place:
    """Process `rank` of `size`; `local_rank` of the `local_size` on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0


def is_launched(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether something has started this process as one of several."""
    return "RANK" in environ and "WORLD_SIZE" in environ


def is_watched(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this package's launcher has started the process: it says itself what happens to the processes."""
    return STACKS in environ


def find_place(environ: Mapping[str, str] = os.environ) -> Place:
    """The place that the environment names; a process that nothing has launched is alone. Raise UserError where the
    numbers contradict each other."""
    if not is_launched(environ):
        return Place()
    given = [environ.get(name, "") for name in VARIABLES]
    if all(re.fullmatch(r"[0-9]{1,9}", value) for value in given):
        place = Place(*map(int, given))
        if place.rank < place.size and place.local_rank < place.local_size <= place.size:
            return place
    told = ", ".join(f"{name}={value or '(not set)'}" for name, value in zip(VARIABLES, given, strict=True))
    raise UserError(f"the environment's {told}: no rank among a number of processes; torchrun sets all four")


def own_cores() -> list[int]:
    """Numbers of the cores that this process may run on; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def share_of_cores(processes: int) -> int:
    """Cores for each of so many processes of this machine, of those that this one may run on; at least one."""
    return max(1, (len(own_cores()) or os.cpu_count() or 1) // processes)


def available_cores() -> int:
    """Cores that this process may run on; of the processes of one run each has its share, at least one."""
    return share_of_cores(find_place().local_size)


def begin() -> Place:
    """Make this process one of several: only rank 0 speaks, each sees one GPU of its own, and none outlives its parent.

    To be called before torch is imported. Does nothing in a process that is alone.
    """
    place = find_place()
    if place.size > 1:
        end_with_parent()
        os.environ["CUDA_VISIBLE_DEVICES"] = _own_gpu(place.local_rank)
        if not place.leads:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    return place


def _own_gpu(local_rank: int) -> str:
    """The device that this process has for itself; nothing, where there are fewer than processes."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(local_rank)
    return dict(enumerate(visible.split(","))).get(local_rank, "")


def end_with_parent(parent: int | None = None) -> None:
    """Have this process asked to stop (SIGTERM) when the one that launched it is gone, however that came. `parent` is
    its number, where this one was told; else what it is now."""
    if sys.platform == "linux":
        parent = parent or os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
