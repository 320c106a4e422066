"""What trials are given, when they are stopped, and when there are no more."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.sweep.plan import Plan
from metta.sweep.results import read_results, trial_table
from metta.sweep.storage import open_store
from metta.sweep.study import Outcome, Spent, Sweep, Taken, goes_on_by_cost, grid
from metta.sweep.watch import Watch
from metta.sweep.worker import work
from tests.sweep.conftest import MakePlan
from tests.sweep.dummy import dummy, score

Trial = Callable[[Sweep, Taken, Callable[[], bool]], Outcome]


def ran(plan: Plan, run: Trial | None = None) -> list[dict]:
    """The values of the trials of a sweep that has been run to its end."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(plan, open_store(plan))
    work(sweep, lambda: False, run or dummy(0, plan.folder / "told.jsonl"))
    return [trial.values for trial in read_results(plan).trials]


def test_the_same_seed_gives_the_same_trials_and_another_gives_others(make_plan: MakePlan) -> None:
    first, again, other = (ran(make_plan(name, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again != other


def test_the_search_finds_more_than_the_baseline_has(make_plan: MakePlan) -> None:
    plan = make_plan(budget={"trials": 25}, random_trials=5)
    ran(plan)
    results = read_results(plan)
    assert results.baseline and results.baseline.score == score({})
    assert (results.best.score or 0) > 0.99


def test_a_sweep_goes_on_when_its_budget_grows_and_not_with_another_plan(make_plan: MakePlan) -> None:
    small = ran(make_plan(budget={"trials": 3}))
    assert ran(make_plan(budget={"trials": 5}))[:3] == small
    with pytest.raises(UserError, match="was begun with other parameters; run=NAME begins another"):
        ran(make_plan(parameters={"x": {"uniform": [0, 2]}}))


@pytest.mark.parametrize(("budget", "trials"), [({"agent_steps": 301}, 4), ({"hours": 2.5 / 3600}, 3)])
def test_no_trial_begins_once_the_budget_is_spent(make_plan: MakePlan, budget: dict, trials: int) -> None:
    assert len(ran(make_plan(budget=budget))) == trials


def test_money_is_counted_by_the_hourly_cost(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METTA_HOURLY_COST", "3600")
    assert len(ran(make_plan(budget={"money": 2.5}))) == 3  # a trial takes a second


def test_a_parameter_is_given_only_where_it_matters(make_plan: MakePlan) -> None:
    parameters = {"b": {"uniform": [0, 1], "when": {"a": "yes"}}, "a": {"choice": ["yes", "no"]}}
    values = ran(make_plan(parameters=parameters, budget={"trials": 12}))[1:]
    assert {one["a"] for one in values} == {"yes", "no"}
    assert all(("b" in one) == (one["a"] == "yes") for one in values)


def test_a_grid_has_every_combination_once_and_then_ends(make_plan: MakePlan) -> None:
    parameters = {"a": {"int": [1, 3]}, "b": {"choice": ["u", "v"], "when": {"a": [2, 3]}}}
    plan = make_plan(mode="grid", parameters=parameters, budget={})
    assert ran(plan) == [{}, *grid(plan)]
    assert grid(plan) == [{"a": 1}, *({"a": a, "b": b} for a in (2, 3) for b in "uv")]


def test_a_failed_trial_is_told_and_is_not_the_end(make_plan: MakePlan) -> None:
    def fails(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
        odd = taken.number % 2
        return Outcome(problem="training diverged") if odd else Outcome(score=score(taken.values))

    plan = make_plan()
    ran(plan, fails)
    results = read_results(plan)
    assert [trial.state for trial in results.trials] == ["finished", "failed"] * 3
    assert "failed: training diverged" in trial_table(results, every=True)


def test_a_problem_of_every_trial_ends_the_sweep_and_loses_nothing(make_plan: MakePlan) -> None:
    def hopeless(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
        return Outcome(problem="no such metric", hopeless=True, cut=True)

    plan = make_plan()
    with pytest.raises(UserError, match="no such metric; trial 0 goes on once that is put right"):
        ran(plan, hopeless)
    assert [trial.state for trial in read_results(plan).trials] == ["cut"]
    assert len(ran(plan)) == 6


def curve(plan: Plan, taken: Taken, values: Sequence[float]) -> Path:
    """The metrics of a run that reports these values every 100 agent-steps."""
    path = plan.folder / f"{taken.number}.jsonl"
    rows = (
        f'{{"metric/agent_step": {100 * (k + 1)}, "metric/total_time": {k + 1}, "overview/reward": {one}}}\n'
        for k, one in enumerate(values)
    )
    path.write_text("".join(rows))
    return path


def climbs(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
    """A run whose reward grows to its score."""
    watch, final = Watch(sweep, taken), score(taken.values)
    watch(curve(sweep.plan, taken, [final * (k + 1) / 9 for k in range(9)]))
    if watch.pruned_at is not None:
        return Outcome(score=watch.score, pruned_at=watch.pruned_at, spent=Spent(watch.pruned_at, 1.0))
    cost = 1.0 if sweep.plan.sweep.mode == "pareto" else None
    return Outcome(score=final, cost=cost, spent=Spent(900, 9.0))


@pytest.mark.parametrize("mode", ["asha", "pareto"])
def test_poor_trials_are_stopped_at_rungs_and_the_baseline_is_not(make_plan: MakePlan, mode: str) -> None:
    plan = make_plan(mode=mode, budget={"trials": 18}, random_trials=9, objective={"take": "last"})
    assert plan.rungs == [100, 300]
    ran(plan, climbs)
    results = read_results(plan)
    stopped = [trial for trial in results.trials if trial.pruned_at]
    assert results.baseline and results.baseline.state == "finished"
    assert stopped and {trial.pruned_at for trial in stopped} <= {100, 300}
    assert {trial.state for trial in results.trials} == {"finished", "stopped early"}
    worst = min(trial.score or 0 for trial in results.finished if not trial.baseline)
    assert all(score(trial.values) < max(worst, results.best.score or 0) for trial in stopped)


def test_what_a_watch_decides_does_not_depend_on_when_it_looks(make_plan: MakePlan) -> None:
    def in_steps(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
        watch, final = Watch(sweep, taken), score(taken.values)
        for k in range(9):
            watch(curve(sweep.plan, taken, [final * (j + 1) / 9 for j in range(k + 1)]))
        return (
            climbs(sweep, taken, stop) if watch.pruned_at is None else Outcome(watch.score, pruned_at=watch.pruned_at)
        )

    plans = [make_plan(name, mode="asha", budget={"trials": 12}, objective={"take": "last"}) for name in "ab"]
    ran(plans[0], climbs), ran(plans[1], in_steps)
    found = [[(t.values, t.state, t.pruned_at) for t in read_results(plan).trials] for plan in plans]
    assert found[0] == found[1]


def test_pareto_keeps_what_is_among_the_best_or_cheaper_than_all_that_are_as_good(make_plan: MakePlan) -> None:
    plan = make_plan(mode="pareto")
    ended = [(5.0, 1.0)]  # cost 10
    assert goes_on_by_cost(3.0, 100.0, [1.0, 2.0, 2.5], ended, plan)  # the best at its rung
    assert goes_on_by_cost(1.0, 5.0, [2.0, 3.0, 4.0], ended, plan)  # has cost less so far
    assert not goes_on_by_cost(1.0, 20.0, [2.0, 3.0, 4.0], ended, plan)


def test_the_front_holds_what_none_outdoes(make_plan: MakePlan) -> None:
    told = iter([(1.0, 10.0), (2.0, 20.0), (0.5, 15.0), (3.0, 100.0), (2.0, 25.0), (0.9, 1.0)])

    def known(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
        value, cost = next(told)
        return Outcome(score=value, cost=cost)

    plan = make_plan(mode="pareto")
    ran(plan, known)
    assert [trial.number for trial in read_results(plan).front] == [5, 0, 1, 3]
