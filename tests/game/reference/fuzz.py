"""Hunting for a case in which engine and reference disagree, and making it small."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as with_seed

from tests.game.reference.cases import Case, cases


@dataclass(frozen=True)
class Finding:
    """The smallest case that fails, and how."""

    case: Case
    error: Exception

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}\nreproduce: tools/fuzz.py --case '{self.case.to_json()}'"


def hunt(seed: int, examples: int, play: Callable[[Case], object] = Case.play) -> Finding | None:
    """Play `examples` random cases; the first that fails is shrunk."""
    last: list[Case] = []

    @with_seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(cases())
    def attempt(case: Case) -> None:
        last[:] = [case]
        play(case)

    try:
        attempt()
    except Exception as error:  # whatever goes wrong in play is a finding; the last case played is the smallest
        return Finding(last[0], error)
    return None
