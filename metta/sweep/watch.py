"""A trial as it trains: its metrics are read as they are written, and it is compared with others at each rung."""

import math
from pathlib import Path

from metta.common.jsonl import is_number
from metta.config.run_job import STEP
from metta.sweep.study import Sweep, Taken
from metta.sweep.trial import new_rows


class Watch:
    """Called with the metrics file of a run again and again; true once the trial is to stop.

    What is decided follows from the rows alone, not from when they are looked at, so that a sweep can be repeated.
    """

    def __init__(self, sweep: Sweep, taken: Taken) -> None:
        self.pruned_at: int | None = taken.pruned_at  # agent-steps of the rung at which the trial was stopped
        self.score: float | None = None  # at the last rung
        self._sweep, self._taken, self._offset = sweep, taken, 0
        self._left = list(sweep.plan.rungs)
        self._values: dict[int, float] = {}  # by agent-steps: a run that goes on writes some rows again

    def __call__(self, path: Path) -> bool:
        rows, self._offset = new_rows(path, self._offset) if self._left else ([], 0)
        sweep, objective = self._sweep.plan.sweep, self._sweep.plan.sweep.objective
        for row in rows:
            steps, value, cost = (row.get(name, math.nan) for name in (STEP, objective.metric, sweep.cost))
            if is_number(steps) and is_number(value):
                self._values[steps] = value
            if self._values and is_number(steps) and self.pruned_at is None:
                self._compare(steps, cost if is_number(cost) else 0.0)
        return self.pruned_at is not None

    def _compare(self, steps: int, cost: float) -> None:
        while self._left and steps >= self._left[0] and self.pruned_at is None:
            rung = self._left.pop(0)
            self.score = self._sweep.plan.sweep.objective.reduced(list(self._values.values()))
            if not self._sweep.goes_on(self._taken, rung, self.score, cost):
                self.pruned_at = rung
