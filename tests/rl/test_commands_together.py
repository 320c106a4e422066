"""One run on two processes by the real commands: by system.nproc, by torchrun, and with a process killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.rl.test_trained_together import metrics_of, weights_of

ROOT = Path(__file__).parents[2]
EPOCHS = 12
WORDS = (
    "recipes.experiment.cogsguard.train agent=lstm agent.hidden_size=16 mission=cogsguard_arena.basic "
    "mission.max_steps=20 "
    f"trainer.total_timesteps={EPOCHS * 768} trainer.batch_size=768 trainer.minibatch_size=192 trainer.bptt_horizon=8 "
    "training_env.num_envs=6 training_env.map_pool=10 checkpointer.epoch_interval=3 device=cpu system.threads=1"
).split()
LIMIT = 240
pytestmark = pytest.mark.slow


def command(run: str, folder: Path, *more: str, torchrun: bool = False) -> subprocess.Popen[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"] if torchrun else [sys.executable]
    words = [*start, "tools/run.py", *WORDS, f"run={run}", f"system.data_dir={folder}", *more]
    return subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ended(process: subprocess.Popen[str]) -> str:
    """What a command said; it must have succeeded."""
    said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    return said


def test_a_run_is_the_same_by_nproc_by_torchrun_and_with_a_process_killed_on_the_way(tmp_path: Path) -> None:
    said = ended(command("whole", tmp_path, "system.nproc=2"))
    assert said.count("2 processes, 6 environments x 8 agents") == 1
    ended(command("torchrun", tmp_path, torchrun=True))
    killed = command("killed", tmp_path, "system.nproc=2")
    until = time.monotonic() + LIMIT
    while not (tmp_path / "killed/checkpoints/killed:v3").is_dir():
        assert killed.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    ranks = sorted(psutil.Process(killed.pid).children(), key=lambda child: child.create_time())
    os.kill(ranks[1].pid, signal.SIGKILL)
    said = ended(killed)
    assert said.count("all start again from the last checkpoint (restart 1 of 3)") == 1 and "going on from v" in said
    for run in ("torchrun", "killed"):
        assert metrics_of(tmp_path / run) == metrics_of(tmp_path / "whole")
        weights = weights_of(tmp_path / run, EPOCHS)
        assert all(torch.equal(part, weights[key]) for key, part in weights_of(tmp_path / "whole", EPOCHS).items())
