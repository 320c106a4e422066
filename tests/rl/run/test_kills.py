"""`kill -9` in the midst of a save: what had been committed is there, whole, and the run ends as if it had not been."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from metta.eval.in_training import train
from metta.policy.stored.bundle import load_bundle
from metta.policy.stored.uri import list_versions
from metta.rl.run.checkpoint import Checkpointer
from metta.rl.run.metrics import read_metrics
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.snapshot import load_snapshot
from metta.rl.settings import RunConfig
from tests.rl.states import state_files
from tests.rl.test_trainer import without_clock

LONGEST_SAVE = 0.2  # seconds within which a kill comes after a save has begun
LIMIT = 120.0  # seconds until a save must have begun
# Children start from a process that has imported all this already.
STARTED = multiprocessing.get_context("forkserver")
STARTED.set_forkserver_preload(["metta.eval.in_training"])


def start(settings: RunConfig) -> BaseProcess:
    process = STARTED.Process(target=train_quietly, args=(settings,))
    process.start()
    return process


def train_quietly(settings: RunConfig) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    train(settings)


def kill_in_save(process: BaseProcess, run: Path, epoch: int, seconds: float) -> None:
    """Kill a run so long after it has begun to save an epoch."""
    until, begun = time.monotonic() + LIMIT, (run / "trainer_state" / f".partial-v{epoch}").exists
    while not begun() and not (run / "checkpoints" / f"{run.name}:v{epoch}").exists():
        assert process.is_alive() and time.monotonic() < until
        time.sleep(0.0005)
    time.sleep(seconds)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def newest_sound(run: Path) -> int:
    """The epoch that a run goes on from; every checkpoint and the newest states are whole."""
    epochs = [version.epoch for version in list_versions(run)]
    for epoch in epochs:
        load_bundle(run / "checkpoints" / f"{run.name}:v{epoch}")
    for epoch in epochs[-1:]:
        load_snapshot(run / "trainer_state" / f"v{epoch}")
    return epochs[-1] if epochs else 0


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_a_kill_in_a_save_costs_nothing_but_what_was_not_committed(
    config: Callable[..., RunConfig], tmp_path: Path, kills: int
) -> None:
    epochs, luck = 3 * kills + 2, random.Random(kills)
    evaluator = {"epoch_interval": 4, "episodes": 1}
    checkpointer = {"epoch_interval": 1, "keep_last": 3, "keep_best": 2}
    changes = {"trainer": {"total_timesteps": 512 * epochs}, "checkpointer": checkpointer, "evaluator": evaluator}
    whole = start(config(run="torn", **changes))
    whole.join()
    (tmp_path / "torn").rename(tmp_path / "whole")
    run, reached = tmp_path / "torn", 0
    for _ in range(kills):
        epoch = reached + luck.randint(2, 3)
        kill_in_save(start(config(run="torn", **changes)), run, epoch, luck.uniform(0, LONGEST_SAVE))
        before, reached = reached, newest_sound(run)
        assert before < epoch - 1 <= reached, f"killed while v{epoch} was saved, goes on from v{reached}"
    end = start(config(run="torn", **changes))
    end.join()
    assert (whole.exitcode, end.exitcode) == (0, 0)
    left, right = (contents(tmp_path / name, epochs) for name in ("whole", "torn"))
    assert left == right
    loaded = Checkpointer(RunFolder(run), config(**changes).checkpointer).load_newest()
    assert loaded and loaded[1].progress.epoch == epochs


def contents(run: Path, epoch: int) -> tuple[object, ...]:
    """What must be the same of two runs."""
    return (
        state_files(run / "trainer_state" / f"v{epoch}"),
        (run / "checkpoints" / f"torn:v{epoch}" / "model.safetensors").read_bytes(),
        sorted(entry.name for entry in (run / "checkpoints").iterdir()),
        (run / "best.json").read_text(),
        [without_clock(line) for line in read_metrics(run / "metrics.jsonl")],
    )
