"""Several processes of one job: what happens to one of them, and what comes of it for all."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from metta.rl.launcher import Ended, Job, launch
from metta.rl.run.settings import SystemSettings

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-m", "tests.rl.counting")
pytestmark = pytest.mark.slow


def given(folder: Path, until: int = 8, **changes: Any) -> dict[str, Any]:
    system = {"data_dir": str(folder), "device": "cpu", "timeout_seconds": 60.0} | changes.pop("system", {})
    return {"until": until, "config": {"run": "counting", "system": system}, **changes}


@pytest.fixture
def count(tmp_path: Path) -> Callable[..., Ended]:
    """Count in two processes, with settings and faults by keyword."""

    def run(**changes: Any) -> Ended:
        what = given(tmp_path, **changes)
        job = Job("counting", COMMAND, json.dumps(what).encode(), [tmp_path, tmp_path / "not_there"])
        return launch(job, 2, SystemSettings.model_validate(what["config"]["system"]))

    return run


def test_processes_count_together_and_only_rank_0_speaks(
    count: Callable[..., Ended], capfd: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert count() == Ended(0, True)
    said = capfd.readouterr()
    assert re.fullmatch(r"note of rank 0\n2 processes from 0: \d+ \d+\ncounted to 8\n", said.out)
    assert said.err == "warning: warning of rank 0\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["count"]


def test_where_any_rank_is_killed_all_go_on_from_what_was_kept_and_the_reason_is_told_once(
    count: Callable[..., Ended], capfd: pytest.CaptureFixture
) -> None:
    faults = [{"rank": 1, "when": 3, "what": "SIGKILL"}, {"rank": 0, "when": 5, "what": "SIGSEGV"}]
    assert count(faults=faults) == Ended(0, True)
    said = capfd.readouterr()
    assert re.findall(r"2 processes from (\d+)", said.out) == ["0", "3", "5"]
    first, second = [line for line in said.err.splitlines() if "restart" in line]
    assert first == (
        "warning: run=counting: rank 1 was ended by SIGKILL, as the system does where memory runs out; "
        "all start again from the last checkpoint (restart 1 of 3)"
    )
    assert "rank 0 was ended by SIGSEGV; all start again" in second and "(restart 2 of 3)" in second
    assert said.err.count("rank 1") == 1 and "Traceback" not in said.err


def test_there_is_an_end_to_restarts(count: Callable[..., Ended], capfd: pytest.CaptureFixture) -> None:
    fault = {"rank": 1, "when": 2, "what": "raise", "always": True}
    assert count(faults=[fault], system={"max_restarts": 1}) == Ended(1, False)
    said = capfd.readouterr().err
    assert said.count("ZeroDivisionError: a mistake") == 2
    assert said.splitlines()[-1] == (
        "error: run=counting: rank 1 ended with exit code 1; given up (system.max_restarts=1)"
    )


def test_a_rank_that_hangs_is_waited_for_so_long_and_the_stacks_of_all_are_kept(
    count: Callable[..., Ended], capfd: pytest.CaptureFixture, tmp_path: Path
) -> None:
    faults = [{"rank": 1, "when": 3, "what": "SIGSTOP"}]
    assert count(faults=faults, system={"timeout_seconds": 10.0}) == Ended(0, True)
    (kept,) = tmp_path.glob("stacks.*.txt")
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "restart" in line]
    assert f"rank 1 did not answer for 10 s (system.timeout_seconds); {kept} says where each of them was" in line
    first, second = re.split(r"rank 1, process \d+\n", kept.read_text())
    assert "all_reduce" in first and 'counting.py", line' in second and "in happen" in second


@pytest.mark.parametrize(("rank", "when"), [(0, 2), (1, 2), (0, "planning"), (1, "planning")])
def test_what_one_rank_is_refused_is_one_line_and_is_not_tried_again(
    count: Callable[..., Ended], capfd: pytest.CaptureFixture, rank: int, when: int | str
) -> None:
    fault = {"rank": rank, "when": when, "what": "refuse", "always": True}
    assert count(faults=[fault]) == Ended(2, False)
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert errors == [f"error: {'rank 1: ' if rank else ''}no such thing"]


def test_what_both_ranks_are_refused_is_one_line(count: Callable[..., Ended], capfd: pytest.CaptureFixture) -> None:
    assert count(faults=[{"rank": rank, "when": "planning", "what": "refuse"} for rank in (0, 1)]).code == 2
    assert capfd.readouterr().err.count("no such thing") == 1


def test_ranks_with_other_settings_are_refused_in_one_line(
    count: Callable[..., Ended], capfd: pytest.CaptureFixture
) -> None:
    assert count(others={"trainer": {"batch_size": 1024}}) == Ended(2, False)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert re.fullmatch(
        r"error: rank 1 on \S+ has other settings than rank 0: trainer.batch_size=1024 \(rank 0: \d+\)", line
    )


# What comes from outside, to a job that has begun to count.


@pytest.fixture
def counting(tmp_path: Path) -> Callable[..., Any]:
    """Start a job in a process of its own and wait until it counts; returns the launcher and the process ids."""
    started: list[subprocess.Popen] = []

    def start(**changes: Any) -> tuple[subprocess.Popen, list[int]]:
        what = given(tmp_path, until=10**6, **changes)
        script = (
            "import json, sys; from pathlib import Path\n"
            "from metta.rl.launcher import Job, launch; from metta.rl.run.settings import SystemSettings\n"
            "what = sys.argv[1]; system = SystemSettings(**json.loads(what)['config']['system'])\n"
            f"job = Job('counting', {COMMAND!r}, what.encode(), [Path(system.data_dir)])\n"
            "sys.exit(launch(job, 2, system).code)"
        )
        launcher = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(what)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        started.append(launcher)
        assert launcher.stdout
        for line in launcher.stdout:
            if found := re.fullmatch(r"2 processes from 0: (\d+) (\d+)\n", line):
                while not (tmp_path / "count").is_file():
                    assert launcher.poll() is None
                    time.sleep(0.01)
                return launcher, [int(found[1]), int(found[2])]
        raise AssertionError("the job ended before it counted")

    yield start
    for launcher in started:
        launcher.kill()


def ended(processes: list[int], seconds: float = 30) -> bool:
    """Whether all processes are gone before so many seconds have passed."""
    deadline = time.monotonic() + seconds
    while any(psutil.pid_exists(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(psutil.pid_exists(process) for process in processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_the_launcher_stops_all_well(counting: Callable[..., Any], number: signal.Signals) -> None:
    launcher, processes = counting()
    launcher.send_signal(number)
    assert "counted to" in launcher.communicate(timeout=60)[0] and launcher.returncode == 0
    assert ended(processes)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_well(counting: Callable[..., Any], rank: int) -> None:
    launcher, processes = counting()
    os.kill(processes[rank], signal.SIGTERM)
    assert "counted to" in launcher.communicate(timeout=60)[0] and launcher.returncode == 0
    assert ended(processes)


def test_a_second_signal_to_the_launcher_ends_all_at_once(counting: Callable[..., Any]) -> None:
    launcher, processes = counting()
    os.kill(processes[1], signal.SIGSTOP)
    launcher.send_signal(signal.SIGINT)
    threading.Timer(1, lambda: launcher.send_signal(signal.SIGINT)).start()
    launcher.communicate(timeout=60)
    assert launcher.returncode == 130 and ended(processes)


def test_who_does_not_stop_within_the_grace_is_ended(counting: Callable[..., Any]) -> None:
    launcher, processes = counting(system={"grace_seconds": 1.0})
    os.kill(processes[1], signal.SIGSTOP)  # and rank 0 waits for it
    launcher.send_signal(signal.SIGTERM)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signal.SIGTERM and ended(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells processes that their parent is gone only there")
def test_no_process_outlives_its_launcher(counting: Callable[..., Any], tmp_path: Path) -> None:
    launcher, processes = counting()
    launcher.kill()
    assert ended(processes)
    assert int((tmp_path / "count").read_text()) > 0


def test_torchrun_does_the_same(tmp_path: Path) -> None:
    """Its restart goes on too, and its processes end well."""
    what = given(tmp_path, faults=[{"rank": 1, "when": 3, "what": "SIGKILL"}])
    (tmp_path / "given.json").write_text(json.dumps(what))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "--max-restarts=2"]
    command = [*torchrun, "-m", "tests.rl.counting", str(tmp_path / "given.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"2 processes from (\d+)", done.stdout) == ["0", "3"]
    assert done.stdout.count("counted to 8") == 1 and "rank 1" not in done.stdout


@pytest.mark.parametrize("rank", [0, 1])
def test_a_meeting_to_which_the_others_never_come_is_given_up(tmp_path: Path, rank: int) -> None:
    place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    environment = {**place, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29_871}
    what = given(tmp_path, system={"timeout_seconds": 2.0})
    done = subprocess.run(
        COMMAND,
        cwd=ROOT,
        input=json.dumps(what),
        env={**os.environ, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert done.returncode == 2
    if rank == 0:
        assert line == "error: only 1 of 2 processes came within 2 s (system.timeout_seconds); missing: rank 1"
    else:
        assert line.startswith("error: rank 1: nothing came of the meeting at 127.0.0.1:29871")
