"""Several jobs of one command: what fails, what is stopped, and what is told of it at the end."""

from collections.abc import Callable

import pytest

from metta.common.errors import UserError
from metta.config.composition import Composed, compose
from metta.config.in_turn import run_in_turn
from metta.config.recipes import resolve
from metta.config.words import parse_word


@pytest.fixture(scope="module")
def jobs() -> list[Composed]:
    recipe = resolve(["cogsguard.train"])
    return [compose(recipe, [parse_word(f"run={name}")]) for name in "abc"]


def raising(error: BaseException) -> Callable[[], tuple[int, bool, bool]]:
    def execute() -> tuple[int, bool, bool]:
        raise error

    return execute


OUTCOMES: list[tuple[Callable[[], tuple[int, bool, bool]], int, str, bool]] = [
    (lambda: (0, False, True), 0, "finished", True),
    (lambda: (0, False, False), 0, "not finished: its time was up", True),
    (lambda: (76, False, False), 76, "failed, exit code 76: see above", True),
    (lambda: (0, True, False), 0, "stopped", False),
    (lambda: (143, True, False), 143, "stopped", False),
    (raising(UserError("no such file")), 2, "failed, exit code 2: no such file", True),
    (raising(ZeroDivisionError("division by zero")), 1, "failed, exit code 1: division by zero", True),
    (raising(KeyboardInterrupt()), 130, "stopped", False),
]


@pytest.mark.parametrize(("outcome", "code", "ended", "goes_on"), OUTCOMES)
def test_all_jobs_run_but_those_behind_one_that_somebody_stopped(
    jobs: list[Composed],
    capsys: pytest.CaptureFixture[str],
    outcome: Callable[[], tuple[int, bool, bool]],
    code: int,
    ended: str,
    goes_on: bool,
) -> None:
    worst = run_in_turn(jobs, lambda job: outcome() if job is jobs[1] else (0, False, True))
    table = capsys.readouterr().out.splitlines()[-3:]
    assert worst == code
    last = "finished" if goes_on else "not started"
    assert [line.split("  ")[-1].strip() for line in table] == ["finished", ended, last]
    assert [line.split()[:2] for line in table] == [[f"{number}/3", "abc"[number - 1]] for number in (1, 2, 3)]


def test_the_exit_code_is_that_of_the_worst(jobs: list[Composed]) -> None:
    codes = iter([2, 76, 0])
    assert run_in_turn(jobs, lambda job: (next(codes), False, True)) == 76
