"""Who watches a run: what the command says is kept, and what comes of how it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from metta.launch.node_state import NodeState
from tests.launch.conftest import ROOT, until

SAVES = (
    "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('saved'))); print('ready'); time.sleep(60)"
)
Watch = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Have Python code watched, with flags by keyword."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(code: str, **changes: float) -> subprocess.Popen[bytes]:
        flags = {"hours": 1, "heartbeat": 60, "restarts": 2, "grace": 5, **changes}
        words = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "metta.launch.supervisor", "--folder", str(tmp_path), *words]
        begun.append(subprocess.Popen([*command, "--", sys.executable, "-u", "-c", code], cwd=ROOT))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()


@pytest.fixture
def state(tmp_path: Path) -> NodeState:
    return NodeState(tmp_path)


def says(state: NodeState, text: str) -> bool:
    return state.log.is_file() and text in state.log.read_text()


@pytest.mark.parametrize(("code", "end"), [(0, "finished"), (2, "failed, exit code 2"), (76, "failed, exit code 76")])
def test_an_end_that_is_final_is_not_tried_again(watch: Watch, state: NodeState, code: int, end: str) -> None:
    assert watch(f"import sys; print('hello'); sys.exit({code})").wait(30) == code
    assert state.log.read_text() == "hello\n"
    assert state.told() == f"{end}, says: hello"


def test_what_fails_is_started_again_so_many_times_in_a_row(watch: Watch, state: NodeState) -> None:
    assert watch("print('dies'); exit(9)", restarts=1).wait(30) == 9
    assert state.log.read_text().splitlines().count("dies") == 2
    assert (
        state.told().startswith("failed, exit code 9, ")
        and "given up after 1 restarts without an epoch" in state.told()
    )


def test_epochs_between_two_failures_count(watch: Watch, state: NodeState, tmp_path: Path) -> None:
    counts = tmp_path / "count"
    code = (
        f"import pathlib; c = pathlib.Path({str(counts)!r}); n = len(c.read_text()) if c.exists() else 0\n"
        f"c.write_text('x' * (n + 1)); pathlib.Path({str(state.metrics)!r}).write_text('{{}}')\n"
        "exit(0 if n == 2 else 9)"
    )
    assert watch(code, restarts=1).wait(30) == 0
    assert counts.read_text() == "xxx"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_request_to_stop_has_the_run_saved_and_tells_schedulers_to_try_again(
    watch: Watch, state: NodeState, number: int
) -> None:
    process = watch(SAVES)
    until(lambda: says(state, "ready"), "the command runs")
    process.send_signal(number)
    assert process.wait(30) == 75
    assert state.log.read_text().splitlines()[-1] == "saved" and state.told() == "stopped, exit code 75, says: saved"


def test_the_time_of_a_run_ends_it(watch: Watch, state: NodeState) -> None:
    assert watch(SAVES, hours=3 / 3600).wait(30) == 124
    assert "time over" in state.told() and says(state, "saved")


def test_a_run_without_epochs_is_started_again(watch: Watch, state: NodeState) -> None:
    assert watch(SAVES, heartbeat=1, restarts=0).wait(30) == 75
    assert says(state, "no epoch for too long") and state.told().startswith("failed, exit code 75")


def test_when_the_supervisor_is_killed_the_run_saves_and_its_state_is_told(watch: Watch, state: NodeState) -> None:
    process = watch(SAVES)
    until(lambda: says(state, "ready"), "the command runs")
    (child,) = psutil.Process(process.pid).children()
    assert state.told().startswith("running for 0 min")
    process.kill()
    process.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the command ends too")
    assert state.told().startswith("lost (killed")


def test_a_run_that_has_not_started_says_so(state: NodeState) -> None:
    assert state.told() == "has not started"
    state.stop()  # asks nobody
