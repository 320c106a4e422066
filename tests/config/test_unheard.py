"""Training whose output nobody can read trains on; where the terminal is closed it is saved first."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

from metta.policy.stored.uri import list_versions
from metta.runs.local import LocalRuns
from metta.runs.run import Query

ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds until a run must have saved
WORDS = [
    *("cogsguard.train", "run=r", "agent=mlp", "mission.max_steps=24", "trainer.dual_policy.enabled=false"),
    *("trainer.total_timesteps=2048", "trainer.batch_size=512", "trainer.minibatch_size=256", "trainer.bptt_horizon=8"),
    *("checkpointer.epoch_interval=1", "training_env.num_workers=1", "system.device=cpu", "system.threads=1"),
]


def state_and_epoch(data: Path) -> tuple[str, int]:
    (run,) = LocalRuns(data).runs(Query())
    return run.state, list_versions(data / "r")[-1].epoch


def test_training_goes_on_where_its_reader_is_gone(tmp_path: Path) -> None:
    command = '"$0" tools/run.py "$@" | head -1; exit "${PIPESTATUS[0]}"'
    words = [*WORDS, f"system.data_dir={tmp_path}"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["bash", "-c", command, sys.executable, *words], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0
    assert state_and_epoch(tmp_path) == ("finished", 4)


def test_training_is_saved_where_its_terminal_is_closed(tmp_path: Path) -> None:
    words = [*WORDS, f"system.data_dir={tmp_path}", "trainer.total_timesteps=5_120_000"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "tools/run.py", *words])
    until = time.monotonic() + LIMIT
    while time.monotonic() < until and not list_versions(tmp_path / "r"):
        os.read(terminal, 65_536)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert state_and_epoch(tmp_path)[0] == "stopped"
