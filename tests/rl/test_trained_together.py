"""Whole runs by one, two and three processes: the same episodes, metrics and weights; and such runs resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metta.common.jsonl import read_rows
from metta.policy.stored.bundle import load_bundle
from metta.rl.run.run_folder import RunFolder
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from metta.rl.world import ALONE, World
from tests.rl.conftest import merge, tiny
from tests.rl.ranks import run_ranks

OF_THE_MACHINE = ("timing", "monitor/", "trainer_memory/", "metric/train_time", "metric/total_time", "overview/sps")
UPDATES = 10
NORM = "losses/gradient_norm"  # a sum over all weights of what float32 has rounded
# Adam divides by the size of gradients, and so shows how sums of next to nothing were rounded.
EPS = {"eps": 1e-5}
FEW = {
    "mission": {"max_steps": 20},
    "trainer": {"total_timesteps": UPDATES * 768, "batch_size": 768, "minibatch_size": 192, "optimizer": EPS},
    "training_env": {"num_envs": 6, "map_pool": 10},
    "checkpointer": {"epoch_interval": 4},
}
TEACHER = {"policy_uri": "role?miner=4", "teacher_led_proportion": 0.3, "student_led_proportion": 0.3}
NPCS = {"enabled": True, "npc_type": "scripted", "scripted_npc": {"policy_uri": "starter"}}
LEAGUE = {"enabled": True, "checkpoint_npcs": [{"path": "random"}], "league": {"mode": "prioritized"}}
# Nothing of it depends on trainer.total_timesteps.
UNSCHEDULED = {"sampling": {"method": "sequential"}, "optimizer": {"anneal_lr": False, **EPS}}
RUNS: dict[str, dict[str, Any]] = {
    "prioritized": {},
    "taught": {"teacher": TEACHER, "trainer": {"sampling": {"method": "sequential"}}},
    "beside": {"trainer": {"dual_policy": NPCS}},
    "league": {"trainer": {"dual_policy": LEAGUE, **UNSCHEDULED}},
    "tasks": {"curriculum": {"mission": {"max_steps": [10, 14, 20]}, "groups": 6, "tasks": 3, "episodes": 2}},
    "gtd_lambda": {"trainer": {"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}}, "teacher": TEACHER},
}


def config_of(folder: Path, name: str, **changes: Any) -> RunConfig:
    return tiny(folder, **merge(merge(FEW, RUNS[name]), {"run": name, **changes}))


def train_all(world: World, folder: Path) -> None:
    for name in RUNS:
        assert train(config_of(folder, name), world=world).finished


def metrics_of(run: Path) -> list[dict[str, float]]:
    lines = read_rows(run / "metrics.jsonl")
    return [{name: value for name, value in line.items() if not name.startswith(OF_THE_MACHINE)} for line in lines]


def weights_of(run: Path, epoch: int = UPDATES) -> dict[str, Tensor]:
    return load_bundle(RunFolder(run).checkpoint(epoch)).weights


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train_all(ALONE, folder)
    return folder


@pytest.mark.parametrize("size", [2, 3])
def test_processes_train_together_what_one_trains(size: int, alone: Path, tmp_path: Path) -> None:
    run_ranks(size, train_all, tmp_path)
    for name in RUNS:
        expected, found = metrics_of(alone / name), metrics_of(tmp_path / name)
        assert len(found) == len(expected) == UPDATES
        for before, now in zip(expected, found, strict=True):
            assert now.pop(NORM) == pytest.approx(before.pop(NORM), rel=1e-5), name
            assert now == pytest.approx(before, rel=1e-6, abs=1e-6), name
        weights = weights_of(alone / name)
        for key, part in weights_of(tmp_path / name).items():
            torch.testing.assert_close(part, weights[key], rtol=0, atol=1e-6, msg=f"{name}: {key}")


def league(world: World, folder: Path, *epochs: int) -> None:
    """Train to so many epochs, then on to as many as come next."""
    for total in epochs:
        train(config_of(folder, "league", trainer={"total_timesteps": total * 768}), world=world)


def test_processes_go_on_bit_for_bit_and_another_number_of_them_with_the_same_weights(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_ranks(2, league, whole, UPDATES)
    run_ranks(2, league, parts, 7, UPDATES)
    assert metrics_of(whole / "league") == metrics_of(parts / "league")
    weights = weights_of(parts / "league")
    assert all(torch.equal(part, weights[key]) for key, part in weights_of(whole / "league").items())
    capfd.readouterr()
    league(ALONE, parts, UPDATES + 1)
    assert "trained by 1 processes, before by 2; new episodes start" in capfd.readouterr().err
    assert len(metrics_of(parts / "league")) == UPDATES + 1
