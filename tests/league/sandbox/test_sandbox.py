"""Code of strangers: what it tries is refused or contained, the match goes on, and nothing is left of it."""

import ast
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from metta.common.errors import UserError
from metta.common.processes import ROOT
from metta.league.sandbox import probe as probing
from metta.league.sandbox.bubblewrap import Bubblewrap
from metta.league.sandbox.probe import probe
from metta.league.sandbox.system_calls import JUDGED, MACHINES, REFUSED, filter_program
from tests.league.sandbox.conftest import HOSTILE, hostile, pack, play

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
GOOD = """
class Good:
    def __init__(self, info): pass
    def reset(self, agent, seed): pass
    def act(self, seen): return 1
"""


def attempts() -> set[str]:
    """Names of the attempts of hostile.py, without running it."""
    for node in ast.parse(HOSTILE.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    raise AssertionError


def left(place: Path) -> list[psutil.Process]:
    """Processes that have to do with a folder, but for this one."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and str(place) in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def gone(place: Path, seconds: float = 10) -> bool:
    """Whether all of them end, a moment later at most."""
    end = time.monotonic() + seconds
    while left(place) and time.monotonic() < end:
        time.sleep(0.05)
    return not left(place)


def test_every_attempt_is_refused_and_told_and_the_match_goes_on(
    sandbox: Bubblewrap, place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LEAGUE_TOKEN", "worker-secret")
    (place / "token").write_text("worker-secret")
    (place / "other").mkdir()
    (place / "other" / "mine.py").write_text("class Rival: ...")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(place / "socket"))
        local.listen()
        bundle = hostile(
            place, "Tries", secret=place / "token", other=place / "other", port=server.getsockname()[1],
            unix=place / "socket", worker=os.getpid(),
        )  # fmt: skip
        found, reports = play(place, [bundle], sandbox)
    told = (line.partition(": ") for line in reports["Tries"].log.splitlines())
    said = {name: answer for name, _, answer in told if name in attempts()}  # threads that cannot begin write too
    assert said.keys() == attempts()
    assert [name for name, answer in said.items() if not answer.startswith("refused")] == []
    assert "True" in said["threads"]
    assert found.result.faults == [{}, {}] and reports["Tries"].failure == ""
    assert gone(place) and list(place.glob("metta-policy-*")) == []


def test_this_package_is_found_where_it_runs_from_a_checkout(
    sandbox: Bubblewrap, place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path or ".").resolve() != ROOT])
    _, reports = play(place, [pack(place, "good", {"mine.py": GOOD}, class_path="mine.Good")], sandbox)
    assert reports["good"].failure == ""


def test_what_floods_hangs_or_dies_stands_still_and_the_others_play_on(sandbox: Bubblewrap, place: Path):
    names = ["MemoryFlood", "OutputFlood", "Sleeps", "StaysBehind", "KillsItself", "KillsEverything", "SpeaksNonsense"]
    found, reports = play(place, [hostile(place, name) for name in names], sandbox, output_bytes=50_000)
    faults = dict(zip(reports, found.result.faults, strict=True))
    assert faults["role"] == {} and len(found.result.episodes) == 1
    assert all(1 <= sum(faults[name].values()) <= 5 for name in names), faults
    assert faults["MemoryFlood"] == {"errors": 1} and "Cannot allocate memory" in " ".join(
        [cause for causes in found.result.causes for cause in causes.values()]
    )
    assert reports["OutputFlood"].failure == "it wrote more output than it may"
    assert len(reports["OutputFlood"].log) == 50_000
    assert "no answer" in reports["Sleeps"].failure
    assert reports["KillsItself"].failure == "its process was ended by SIGKILL, as for want of memory"
    assert "SIGTERM" in reports["KillsEverything"].failure
    assert gone(place)


def test_what_forges_its_answers_stands_still_and_the_others_play_on(sandbox: Bubblewrap, place: Path):
    unasked, broken, silent = "it answers what it was not asked", "it sends what is no message", "no answer"
    wanted = {
        "AnswersBefore": unasked, "NeverReads": unasked, "SendsHandles": unasked, "AnswersForOthers": silent,
        "AnswersWithoutEnd": broken, "AnswersDeep": broken, "AnswersNumbers": broken,
    }  # fmt: skip
    found, reports = play(place, [hostile(place, name) for name in wanted], sandbox)
    assert {name: problem for name, problem in wanted.items() if problem not in reports[name].failure} == {}
    assert found.result.faults[-1] == {} and len(found.result.episodes) == 1
    assert gone(place)


def test_what_becomes_another_program_stops_or_answers_in_drops_stands_still(sandbox: Bubblewrap, place: Path):
    names = ["AnswersInDrops", "BecomesAnother", "Stops"]
    found, reports = play(place, [hostile(place, name) for name in names], sandbox)
    assert [name for name in names if not reports[name].failure] == []
    assert found.result.faults[-1] == {} and gone(place)


def test_bombs_of_processes_and_of_time_are_contained(sandbox: Bubblewrap, place: Path):
    limits = sandbox.limits.model_copy(update={"cpu_seconds": 1})
    names = ["ForkBomb", "Spins"]
    found, reports = play(place, [hostile(place, name) for name in names], Bubblewrap(sandbox.program, limits))
    assert found.result.faults[0] == {"errors": 1} and reports["ForkBomb"].failure == ""
    assert found.result.faults[1].keys() <= {"timeouts", "errors"} and reports["Spins"].failure
    assert found.result.faults[2] == {} and gone(place)


WORKER = """
import sys
from metta.league.sandbox.bubblewrap import Bubblewrap
from metta.policy.hosted.process import Process
program, folder, script = sys.argv[1:]
Process([*Bubblewrap(program)(folder), sys.executable, "-c", script, folder], folder, None).wait(1_000)
"""
STAYS = """
import os, signal, sys, time
for kind in {*range(1, 32)} - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(kind, signal.SIG_IGN)
print("up", flush=True)
os.closerange(0, 200)
time.sleep(1_000)
"""


def test_a_worker_that_is_killed_leaves_nothing_running(sandbox: Bubblewrap, place: Path):
    command = [sys.executable, "-c", WORKER, sandbox.program, str(place), STAYS]
    with subprocess.Popen(command, cwd=HOSTILE.parents[3], stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None and worker.stderr.readline() == "up\n"
        assert len(left(place)) >= 4  # the worker, bubblewrap twice, the policy
        worker.send_signal(signal.SIGKILL)
    assert gone(place)


def test_a_setup_script_runs_in_the_sandbox_and_changes_a_copy(sandbox: Bubblewrap, place: Path):
    script = "import os, numpy\nopen('made.py', 'w').write('print(\"made\")')\nos.listdir('/proc/1')\nprint('set up')\n"
    bundle = pack(place, "good", {"mine.py": f"import made\n{GOOD}", "prepare.py": script},
                  class_path="mine.Good", setup_script="prepare.py")  # fmt: skip
    found, reports = play(place, [bundle], sandbox)
    assert found.result.faults == [{}, {}]
    assert reports["good"].log.splitlines() == ["set up", "made"]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("raise SystemExit(3)", "setup_script prepare.py failed with exit code 3"),
        ("import os\nos.system('true') and exit('no other program')", "no other program"),
        ("open('big', 'wb').write(bytes(1 << 28))", "SIGXFSZ|File too large"),
    ],
    ids=["fails", "starts a program", "floods"],
)
def test_a_setup_script_that_fails_is_told_to_its_owner(sandbox: Bubblewrap, place: Path, script: str, problem: str):
    bundle = pack(place, "bad", {"mine.py": GOOD, "prepare.py": script},
                  class_path="mine.Good", setup_script="prepare.py")  # fmt: skip
    _, reports = play(place, [bundle], sandbox)
    assert re.search(problem, reports["bad"].failure)


def test_a_module_that_is_missing_is_told_to_its_owner(sandbox: Bubblewrap, place: Path):
    bundle = pack(place, "lost", {"mine.py": f"import no_such_thing\n{GOOD}"}, class_path="mine.Good")
    _, reports = play(place, [bundle], sandbox)
    assert "No module named 'no_such_thing'" in reports["lost"].failure


def test_the_probe_finds_that_every_wall_holds(sandbox: Bubblewrap):
    assert all(probe().walls.values()) and len(probe().walls) == 8


def test_without_bubblewrap_no_code_is_run_and_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"no code of strangers can be run here: .*apt-get install bubblewrap"):
        probe().required()


def test_a_bubblewrap_that_cannot_build_walls_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "No permissions to create new namespace); it needs user namespaces" in probe().problem


def test_walls_that_do_not_hold_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A bubblewrap that builds nothing, and only runs the command."""
    (tmp_path / "bwrap").write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 7\nexec "$@"\n')
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = probe()
    assert found.sandbox is None and "the sandbox does not hold: processes" in found.problem


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_of_system_calls_are_the_kernel_s(machine: str):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    column = MACHINES[machine][1]
    calls = {**REFUSED, **JUDGED}
    for name, numbers in calls.items():
        if numbers[column] is not None:
            assert known[name] == str(numbers[column]), name


def test_the_filter_is_a_program_for_this_machine():
    program = filter_program(platform.machine())
    assert len(program) % 8 == 0 and len(program) // 8 < 4096  # the kernel's limit
    assert probing.MACHINES.keys() == {"x86_64", "aarch64"}
