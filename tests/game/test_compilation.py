"""What is compiled before a command begins: said, shown, stopped at once, and done once."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from metta.game.engine.objects import set_owner

ROOT = Path(__file__).parents[2]
# Kernels of their own, which compile for long: loops in loops, each a function.
SLOW = """
import time
import numba
@numba.njit(cache=True)
def first(x):
    return x + 1
@numba.njit(cache=True)
def second(x):
    return first(x) * 2
def rehearse():
    second(1)
    time.sleep({seconds})
def fail():
    raise ValueError("no room")
"""
CALL = """
import sys
from pathlib import Path
from metta.common.commands import guarded
from metta.game.compilation import Kernels, compile_ahead
kernels = Kernels("the example", "metta.example:{call}", 61, Path(sys.argv[1]))
keys = lambda: bool(sys.argv[2:]) and bool(__import__("select").select([0], [], [], 0)[0]) and sys.stdin.read(1) == "q"
def main():
    compile_ahead(kernels, quits=keys)
    print("begun")
    return 0
sys.exit(guarded(main))
"""


class Example:
    """A package beside metta's with kernels to compile, and a cache of its own."""

    def __init__(self, folder: Path, seconds: float = 0) -> None:
        self.package, self.cache = folder / "metta_example", folder / "cache"
        self.package.mkdir()
        (self.package / "kernels.py").write_text(SLOW.format(seconds=seconds))

    def start(self, call: str = "rehearse", *words: str, **streams: int) -> "subprocess.Popen[str]":
        code = CALL.replace("metta.example:{call}", f"kernels:{call}")
        path = os.pathsep.join([str(ROOT), str(self.package)])
        environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(self.cache)}
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        command = [sys.executable, "-c", code, str(self.package), *words]
        return subprocess.Popen(command, env=environment, text=True, **given)

    def run(self, call: str = "rehearse") -> tuple[int, str, str]:
        process = self.start(call)
        out, error = process.communicate(timeout=120)
        return process.returncode, out, error


def workers() -> list[int]:
    """Processes that compile the example."""
    lines = ((each.pid, each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))
    return [pid for pid, words in lines if "metta.game.compilation" in words and "kernels:rehearse" in words]


def test_it_is_said_at_once_and_done_once(tmp_path: Path) -> None:
    example = Example(tmp_path)
    code, out, error = example.run()
    assert (code, out) == (0, "begun\n")
    first, *_, last = error.splitlines()
    assert first == "compiling the example, once per version: about 2 min"
    assert last.startswith("compiled 0 functions in ") or last.startswith("compiled 2 functions in ")
    assert example.run() == (0, "begun\n", "")


def test_a_changed_source_is_compiled_anew(tmp_path: Path) -> None:
    example = Example(tmp_path)
    example.run()
    with open(example.package / "kernels.py", "a") as source:
        source.write("# changed\n")
    assert "compiling the example" in example.run()[2]


def test_what_cannot_be_compiled_ahead_is_said_and_stops_nothing(tmp_path: Path) -> None:
    code, out, error = Example(tmp_path).run("fail")
    assert (code, out) == (0, "begun\n")
    assert "warning: the example could not be compiled ahead (ValueError: no room)" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_when_it_is_interrupted_no_process_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    process = Example(tmp_path, seconds=600).start()
    assert process.stderr
    assert process.stderr.readline().startswith("compiling")
    until(lambda: bool(workers()))
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in error
    until(lambda: not workers())


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    example = Example(tmp_path, seconds=3)
    first = example.start()
    assert first.stderr and first.stderr.readline().startswith("compiling")
    code, out, error = example.run()
    assert (code, out, error) == (0, "begun\n", "another process compiles the engine: waiting for it ...\n")
    assert first.communicate(timeout=60)[0] == "begun\n"


def test_a_terminal_shows_a_bar_and_q_quits(tmp_path: Path) -> None:
    terminal, own = pty.openpty()
    process = Example(tmp_path, seconds=600).start("rehearse", "keys", stdin=own, stderr=own)
    os.close(own)
    shown = b""
    while b"functions" not in shown:
        assert select.select([terminal], [], [], 60)[0]
        shown += os.read(terminal, 4096)
    os.write(terminal, b"q\n")
    assert process.wait(timeout=60) == 130
    os.close(terminal)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    example = Example(tmp_path)
    example.cache.write_text("a file where the folder should be")
    code, out, error = example.run()
    assert (code, out) == (0, "begun\n")
    (warning,) = [line for line in error.splitlines() if line.startswith("warning")]
    assert warning == (
        f"warning: NUMBA_CACHE_DIR={example.cache}: cannot write there (File exists): "
        "all is compiled anew at every start"
    )


def test_a_function_for_compiled_callers_alone_says_so_to_python() -> None:
    with pytest.raises(TypeError, match="set_owner is called by compiled code only; mark it as an entry"):
        set_owner()
