"""A job as a function: what it returns, and the number it is judged by."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.config.run_job import run_job
from metta.runs.objective import EpisodesSettings, Objective

WORDS = ["env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "trainer=classic", "trainer.total_timesteps=4096"]
numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def rows(values: list[float]) -> list[dict]:
    """Every second epoch reports the metric."""
    return [row for value in values for row in ({"metric/epoch": 1}, {"overview/reward": value, "a": 1})]


@given(numbers, st.integers(1, 40))
def test_an_objective_is_the_last_the_best_or_the_mean_of_the_last_values(values: list[float], epochs: int) -> None:
    found = rows(values)
    assert Objective(take="last").of(found) == values[-1]
    assert Objective(take="best").of(found) == max(values)
    assert Objective(take="best", direction="minimize").of(found) == min(values)
    last = values[-epochs:]
    assert Objective(take="mean", epochs=epochs).of(found) == pytest.approx(sum(last) / len(last))


def test_a_metric_that_is_not_reported_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"reports no such metric \(did you mean overview/reward\?\)"):
        Objective(metric="overview/rewards").of(rows([1.0]))
    with pytest.raises(UserError, match="has reported nothing"):
        Objective().of([])


def test_a_job_returns_its_objective_or_says_why_there_is_none(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", reason="needs the extra 'gymnasium'")
    words = [*WORDS, f"system.data_dir={tmp_path}", "run=demo"]
    ended = run_job("cogsguard.train", words, Objective(take="last"))
    assert (ended.name, ended.state, ended.code, ended.problem) == ("demo", "finished", 0, "")
    assert ended.agent_steps == 4096 and ended.objective == ended.metrics["overview/reward"]
    judged = run_job("cogsguard.train", words, Objective(evaluation=EpisodesSettings(episodes=3)))
    low, high = judged.ci95
    assert judged.objective and low is not None and high is not None and low <= judged.objective <= high
    for objective in (Objective(metric="overview/rewrd"), Objective(evaluation=EpisodesSettings(metric="rewrd"))):
        wrong = run_job("cogsguard.train", words, objective)
        assert wrong.objective is None and wrong.unknown_metric and "did you mean" in wrong.problem


def test_a_job_that_fails_says_so_in_its_summary_and_one_that_cannot_be_composed_raises(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("no folder")
    failed = run_job("cogsguard.train", [*WORDS, f"system.data_dir={tmp_path / 'blocked'}", "run=demo"])
    assert (failed.state, failed.code, failed.objective) == ("failed", 2, None) and "blocked" in failed.problem
    with pytest.raises(UserError, match=r"unknown key 'trainr"):
        run_job("cogsguard.train", ["trainr.batch_size=1"])
