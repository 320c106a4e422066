"""A bound in time: counted from the end of the first epoch, agreed on, and gone on from as if nothing had been."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metta.eval.in_training import train
from metta.policy.stored.uri import find_bundle
from metta.rl.run.metrics import read_metrics
from metta.rl.run.time_limit import TimeLimit
from metta.rl.settings import RunConfig
from metta.rl.world import World
from tests.rl.ranks import run_ranks

Config = Callable[..., RunConfig]
AT_ONCE = 1e-9  # minutes: over with the second epoch, as the first starts the clock


def test_the_first_epoch_only_starts_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = TimeLimit(5)
    now[0] += 3000  # what it takes to compile
    assert (limit.left, limit.share, limit.over) == (300, 0, False)
    seen = []
    for seconds in (0, 100, 199, 1):
        now[0] += seconds
        limit.end_epoch()
        seen.append((limit.left, limit.over))
    assert seen == [(300, False), (200, False), (1, False), (0, True)] and limit.share == 1


def test_without_minutes_it_never_ends() -> None:
    limit = TimeLimit(None)
    for _ in range(3):
        limit.end_epoch()
    assert (limit.left, limit.share, limit.over) == (None, 0, False)


def _ends(world: World) -> list[bool]:
    limit, ends = TimeLimit(AT_ONCE if world.leads else 5, world), []
    for _ in range(2):
        limit.end_epoch()
        ends.append(limit.over)
    return ends


def test_processes_end_together_by_the_clock_of_the_first() -> None:
    assert run_ranks(2, _ends) == [[False, True]] * 2


def test_a_run_that_time_has_ended_goes_on_bit_for_bit_for_as_long_again(
    config: Config, capsys: pytest.CaptureFixture
) -> None:
    whole, bounded = config(run="whole"), config(run="bounded", trainer={"max_minutes": AT_ONCE})
    train(whole)
    first = train(bounded)
    assert (first.epoch, first.finished, first.stopped) == (2, False, False)
    assert first.checkpoint and first.checkpoint.name == "bounded:v2"
    assert "; its 1e-09 minutes are over (trainer.max_minutes)" in capsys.readouterr().out
    assert train(bounded).finished
    one, other = (find_bundle(str(Path(whole.system.data_dir, name))).weights for name in ("whole", "bounded"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_last_epoch_in_time_is_evaluated(config: Config) -> None:
    run = config(evaluator={"epoch_interval": 100, "episodes": 1}, trainer={"max_minutes": AT_ONCE})
    train(run)
    rows = read_metrics(Path(run.system.data_dir, "tiny", "metrics.jsonl"))
    assert [row["metric/epoch"] for row in rows if "eval_training/reward" in row] == [2]


def test_phases_share_the_time_of_a_command(config: Config) -> None:
    run = config(
        phases={"a": {"total_timesteps": 512}, "b": {"total_timesteps": 2048}}, trainer={"max_minutes": AT_ONCE}
    )
    summaries = [train(run) for _ in range(3)]
    assert [(summary.run, summary.epoch) for summary in summaries] == [("tiny.b", 1), ("tiny.b", 3), ("tiny.b", 4)]
    assert [summary.finished for summary in summaries] == [False, False, True]
