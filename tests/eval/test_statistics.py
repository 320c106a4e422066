"""Intervals hold the mean as often as they say, and nothing is said where there is too little to say it of."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.eval.statistics import FEWEST, as_cells, intervals, paired, summaries, summarize, t_quantile

EVALUATIONS = 8000
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


def coverage(draw: Draw, mean: float, episodes: int) -> float:
    """How often the interval of so many episodes holds the true mean."""
    low, high = intervals(draw(np.random.default_rng(episodes), (EVALUATIONS, episodes))).T
    return float(np.mean((low <= mean) & (mean <= high)))


@pytest.mark.parametrize("episodes", [5, 6, 7, 9, 12, 25, 60])
@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda random, shape: random.normal(-3, 7, shape), -3),
        (lambda random, shape: random.exponential(40, shape), 40),
        (lambda random, shape: -random.exponential(0.01, shape), -0.01),
        (lambda random, shape: random.uniform(2, 3, shape), 2.5),
        (lambda random, shape: random.gamma(2, 3, shape), 6),
    ],
    ids=["normal", "exponential", "negative exponential", "uniform", "gamma"],
)
def test_from_five_episodes_on_an_interval_holds_the_mean_in_93_percent(draw: Draw, mean: float, episodes: int):
    assert coverage(draw, mean, episodes) >= 0.93


@pytest.mark.parametrize(("episodes", "least"), [(5, 0.9), (10, 0.91), (20, 0.92), (50, 0.935)])
def test_heavy_tails_cost_a_few_percent(episodes: int, least: float):
    assert coverage(lambda random, shape: random.lognormal(0, 1, shape), np.exp(0.5), episodes) >= least


@pytest.mark.parametrize("episodes", [5, 10, 20, 50])
def test_a_rare_score_is_missed_only_where_no_episode_showed_it(episodes: int):
    """One in ten scores 1: with all at 0 there is nothing to build an interval on, and it is not shown as one."""
    scores = (np.random.default_rng(7).random((EVALUATIONS, episodes)) < 0.1).astype(float)
    low, high = intervals(scores).T
    held, equal = (low <= 0.1) & (high >= 0.1), low == high
    assert equal.mean() == pytest.approx(0.9**episodes, abs=0.02)
    assert not held[equal].any() and held[~equal].mean() >= 0.97


def test_all_equal_is_no_certainty():
    equal = summarize([0.1] * 7)
    assert equal.ci95 == (0.1, 0.1) and equal.mean == 0.1 and as_cells(equal) == ("0.1", "all equal")
    assert as_cells(summarize([2.5])) == ("2.5", "–") and summarize([2.5]).ci95 == (None, None)


@pytest.mark.parametrize("episodes", [FEWEST, 6, 8, 10, 16, 30])
@pytest.mark.parametrize(
    "draw",
    [
        lambda random, shape: random.normal(0, 3, shape),
        lambda random, shape: random.exponential(1, shape) - random.exponential(1, shape),
        lambda random, shape: random.lognormal(0, 1, shape) - random.lognormal(0, 1, shape),
        lambda random, shape: random.choice([-1.0, 1.0], shape),
        lambda random, shape: random.choice([-1.0, 0.0, 1.0], shape, p=[0.1, 0.8, 0.1]),
    ],
    ids=["normal", "exponentials", "lognormals", "coins", "rare"],
)
def test_without_a_difference_one_is_told_in_at_most_5_percent(draw: Draw, episodes: int):
    rows = draw(np.random.default_rng(episodes), (EVALUATIONS // 4, episodes)).tolist()
    signs = [found.sign for found in summaries({str(k): row for k, row in enumerate(rows)}).values()]
    assert None not in signs and np.mean(np.array(signs) != 0) <= 0.05


def test_a_difference_is_told():
    assert summarize([3.1, 2.7, 3.4, 2.9, 3.3]).sign == 1 and summarize([-3.1, -2.7, -3.4, -2.9, -3.3]).sign == -1
    assert summarize([1.0] * 12).sign == 1 and summarize([0.0] * 12).sign == 0


@pytest.mark.parametrize("episodes", range(1, FEWEST))
def test_of_too_few_episodes_nothing_is_told(episodes: int):
    assert summarize([5 + 0.01 * k for k in range(episodes)]).sign is None


def test_differences_are_taken_by_seed():
    found = paired({4: 1.0, 5: 2.0, 6: 4.0}, {6: 1.0, 5: 1.5, 9: 7.0})
    assert found and found.per_episode == [0.5, 3.0] and found.mean == 1.75
    assert paired({4: 1.0}, {5: 1.0}) is None


@given(values)
def test_an_interval_holds_the_mean_of_its_episodes(found: list[float]):
    summary = summarize(found)
    low, high = summary.ci95
    assert low is not None and high is not None and low <= summary.mean <= high


@given(values, st.floats(0.1, 100), st.floats(-100, 100))
def test_an_interval_moves_with_unit_and_origin(found: list[float], unit: float, origin: float):
    low, high = intervals(np.round(found))
    mirrored, moved = intervals(-np.round(found)), intervals(unit * np.round(found) + origin)
    close = 1e-6 * (1 + high - low)
    assert mirrored == pytest.approx((-high, -low), abs=close)
    assert moved == pytest.approx((unit * low + origin, unit * high + origin), abs=unit * close, rel=1e-6)


def test_many_columns_at_once_are_as_one_by_one():
    columns = {f"metric {k}": np.random.default_rng(k).gamma(1, 2, 9).tolist() for k in range(40)}
    together = summaries(columns)
    for name, column in columns.items():
        assert together[name].ci95 == pytest.approx(summarize(column).ci95)
    assert summaries({}) == {}


def test_quantiles_are_those_of_the_tables():
    tables = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042, 120: 1.980, 1000: 1.962}
    assert {freedom: round(t_quantile(freedom), 3) for freedom in tables} == tables
