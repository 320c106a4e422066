"""Several jobs of one command: what fails, what is stopped, and what is told of it at the end."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from metta.common.errors import UserError
from metta.config.composition import Composed, compose
from metta.config.many import ended_table, run_many
from metta.config.recipes import resolve
from metta.config.run_job import Summary
from metta.config.words import parse_word
from metta.executors.settings import BasicSettings


@pytest.fixture(scope="module")
def jobs() -> list[Composed]:
    recipe = resolve(["cogsguard.train"])
    return [compose(recipe, [parse_word(f"run={name}")]) for name in "abc"]


def raising(error: BaseException) -> Callable[[], Summary]:
    def run() -> Summary:
        raise error

    return run


def ended(state: str, code: int = 0, problem: str = "") -> Callable[[], Summary]:
    return lambda: Summary("b", state, code, problem=problem, objective=None if code else 1.5)


OUTCOMES: list[tuple[Callable[[], Summary], int, str, bool]] = [
    (ended("finished"), 0, "finished", True),
    (ended("out of time"), 0, "not finished: its time was up", True),
    (ended("failed", 76, "ended with exit code 76"), 76, "failed, exit code 76: ended with exit code 76", True),
    (ended("stopped"), 0, "stopped", False),
    (ended("stopped", 143), 143, "stopped", False),
    (raising(UserError("no such file")), 2, "failed, exit code 2: no such file", True),
    (raising(ZeroDivisionError("division by zero")), 1, "failed, exit code 1: division by zero", True),
    (raising(KeyboardInterrupt()), 130, "stopped", False),
]


@pytest.mark.parametrize(("outcome", "code", "told", "goes_on"), OUTCOMES)
def test_all_jobs_run_but_those_behind_one_that_somebody_stopped(
    jobs: list[Composed],
    capsys: pytest.CaptureFixture[str],
    outcome: Callable[[], Summary],
    code: int,
    told: str,
    goes_on: bool,
) -> None:
    worst = run_many(jobs, BasicSettings(), lambda job: outcome() if job is jobs[1] else ended("finished")())
    table = capsys.readouterr().out.splitlines()[-3:]
    assert worst == code
    last = "finished" if goes_on else "not started"
    assert [line.split("  ")[-1].strip() for line in table] == ["finished", told, last]
    assert [line.split()[:2] for line in table] == [[f"{number}/3", "abc"[number - 1]] for number in (1, 2, 3)]


def test_the_exit_code_is_that_of_the_worst(jobs: list[Composed]) -> None:
    codes = iter([2, 76, 0])
    assert run_many(jobs, BasicSettings(), lambda job: ended("failed", next(codes))()) == 76


def test_the_table_has_the_number_that_each_job_came_to(jobs: list[Composed]) -> None:
    one, other = Summary("a", "finished", objective=2.5, agent_steps=4096, seconds=1.25), Summary("b", "finished")
    unknown = replace(other, problem="the run reports no such metric")
    lines = ended_table(jobs, [one, unknown, None]).splitlines()
    assert lines[0].split() == ["job", "name", "overview/reward", "agent-steps", "time", "(s)", "ended"]
    assert lines[2].split() == ["1/3", "a", "2.5", "4,096", "1.2", "finished"]
    assert lines[3].endswith("finished; the run reports no such metric") and lines[4].endswith("not started")
