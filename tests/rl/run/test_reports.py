"""What a person sees of a run, and what the machine is asked for."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from metta.common.errors import UserError
from metta.game.engine.batch import Episode
from metta.rl.machine import choose_device
from metta.rl.run.metrics import (
    SCORE,
    SCORE_NOW,
    EpisodeMetrics,
    Mean,
    MetricsFile,
    cost_metrics,
    hourly_cost,
    read_metrics,
)
from metta.rl.run.progress import RECENT, ProgressView
from metta.rl.run.time_limit import TimeLimit
from metta.rl.world import ALONE

METRICS = {
    "metric/epoch": 3.0,
    "metric/agent_step": 3000.0,
    "metric/total_time": 90.0,
    "overview/sps": 120.0,
    "overview/reward": 1.25,
    "overview/heart_count": 0.5,
    "losses/policy_loss": -0.01,
    "timing_per_epoch/frac/env": 0.1,
    "timing_per_epoch/frac/inference": 0.3,
    "timing_per_epoch/frac/forward": 0.25,
    "timing_per_epoch/frac/backward": 0.25,
}


def view(console: Console | None = None, minutes: float | None = None) -> ProgressView:
    return ProgressView("demo", 10_000, TimeLimit(minutes), console or Console(file=io.StringIO()))


def at(epoch: int, step: float, seconds: float) -> dict[str, float]:
    return METRICS | {"metric/epoch": epoch, "metric/agent_step": step, "metric/total_time": seconds}


def episode(agent: dict[str, list[float]], collective: dict[str, dict[str, float]], returns: list[float]) -> Episode:
    stats = {name: np.array(values) for name, values in agent.items()}
    return Episode(0, 0, 0, 10, np.array(returns, np.float32), stats, collective, {"tokens_written": 4.0})


def test_plain_progress_is_a_line_now_and_then_and_always_the_last(capsys: pytest.CaptureFixture) -> None:
    with view() as shown:
        for epoch in (3, 4, 5):
            shown.show(at(epoch, 1000 * epoch, 30 * epoch))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 3", "epoch 5"]
    for part in ("3,000 steps (30.0%)", "120 steps/s", "reward 1.250 per episode", "hearts 0.500", "learn 50%"):
        assert part in lines[0], part


def test_what_is_left_follows_recent_epochs_and_never_the_first_which_compiles(capsys: pytest.CaptureFixture) -> None:
    with view() as shown:
        shown.show(at(1, 100, 3600))
    with view() as shown:
        for epoch in range(1, 4):
            shown.show(at(epoch, 100 * epoch, 3600 + epoch))
    with view() as shown:  # slow at first, then twice as fast for long enough
        for epoch in range(1, 10 + RECENT):
            shown.show(at(epoch, 100 * epoch, 3600 + 2 * min(epoch, 10) + max(0, epoch - 10)))
    ends = [line.partition(" left")[0].rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert ends == ["–", "–", "1m37s", "–", "0m41s"]


def test_of_time_and_steps_the_bound_that_is_nearer_is_shown(capsys: pytest.CaptureFixture) -> None:
    with view(minutes=60) as shown:
        shown.show(at(1, 1000, 10))
        shown.show(at(2, 2000, 20))
    with view(minutes=1 / 60) as shown:
        shown.show(at(1, 1000, 10))
        shown.show(at(2, 2000, 20))
    first, by_steps, by_time, again = capsys.readouterr().out.splitlines()
    assert "1h00m left" in first and "1m20s left" in by_steps and "(20.0%)" in by_steps
    assert "0m01s left" in by_time and "0m01s left" in again


def test_before_an_episode_is_over_the_reward_of_all_steps_is_shown(capsys: pytest.CaptureFixture) -> None:
    unfinished = {name: value for name, value in METRICS.items() if name != SCORE} | {SCORE_NOW: 0.75}
    with view() as shown:
        shown.show(unfinished)
        shown.show(at(4, 4000, 120))
    first, later = capsys.readouterr().out.splitlines()
    assert "left, no episode over yet, reward 0.750 per 1,000 agent-steps, " in first
    assert "left, reward 1.250 per episode, " in later and "over yet" not in later
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with view(console) as shown:
        shown.show(unfinished)
    screen = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "none over yet" in screen and "0.750" in screen


def test_the_cost_of_a_run_is_shown_where_the_machines_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("METTA_HOURLY_COST", "10.0")
    cost = cost_metrics(hourly_cost(), seconds=1800, share_done=0.25)
    assert cost == {"monitor/cost": 5.0, "monitor/cost_projected": 20.0}
    with view() as shown:
        shown.show(METRICS | cost)
    assert "left, cost 5.00 of 20.00, reward" in capsys.readouterr().out
    monkeypatch.delenv("METTA_HOURLY_COST")
    assert cost_metrics(hourly_cost(), 1800, 0.25) == {}


@pytest.mark.parametrize("cost", ["ten", "-1", "inf"])
def test_a_cost_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, cost: str) -> None:
    monkeypatch.setenv("METTA_HOURLY_COST", cost)
    with pytest.raises(UserError, match=f"METTA_HOURLY_COST={cost}: "):
        hourly_cost()


def test_live_progress_keeps_the_last_value_of_what_an_epoch_lacks() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with view(console) as shown:
        shown.show(METRICS)
        shown.checkpoint = "v4"
        shown.show({"metric/epoch": 4.0})
    screen = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    last = screen[screen.rindex("demo: 3,000 of 10,000") :]
    for part in ("1.250", "v4", "env 10%, inference 30%, learn 50%"):
        assert part in last, part


def test_statistics_are_means_over_agents_and_episodes_and_never_vanish() -> None:
    metrics = EpisodeMetrics(
        "arena.aligner", EpisodeMetrics.of_game(["cogs"]), [{"env_agent/scout.gained": 1.0, "losses/entropy": 2.0}]
    )
    first = episode({"heart.gained": [1, 3]}, {"cogs": {"aligned.junction.held": 8}}, [1, 2])
    second = episode({"miner.gained": [2, 0]}, {"clips": {"aligned.junction": 3}}, [0, 0])
    values = metrics([first, second])
    assert values["env_agent/heart.gained"] == values["overview/heart_count"] == 1.0
    assert values["env_agent/miner.gained"] == 0.5
    assert values["env_agent/scout.gained"] == values["env_agent/junction.aligned_by_agent"] == 0.0
    assert values["env_collective/cogs/aligned.junction.held"] == 4.0
    assert values["env_collective/clips/aligned.junction"] == 1.5
    assert values["overview/reward"] == values["env_per_label_rewards/arena.aligner"] == 0.75
    assert metrics([first])["env_agent/miner.gained"] == 0.0
    assert metrics([]) == {}


def test_metrics_are_means_of_what_was_reported() -> None:
    mean = Mean()
    for value in (1.0, 3.0):
        mean.add({"loss": torch.tensor(value)})
    mean.add({"rare": torch.tensor(5.0)})
    assert mean.read("losses/", ALONE) == {"losses/loss": 2.0, "losses/rare": 5.0}


def test_the_metrics_file_survives_a_torn_line_and_holds_json_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"metric/epoch": 1, "a": 1.0}\n{"metric/epoch": 2, "a": 2.0}\n{"metric/ep')
    file = MetricsFile(path, epoch=1)
    file.write({"metric/epoch": 2, "a": float("nan")})
    file.close()
    assert read_metrics(path) == [{"metric/epoch": 1, "a": 1.0}, {"metric/epoch": 2, "a": None}]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UserError, match=r"system\.device=cuda.*it has cpu"):
        choose_device("cuda")
