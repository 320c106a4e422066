"""The examples train with other libraries' own trainers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("library", "example", "words", "told", "saved"),
    [
        ("pufferlib", "pufferl", ["--steps", "20_000"], "20,480 agent-steps", "*.pt"),
        (
            "stable_baselines3",
            "sb3",
            ["--steps", "2_000", "--envs", "4", "--max-steps", "50"],
            "2,048 agent-",
            "sb3.zip",
        ),
        ("torchrl", "torchrl", ["--steps", "800", "--max-steps", "50"], "800 agent-steps", "torchrl.pt"),
    ],
)
def test_a_trainer_of_another_library_trains_on_our_environments(
    library: str, example: str, words: list[str], told: str, saved: str, tmp_path: Path
) -> None:
    """In a process of its own: such trainers take over signals and warnings."""
    pytest.importorskip(library)
    command = [sys.executable, f"docs/examples/train_with_{example}.py", *words, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout and list(tmp_path.glob(saved))


@pytest.mark.soak
@pytest.mark.parametrize("seed", ["1", "42"])
def test_pufferl_learns(seed: str, tmp_path: Path) -> None:
    """300,000 agent-steps: the first episodes of one that acts at random return 0.2 to 0.6, with an error of 0.15."""
    pytest.importorskip("pufferlib")
    command = [sys.executable, "docs/examples/train_with_pufferl.py", "--steps", "300_000", "--seed", seed]
    done = subprocess.run([*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    found = re.search(r"first 16 episodes (\S+), of the last 16 (\S+)", done.stdout)
    assert found and float(found[1]) < 1 and float(found[2]) > 2, done.stdout
