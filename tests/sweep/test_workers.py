"""Workers that come, go and are killed, on both storages: no trial is lost, none runs twice to its end."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metta.common.jsonl import read_rows
from metta.sweep.plan import Plan
from metta.sweep.results import read_results
from tests.sweep.conftest import MakePlan
from tests.sweep.dummy import HELD, TOLD, score

ROOT = Path(__file__).parents[2]
LIMIT = 120.0  # seconds until a test gives up
Working = Callable[..., "Workers"]


class Workers:
    """Processes that work on a plan."""

    def __init__(self, plan: Plan, seconds: float) -> None:
        plan.folder.mkdir(parents=True, exist_ok=True)
        self.plan, self._seconds = plan, seconds
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.sweep.dummy", str(self._seconds)]
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert worker.stdin
        with worker.stdin as stdin:
            stdin.write(self.plan.model_dump_json(by_alias=True))
        self.running.append(worker)
        return worker

    def hold(self, number: int) -> Path:
        """Have trials from a number on wait; returns the file whose removal lets them go on."""
        path = self.plan.folder / HELD
        path.write_text(str(number))
        return path

    def told(self, what: str) -> list[dict]:
        path = self.plan.folder / TOLD
        return [row for row in read_rows(path) if row["what"] == what] if path.exists() else []

    def until(self, count: int, what: str) -> None:
        """Wait until so many trials are told to begin or end."""
        deadline = time.monotonic() + LIMIT
        while len(self.told(what)) < count:
            assert time.monotonic() < deadline, f"{count} trials: {what}"
            time.sleep(0.02)

    def wait(self) -> None:
        for worker in self.running:
            assert worker.wait(LIMIT) in (0, -signal.SIGKILL)


@pytest.fixture(params=["journal", "postgres"])
def storage(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
def working() -> Iterator[Callable[[Plan, float], Workers]]:
    """Workers on a plan, none of which outlives the test."""
    found: list[Workers] = []

    def work(plan: Plan, seconds: float = 0.1) -> Workers:
        found.append(Workers(plan, seconds))
        return found[-1]

    yield work
    for worker in (worker for workers in found for worker in workers.running):
        worker.kill()
        worker.wait()


@pytest.fixture
def workers(make_plan: MakePlan, storage: str | None, working: Working, request: pytest.FixtureRequest) -> Workers:
    name = request.node.name.partition("[")[0]
    return working(make_plan(name, budget={"trials": 10}, storage=storage, lost_after=2))


def test_a_killed_workers_trial_is_given_to_another(workers: Workers) -> None:
    held = workers.hold(3)
    first, _ = workers.start(), workers.start()
    workers.until(5, "begins")  # each has one
    first.kill()
    held.unlink()
    workers.wait()
    trials = read_results(workers.plan).trials
    assert [(trial.number, trial.state) for trial in trials] == [(number, "finished") for number in range(10)]
    assert Counter(row["trial"] for row in workers.told("ends")) == Counter(range(10))


def test_a_sweep_whose_only_worker_was_killed_goes_on_with_the_same_values(
    workers: Workers, working: Working, make_plan: MakePlan
) -> None:
    held = workers.hold(3)
    first = workers.start()
    workers.until(4, "begins")
    first.kill()
    first.wait()
    held.unlink()
    workers.start()
    workers.wait()
    whole = working(make_plan("whole", budget={"trials": 10}), 0)
    whole.start()
    whole.wait()
    values = [[trial.values for trial in read_results(one.plan).trials] for one in (workers, whole)]
    assert values[0] == values[1]
    assert len(values[0]) == 10 and values[0][0] == {}  # the baseline


def test_what_is_told_is_what_the_values_came_to(workers: Workers) -> None:
    workers.start(), workers.start()
    workers.wait()
    results = read_results(workers.plan)
    assert [trial.score for trial in results.trials] == [score(trial.values) for trial in results.trials]
    assert results.best.score == max(score(trial.values) for trial in results.trials)


def test_workers_pull_trials_from_a_database_without_waiting_for_each_other(
    make_plan: MakePlan, working: Working, postgres: str
) -> None:
    many = working(make_plan("many", budget={"trials": 40}, storage=postgres, random_trials=20), 0.5)
    for _ in range(4):
        many.start()
    many.wait()
    ends = many.told("ends")
    assert Counter(row["trial"] for row in ends) == Counter(range(40))
    assert len({row["worker"] for row in ends}) == 4
    begins, ended = ({row["trial"]: row["time"] for row in many.told(what)} for what in ("begins", "ends"))
    batches = [range(start, start + 4) for start in range(20, 36, 4)]
    assert any(begins[batch[-1] + 1] < max(ended[number] for number in batch) for batch in batches)  # no barrier
