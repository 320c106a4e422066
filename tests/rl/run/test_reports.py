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
from metta.rl.run.metrics import EpisodeMetrics, Mean, MetricsFile, cost_metrics, hourly_cost, read_metrics
from metta.rl.run.progress import ProgressView
from metta.rl.world import ALONE

METRICS = {
    "metric/epoch": 3.0,
    "metric/agent_step": 3000.0,
    "timing_cumulative/sps": 100.0,
    "overview/sps": 120.0,
    "overview/reward": 1.25,
    "overview/heart_count": 0.5,
    "losses/policy_loss": -0.01,
    "timing_per_epoch/frac/env": 0.1,
    "timing_per_epoch/frac/inference": 0.3,
    "timing_per_epoch/frac/forward": 0.25,
    "timing_per_epoch/frac/backward": 0.25,
}


def episode(agent: dict[str, list[float]], collective: dict[str, dict[str, float]], returns: list[float]) -> Episode:
    stats = {name: np.array(values) for name, values in agent.items()}
    return Episode(0, 0, 0, 10, np.array(returns, np.float32), stats, collective, {"tokens_written": 4.0})


def test_plain_progress_is_a_line_now_and_then_and_always_the_last(capsys: pytest.CaptureFixture) -> None:
    with ProgressView("demo", 10_000, Console(file=io.StringIO())) as view:
        for epoch in (3, 4, 5):
            view.show(METRICS | {"metric/epoch": epoch})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 3", "epoch 5"]
    for part in ("3,000 steps (30.0%)", "120 steps/s", "1m10s left", "reward 1.250", "hearts 0.500", "learn 50%"):
        assert part in lines[0], part


def test_the_cost_of_a_run_is_shown_where_the_machines_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("METTA_HOURLY_COST", "10.0")
    cost = cost_metrics(hourly_cost(), seconds=1800, share_done=0.25)
    assert cost == {"monitor/cost": 5.0, "monitor/cost_projected": 20.0}
    with ProgressView("demo", 10_000, Console(file=io.StringIO())) as view:
        view.show(METRICS | cost)
    assert "1m10s left, cost 5.00 of 20.00, reward" in capsys.readouterr().out
    monkeypatch.delenv("METTA_HOURLY_COST")
    assert cost_metrics(hourly_cost(), 1800, 0.25) == {}


@pytest.mark.parametrize("cost", ["ten", "-1", "inf"])
def test_a_cost_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, cost: str) -> None:
    monkeypatch.setenv("METTA_HOURLY_COST", cost)
    with pytest.raises(UserError, match=f"METTA_HOURLY_COST={cost}: "):
        hourly_cost()


def test_live_progress_keeps_the_last_value_of_what_an_epoch_lacks() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with ProgressView("demo", 10_000, console) as view:
        view.show(METRICS)
        view.checkpoint = "v4"
        view.show({"metric/epoch": 4.0})
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
