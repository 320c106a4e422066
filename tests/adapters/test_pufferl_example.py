"""The example trains with PufferLib's own trainer."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pufferlib")

ROOT = Path(__file__).parents[2]


def test_pufferls_trainer_learns_on_our_environments(tmp_path: Path):
    """In a process of its own: PufferLib's trainer takes over signals and warnings."""
    words = ["docs/examples/train_with_pufferl.py", "--steps", "20_000", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "20,480 agent-steps" in done.stdout and list(tmp_path.glob("*.pt"))
