"""The tools as they are started from a shell, and what they print for people."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Outcome

ROOT = Path(__file__).resolve().parents[2]
Runner = Callable[..., Outcome]


def _start(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_runner_starts_from_any_folder(tmp_path: Path) -> None:
    words = ["recipes.experiment.cogsguard.train", "run=demo", "trainer.batch_size=8192", "--dry-run"]
    done = _start(sys.executable, str(ROOT / "tools/run.py"), *words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("train demo:")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_packages_are_loaded_is_answered_in_a_word(tmp_path: Path) -> None:
    code = "from bootstrap import ensure_packages; ensure_packages(); raise KeyboardInterrupt"
    command = f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); {code}"
    done = _start(sys.executable, "-c", command, folder=tmp_path)
    assert done.returncode in (130, -2) and done.stderr == "interrupted\n"


@pytest.mark.skipif(not (ROOT / ".venv/bin/python").exists(), reason="needs the project's .venv")
def test_the_runner_is_executable_with_a_python_that_lacks_the_packages() -> None:
    done = _start("./tools/run.py", "cogsguard.train", "run=demo", "--dry-run", folder=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_leaves_no_traceback(tmp_path: Path) -> None:
    done = _start(sys.executable, str(ROOT / "tools/train.py"), "+user=example", "run=a/b", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: run")
    assert "Traceback" not in done.stderr


def test_composing_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv=['run.py','cogsguard.train','--dry-run']\n"
        "from metta.config.runner import run; run(sys.argv[1:])\n"
        "print('torch' in sys.modules)"
    )
    done = _start(sys.executable, "-c", code, folder=ROOT)
    assert done.stdout.splitlines()[-1] == "False"


def test_no_argument_lists_the_recipes(run: Runner) -> None:
    for argv in ([], ["--list"]):
        lines = run(*argv).out.splitlines()
        assert any("recipes.experiment.cogsguard.train" in line and "arena" in line for line in lines)


def test_a_list_narrows_to_a_job_or_a_module(run: Runner) -> None:
    assert [line.split()[0] for line in run("train", "--list").out.splitlines()] == [
        "recipes.experiment.cogsguard.train",
        "recipes.experiment.machina1_cloner.train",
    ]
    assert len(run("cogsguard", "--list").out.splitlines()) >= 3


def test_help_shows_parameters_keys_defaults_and_meanings(run: Runner) -> None:
    outcome = run("cogsguard.tutorial", "--help")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["role", "aligner", "(aligner", "|", "scout", "|", "scrambler", "|", "miner)"] in lines
    assert ["trainer.total_timesteps", "8_000_000", "agent-steps", "to", "train", "for"] in lines
    assert any(line[:2] == ["mission.cog.heart_limit", "3"] for line in lines)
    assert any(line[:2] == ["teacher.policy_uri", "required"] for line in lines)
    assert any(line[:2] == ["agent", "fast,"] for line in lines)


def test_help_without_a_recipe_shows_the_flags(run: Runner, train: Runner) -> None:
    for outcome in (run("--help"), train("--help")):
        assert outcome.code == 0
        assert "--dry-run" in outcome.out
