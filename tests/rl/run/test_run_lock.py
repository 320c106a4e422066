"""Who holds a run's folder: processes of this machine, and of others, whose clocks and file systems differ."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.rl.run import run_lock
from metta.rl.run.run_lock import LOCK, Owner, RunLock, hold_lock, is_crashed, is_running

ELSEWHERE = "4711 node-7 another-start-of-another-machine"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT", 0.05)
    monkeypatch.setattr(run_lock, "LIMIT", 0.5)
    monkeypatch.setattr(run_lock, "LOOK", 0.05)


@contextmanager
def held_elsewhere(run: Path, step: float) -> Iterator[None]:
    """As by a process of another machine, whose locks are not seen here, and whose clock runs by `step` s a beat."""
    run.mkdir(exist_ok=True)
    lock, over = run / LOCK, threading.Event()
    lock.write_text(ELSEWHERE)

    def renew() -> None:
        now = lock.stat().st_mtime
        while not over.wait(0.05):
            now += step
            os.utime(lock, (now, now))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_lock_says_who_holds_it_and_is_renewed(tmp_path: Path) -> None:
    lock, file = RunLock(tmp_path / "a"), tmp_path / "a" / LOCK
    with open(file) as opened:
        assert Owner.read(opened) == Owner.me() and not Owner.me().elsewhere
    before, deadline = file.stat().st_mtime_ns, time.monotonic() + 30
    while file.stat().st_mtime_ns == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert file.stat().st_mtime_ns > before and not lock.lost and is_running(tmp_path / "a")
    with pytest.raises(UserError, match=rf"run=a: in use by process {os.getpid()}; wait"):
        RunLock(tmp_path / "a")
    lock.release(well=True)
    assert file.read_text() == "" and not is_running(tmp_path / "a") and not is_crashed(tmp_path / "a")


@pytest.mark.parametrize("step", [1.0, 0.001, -3600.0])
def test_a_run_that_goes_on_on_another_machine_is_in_use_whatever_the_clocks_say(tmp_path: Path, step: float) -> None:
    with held_elsewhere(tmp_path / "a", step):
        for take in (lambda: RunLock(tmp_path / "a"), lambda: hold_lock(tmp_path / "a").__enter__()):
            with pytest.raises(UserError, match="run=a: in use by process 4711 on node-7; wait for it"):
                take()


@pytest.mark.parametrize("hours", [0, -10, 10])
def test_a_run_that_crashed_on_another_machine_is_taken_over_whatever_the_clocks_say(
    tmp_path: Path, hours: float, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / LOCK).write_text(ELSEWHERE)
    then = time.time() + 3600 * hours
    os.utime(tmp_path / LOCK, (then, then))
    lock = RunLock(tmp_path)
    assert "process 4711 on node-7 held it last and did not end well; watching for 0.5 s" in capsys.readouterr().out
    assert not lock.lost
    lock.release(well=True)


def test_a_run_that_crashed_on_this_machine_is_taken_over_without_watching(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    RunLock(tmp_path).release(well=False)
    assert is_crashed(tmp_path)
    RunLock(tmp_path).release(well=True)
    assert capsys.readouterr().out == ""


def test_a_run_that_ends_well_while_it_is_watched_is_free(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(ELSEWHERE)
    timer = threading.Timer(0.15, lambda: (tmp_path / LOCK).write_text(""))
    timer.start()
    RunLock(tmp_path).release(well=True)
    timer.join()


def test_a_run_that_another_took_is_lost(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    (tmp_path / LOCK).write_text(ELSEWHERE)
    assert lock.lost
    lock.release(well=False)


def test_a_file_system_without_locks_is_told_and_runs_are_told_apart_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = RunLock(tmp_path / "unlocked")
    assert "run=unlocked: its file system does not lock files (No locks available)" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"run=unlocked: in use by process {os.getpid()}"):
        RunLock(tmp_path / "unlocked")
    lock.release(well=True)
    RunLock(tmp_path / "unlocked").release(well=True)
