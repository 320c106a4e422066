"""Being asked to stop: once, twice, in time and not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from metta.rl.run.signals import StopRequest

BEGIN = "import os, signal, sys, time; from metta.rl.run.signals import StopRequest\n"
TO_ITSELF = BEGIN + "with StopRequest(grace=float(sys.argv[1])) as stop:\n  "


def code_of(script: str, grace: float = 600.0) -> int:
    done = subprocess.run([sys.executable, "-c", script, str(grace)], timeout=60, capture_output=True, check=False)
    return done.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_each_signal_asks_to_stop_and_is_named(number: signal.Signals, capfd: pytest.CaptureFixture) -> None:
    before = signal.getsignal(number)
    with StopRequest(grace=60) as stop:
        assert not stop() and stop.reason == ""
        os.kill(os.getpid(), number)
        assert stop() and stop.reason == number.name
    assert signal.getsignal(number) == before
    assert capfd.readouterr().out == f"{number.name}: saving, then stopping; once more to stop at once\n"


def test_a_second_signal_ends_the_process_at_once() -> None:
    twice = "[(os.kill(os.getpid(), number), time.sleep(0.2)) for number in (signal.SIGTERM, signal.SIGINT)]"
    assert code_of(f"{TO_ITSELF}{twice}; time.sleep(60)") == 130


def test_a_signal_that_comes_by_two_ways_is_one_request() -> None:
    """As from a scheduler that signals every process, and from the launcher that passes its own on."""
    twice = "[(os.kill(os.getpid(), number), time.sleep(0.1)) for number in (signal.SIGUSR1, signal.SIGTERM)]"
    assert code_of(f"{TO_ITSELF}{twice}") == 0


def test_who_does_not_stop_within_the_grace_is_ended_also_where_no_handler_can_run() -> None:
    waits_in_one_call = "os.kill(os.getpid(), signal.SIGHUP); import ctypes; ctypes.CDLL(None).sleep(60)"
    assert code_of(f"{TO_ITSELF}{waits_in_one_call}", grace=0.5) == 128 + signal.SIGTERM


def test_ctrl_c_may_take_as_long_as_it_takes() -> None:
    assert code_of(f"{TO_ITSELF}os.kill(os.getpid(), signal.SIGINT); time.sleep(1)", grace=0.1) == 0


def test_a_request_leaves_nothing_open() -> None:
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        with StopRequest(grace=60):
            time.sleep(0.01)
    assert not files or len(os.listdir("/proc/self/fd")) == files


def test_a_closed_terminal_does_not_stop_what_nohup_started() -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    assert code_of(f"{ignored}{TO_ITSELF}os.kill(os.getpid(), signal.SIGHUP); sys.exit(stop())") == 0
