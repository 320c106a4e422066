"""Commands as a shell starts them: with flags of Python's own, through links, in folders that are gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metta.cli import cogames

ROOT = Path(__file__).resolve().parents[2]
COGAMES = ["-m", "metta.cli.cogames"]
RUN = [str(ROOT / "tools/run.py")]


def started(*command: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def recipes() -> str:
    return started(*RUN, "--list").stdout


@pytest.mark.parametrize("flags", [["-I"], ["-P", "-OO"]])
def test_a_tool_starts_under_any_flags_of_python(recipes: str, flags: list[str]) -> None:
    done = started(*flags, *RUN, "--list")
    assert (done.returncode, done.stdout, done.stderr) == (0, recipes, "")
    assert "Train a policy on the whole game in the arena" in recipes


@pytest.mark.parametrize("words", [["--help"], ["policies"]])
def test_cogames_tells_the_same_without_docstrings(words: list[str]) -> None:
    told = started(*COGAMES, *words).stdout
    assert told and started("-OO", *COGAMES, *words).stdout == told


def test_the_checks_of_scripted_policies_lie_where_the_guides_type_them() -> None:
    names = ["rollout", "parity", "instrumented_audit"]
    links = [ROOT / "scripts" / f"run_cogsguard_{name}.py" for name in names]
    assert [link.resolve() for link in links] == [ROOT / "tools" / link.name for link in links]
    done = started("scripts/run_cogsguard_parity.py", "--steps", "0", PYTHONSAFEPATH="1")
    assert done.returncode == 2 and done.stderr.startswith("error: argument --steps: 0 is below 1")


def test_bad_input_of_a_script_is_one_line() -> None:
    script = "from metta.rl.util.policy_loader import load_policy_from_checkpoint as load; load('nosuch', 'cpu')"
    done = started("-c", script)
    assert done.returncode == 1 and done.stderr.startswith("error: policy 'nosuch': neither")
    assert done.stderr.count("\n") == 1


def test_log_level_debug_tells_where_words_went_and_what_is_behind_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert cogames.main(["--dry-run", "play", "-p", "nosuch"]) == 2
    first, *trace, last = capsys.readouterr().err.splitlines()
    assert (
        first == "mission=cogsguard_arena.basic: option of the group mission"
        and "Traceback (most recent call last):" in trace
    )
    assert last.startswith("error: policy 'nosuch': neither")


@pytest.mark.parametrize("command", [[*COGAMES, "play"], [*RUN, "cogsguard.train"]])
def test_a_working_folder_that_is_gone_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = started("-c", script, *command, folder=gone)
    assert done.returncode == 2
    assert done.stderr == "error: the working folder is gone: cd to one that is there\n"
