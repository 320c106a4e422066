"""Collapse is told once; learning well is not taken for it."""

import json
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from metta.rl.run.collapse import CollapseWatch
from metta.rl.run.metrics import Metrics, read_metrics
from metta.rl.settings import RunConfig
from metta.rl.trainer import train

Config = Callable[..., RunConfig]
Err = pytest.CaptureFixture[str]
PPO = ("ppo_actor", "ppo_critic")


def watch(losses: tuple[str, ...] = PPO, gamma: float = 0.99) -> CollapseWatch:
    return CollapseWatch("r", 4, gamma, losses)


def epochs(*rows: tuple[float, float], **others: float) -> list[Metrics]:
    """Lines of a run whose policy has that share of entropy and earns that reward per step."""
    return [
        {
            "metric/epoch": epoch,
            "experience/entropy": share * math.log(4),
            "experience/rewards": reward,
            "experience/rewards_abs_max": 1.0,
            "experience/values_abs": 5.0,
            **others,
        }
        for (share, reward), epoch in zip(rows, count(1))
    ]


def told(watch: CollapseWatch, rows: list[Metrics], err: Err) -> list[str]:
    for row in rows:
        watch(row)
    return err.readouterr().err.splitlines()


def test_no_entropy_and_no_gain_is_told_once_with_its_epoch(capsys: Err) -> None:
    (line,) = told(watch(), epochs((0.9, 0.2), (0.3, 0.1), (1e-5, 0.1), (0.0, 0.05), (0.0, 0.2)), capsys)
    assert line.startswith("warning: run=r: epoch 3: the policy has collapsed: its entropy is 1e-05")


def test_collapsing_again_after_recovery_is_told_again(capsys: Err) -> None:
    rows = epochs((0.9, 0.2), (0.0, 0.1), (0.005, 0.1), (0.0, 0.1), (0.4, 0.2), (0.0, 0.1))
    assert [line.split(": ")[2] for line in told(watch(), rows, capsys)] == ["epoch 2", "epoch 6"]


@pytest.mark.parametrize("scale", [1.0, 1e-4, -1.0])
def test_a_policy_that_found_out_what_to_do_is_left_alone(scale: float, capsys: Err) -> None:
    rewards = sorted((0.1 * scale, 0.3 * scale, 0.5 * scale))
    assert told(watch(), epochs(*zip((0.9, 0.05, 1e-6), rewards, strict=True)), capsys) == []


def test_a_gain_may_lie_in_longer_episodes(capsys: Err) -> None:
    """CartPole pays 1 per step whatever is done."""
    lines = epochs((0.9, 1.0), (0.3, 1.0), (0.0, 1.0))
    for line, reward in zip(lines, (20.0, 180.0, 500.0), strict=True):
        line["overview/reward"] = reward
    assert told(watch(), lines, capsys) == []


def test_a_policy_that_was_sure_from_the_start_is_left_alone(capsys: Err) -> None:
    assert told(watch(), epochs((0.02, 0.5), (1e-6, 0.5)), capsys) == []


def test_a_cloner_may_become_as_sure_as_its_teacher(capsys: Err) -> None:
    rows = epochs((0.9, 0.0), (1e-6, 0.0), **{"experience/values_abs": 1e9})
    assert told(watch(losses=("sliced_cloner",)), rows, capsys) == []


def test_values_that_rewards_cannot_add_up_to_are_told_once(capsys: Err) -> None:
    rows = epochs(*[(0.9, 0.2)] * 4, **{"losses/value_loss": 7e11})
    for row, values in zip(rows, (90.0, 900.0, 1100.0, 1e6), strict=True):  # 1 / (1 - 0.99) = 100
        row["experience/values_abs"] = values
    (line,) = told(watch(), rows, capsys)
    assert "epoch 3: the critic has lost its way (losses/value_loss 7e+11): it expects 1.1e+03" in line


def test_the_largest_reward_so_far_counts_and_a_critic_without_rewards_may_guess(capsys: Err) -> None:
    rows = epochs(*[(0.9, 0.0)] * 3, **{"experience/rewards_abs_max": 0.0})
    for row, peak, values in zip(rows, (0.0, 50.0, 0.0), (3.0, 4000.0, 4000.0), strict=True):
        row |= {"experience/rewards_abs_max": peak, "experience/values_abs": values}
    assert told(watch(), rows, capsys) == []


def test_what_was_told_before_a_stop_is_not_told_again(capsys: Err) -> None:
    rows = epochs((0.9, 0.2), (0.0, 0.1), (0.0, 0.1))
    assert len(told(watch(), rows[:2], capsys)) == 1
    resumed = watch()
    resumed.recall([*rows[:2], {"experience/entropy": None}])
    assert told(resumed, rows[2:], capsys) == []
    assert resumed(rows[2])["collapse/signs"] == 1


def test_steps_far_too_large_are_told_and_counted_in_the_metrics(config: Config, capsys: Err) -> None:
    settings = config(trainer={"optimizer": {"learning_rate": 3e5}})
    assert train(settings).finished
    err = capsys.readouterr().err
    assert err.count("the critic has lost its way") == 1 and err.count("the policy has collapsed") <= 1
    lines = read_metrics(Path(settings.system.data_dir) / "tiny" / "metrics.jsonl")
    assert lines[0]["collapse/values"] > 10 and lines[-1]["collapse/entropy"] < 1e-3, json.dumps(lines[-1])
    assert lines[-1]["collapse/signs"] >= 1


def test_an_ordinary_run_warns_of_nothing(config: Config, capsys: Err) -> None:
    settings = config()
    train(settings)
    assert capsys.readouterr().err == ""
    (*_, last) = read_metrics(Path(settings.system.data_dir) / "tiny" / "metrics.jsonl")
    assert last["collapse/entropy"] > 0.5 and last["collapse/values"] < 1 and last["collapse/signs"] == 0
