"""Control groups: what a sandbox takes in all is bounded where they can be made, and none are left."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from metta.common.processes import child_environment
from metta.league.sandbox.bubblewrap import MEGABYTE, Bubblewrap, Limits
from metta.league.sandbox.groups import PREFIX, Bounds, Groups, find_groups
from tests.league.sandbox.conftest import hostile, play
from tests.league.sandbox.test_sandbox import STAYS

WORKER = """
import sys
from metta.league.sandbox.probe import probe
from metta.policy.hosted.process import Process
folder, script = sys.argv[1:]
Process([*probe().sandbox(folder), sys.executable, "-c", script, folder], folder, None).wait(1_000)
"""


@pytest.fixture
def groups(sandbox: Bubblewrap) -> Groups:
    if sandbox.groups is None or "memory" not in sandbox.groups.places:
        pytest.skip("no control group of memory can be made here (it needs root, or a group that is delegated)")
    return sandbox.groups


def made(groups: Groups, process: int) -> list[Path]:
    """Groups of a process that are there."""
    return [path for place in set(groups.places.values()) for path in place.glob(f"{PREFIX}{process}-*")]


def test_memory_of_all_kinds_together_is_bounded_only_by_a_group(sandbox: Bubblewrap, groups: Groups, place: Path):
    limits = Limits(total_bytes=180 * MEGABYTE)
    bundle = hostile(place, "TakesALittleEverywhere")
    _, reports = play(place, [bundle], replace(sandbox, limits=limits))
    assert reports[bundle.name].failure == "its process was ended by SIGKILL, as for want of memory"
    _, reports = play(place, [bundle], replace(sandbox, limits=limits, groups=None))
    assert reports[bundle.name].failure == ""


def test_a_worker_that_is_killed_leaves_groups_that_the_next_removes(groups: Groups, place: Path):
    command = [sys.executable, "-c", WORKER, str(place), STAYS]
    environment = child_environment()
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None and worker.stderr.readline() == "up\n"
        own = made(groups, worker.pid)
        assert len([path for path in own if (path / "cgroup.procs").read_text()]) == len(set(groups.places.values()))
        worker.send_signal(signal.SIGKILL)
    assert made(groups, worker.pid)
    end = time.monotonic() + 10
    while made(groups, worker.pid) and time.monotonic() < end:  # what was in them ends a moment later
        assert find_groups()
    assert made(groups, worker.pid) == []


def test_a_process_that_ends_takes_its_groups_along(groups: Groups, place: Path):
    command = [sys.executable, "-c", WORKER.replace(".wait(1_000)", ".wait(60)"), str(place), "print('ran')"]
    worker = subprocess.Popen(command, env=child_environment(), stderr=subprocess.PIPE)
    assert worker.communicate(timeout=60)[1] == b"ran\n" and made(groups, worker.pid) == []


def test_what_is_bounded_is_what_the_limits_say(groups: Groups):
    folders = {Path(path).parent for path in groups.make(Bounds(256 * MEGABYTE, 17, 0.5))}
    wanted = {"memory.max": str(256 * MEGABYTE), "pids.max": "17", "cpu.max": "50000 100000"}  # of version 2
    wanted |= {"memory.limit_in_bytes": str(256 * MEGABYTE), "cpu.cfs_quota_us": "50000"}  # of version 1
    said = {file: file.read_text().strip() for folder in folders for name in wanted if (file := folder / name).exists()}
    groups.leave()
    assert len(said) == len(groups.places)
    assert {file.name: value for file, value in said.items()} == {file.name: wanted[file.name] for file in said}
    assert not any(folder.exists() for folder in folders)


def test_where_no_group_can_be_made_none_is_and_nothing_is_left(tmp_path: Path):
    """Folders that are no control groups, where a process says that its own are."""
    (tmp_path / "tree" / "user" / "worker").mkdir(parents=True)
    (tmp_path / "cgroup").write_text("4:memory:/worker\n3:cpu,cpuacct:/elsewhere\n0::/user/worker\n")
    mounts = [f"41 31 0:38 / {tmp_path / 'tree'} rw - cgroup2 cgroup2 rw",
              f"42 31 0:39 / {tmp_path / 'tree' / 'user'} rw - cgroup cgroup rw,memory",
              f"43 31 0:40 /docker {tmp_path / 'tree'} rw - cgroup cgroup rw,cpu,cpuacct"]  # fmt: skip
    (tmp_path / "mountinfo").write_text("\n".join(mounts) + "\n")
    assert find_groups(tmp_path) is None
    assert list((tmp_path / "tree").rglob(f"{PREFIX}*")) == []
