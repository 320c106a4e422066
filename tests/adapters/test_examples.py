"""The examples train with other libraries' own trainers."""

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
