"""A run that is stopped at any moment goes on as one that was never stopped: weights, state and metrics, bit by bit."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta.common import files
from metta.common.errors import UserError
from metta.eval.in_training import train
from metta.eval.playing import Progress
from metta.policy.stored.uri import list_versions
from metta.rl import trainer
from metta.rl.experience.rollout import Rollout
from metta.rl.learning.update import Updater
from metta.rl.run.metrics import MetricsFile, read_metrics
from metta.rl.settings import RunConfig
from tests.rl.states import state_files
from tests.rl.test_trainer import without_clock

Config = Callable[..., RunConfig]
ROOT = Path(__file__).parents[3]


def at(monkeypatch: pytest.MonkeyPatch, holder: Any, method: str, number: int, action: Callable[[], None]) -> None:
    """Have something happen before the nth call of a method."""
    original, calls = getattr(holder, method), 0

    def counted(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return original(*args)

    monkeypatch.setattr(holder, method, counted)


def contents(run: Path, epoch: int) -> tuple[bytes, dict[str, bytes], list[dict[str, float]]]:
    """What must be the same of two runs."""
    weights = run / "checkpoints" / f"{run.name}:v{epoch}" / "model.safetensors"
    return (
        weights.read_bytes(),
        state_files(run / "trainer_state" / f"v{epoch}"),
        [without_clock(line) for line in read_metrics(run / "metrics.jsonl")],
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Contents of the runs that nothing interrupted, by name."""
    return {}


LEARNERS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "league": {"trainer": {"dual_policy": {"enabled": True, "league": {"mode": "uniform"}}}},
    "taught": {"teacher": {"policy_uri": "role?miner=4", "teacher_led_proportion": 0.5, "student_led_proportion": 0.3}},
    "beside": {"trainer": {"dual_policy": {"enabled": True, "policy_a_percentage": 0.5, "npc_type": "scripted",
                                           "scripted_npc": {"policy_uri": "starter"}}}},
}  # fmt: skip
MOMENTS = {  # of 4 epochs with 8 steps and 4 minibatches each; an evaluation has 24 steps, a save 8 files
    "in the first batch": (Rollout, "_step", 3),
    "in a later batch": (Rollout, "_step", 19),
    "before the last step of a batch": (Rollout, "_step", 16),
    "before the first minibatch": (Updater, "_step", 5),
    "before the last minibatch": (Updater, "_step", 8),
    "in an evaluation": (Progress, "add", 30),
    "as metrics are written": (MetricsFile, "write", 3),
    "as a checkpoint is written": (files, "fsync_path", 6),
}


CASES = [("ppo", moment, patience) for moment in MOMENTS for patience in (0.0, 60.0)]
CASES += [
    (learner, moment, 0.0) for learner in ("taught", "beside", "league") for moment in MOMENTS if "batch" in moment
]


@pytest.mark.parametrize(("learner", "moment", "patience"), CASES)
def test_a_signal_at_any_moment_changes_nothing(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    whole: dict[str, Any],
    learner: str,
    moment: str,
    patience: float,
) -> None:
    evaluator = {"epoch_interval": 2, "episodes": 1}
    changes = {"evaluator": evaluator, "checkpointer": {"epoch_interval": 3}, "run": "torn", **LEARNERS[learner]}
    if learner not in whole:
        assert train(config(**changes)).finished
        whole[learner] = contents(tmp_path / "torn", 4)
        shutil.rmtree(tmp_path / "torn")
    monkeypatch.setattr(trainer, "PATIENCE", patience)
    with monkeypatch.context() as patched:
        holder, method, number = MOMENTS[moment]
        at(patched, holder, method, number, lambda: os.kill(os.getpid(), signal.SIGTERM))
        stopped = train(config(**changes))
    assert not stopped.finished or moment == "as a checkpoint is written"
    assert train(config(**changes)).finished
    assert contents(tmp_path / "torn", 4) == whole[learner]


def test_the_command_that_checks_interruptions_finds_none_that_matters() -> None:
    script = [sys.executable, "tools/check_resume.py", "--interruptions", "1", "--seed", "3"]
    words = ["trainer.total_timesteps=6_144", "trainer.losses.ppo_critic.critic_update=gtd_lambda"]
    process = subprocess.run([*script, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.splitlines()[-1].startswith("1 interruptions in 1 runs: ")


def delete_between_saves(folder: Path) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("save-"):
            thread.join()
    shutil.rmtree(folder)


def test_a_run_whose_folder_was_deleted_makes_it_anew(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    at(monkeypatch, Updater, "_step", 10, lambda: delete_between_saves(tmp_path / "gone"))
    changes = {"run": "gone", "trainer": {"total_timesteps": 2560}, "checkpointer": {"epoch_interval": 2}}
    assert train(config(**changes)).finished
    assert capsys.readouterr().err.count("is gone, and its checkpoints with it; made anew") == 1
    run = tmp_path / "gone"
    assert [version.epoch for version in list_versions(run)] == [3, 4, 5]
    assert [line["metric/epoch"] for line in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert (run / "config.yaml").is_file() and (run / "starts.jsonl").is_file()
    assert (run / ".lock").read_text() == ""
    assert train(config(**{**changes, "trainer": {"total_timesteps": 3072}})).epoch == 6


@pytest.mark.parametrize("file", [3, 6, 10])
def test_a_folder_that_is_deleted_while_a_checkpoint_is_written_is_made_anew(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: int
) -> None:
    at(monkeypatch, files, "fsync_path", file, lambda: shutil.rmtree(tmp_path / "gone"))
    changes = {"run": "gone", "trainer": {"total_timesteps": 2560}, "checkpointer": {"epoch_interval": 2}}
    assert train(config(**changes)).finished
    assert list_versions(tmp_path / "gone")[-1].epoch == 5
    assert train(config(**{**changes, "trainer": {"total_timesteps": 3072}})).epoch == 6


@pytest.mark.parametrize(
    ("name", "expected"), [(".lock", "its lock was removed; made anew"), ("metrics.jsonl", "is gone; made anew")]
)
def test_a_single_file_that_was_deleted_is_made_anew_and_the_rest_stays(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    name: str,
    expected: str,
) -> None:
    run = tmp_path / "tiny"
    at(monkeypatch, Updater, "_step", 10, (run / name).unlink)
    assert train(config(checkpointer={"epoch_interval": 1})).finished
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert [version.epoch for version in list_versions(run)] == [1, 2, 3, 4]
    assert [line["metric/epoch"] for line in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert len((run / "starts.jsonl").read_text().splitlines()) == 1


def test_a_run_whose_folder_moved_away_does_not_write_into_another_runs(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from metta.rl.run.run_lock import hold_lock

    others = []

    def replace() -> None:
        (tmp_path / "mine").rename(tmp_path / "moved")
        (tmp_path / "mine").mkdir()
        others.append(hold_lock(tmp_path / "mine"))
        others[0].__enter__()

    at(monkeypatch, Updater, "_step", 2, replace)
    with pytest.raises(UserError, match="run=mine: in use"):
        train(config(run="mine"))
    others[0].__exit__(None, None, None)
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == [".lock"]
