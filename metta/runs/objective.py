"""What a job is judged by: one number of its run, or the mean of episodes that its policy plays afterwards."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from metta.common.defaults import EPISODES, SCORE
from metta.common.errors import UserError, suggest
from metta.common.jsonl import Row, is_number
from metta.common.settings import Settings


class EpisodesSettings(Settings):
    """Episodes that the trained policy plays."""

    metric: str = Field(default="reward", description="metric of the evaluation")
    episodes: PositiveInt = Field(default=EPISODES, description="episodes to play")
    seed: NonNegativeInt = Field(
        default=2_000_000, description="seed of the first; others than those by which the result is judged in the end"
    )


class Objective(Settings):
    """A metric of the run, reduced to one number; with `evaluation`, the result of that counts in the end."""

    metric: str = Field(default=SCORE, description="metric that the run reports while it trains")
    take: Literal["last", "best", "mean"] = Field(default="mean", description="which of its values, or their mean")
    epochs: PositiveInt = Field(default=10, description="how many of the last values the mean is of")
    direction: Literal["maximize", "minimize"] = Field(default="maximize", description="what is better")
    evaluation: EpisodesSettings | None = Field(default=None, description="episodes after training; null: none")

    @property
    def higher_is_better(self) -> bool:
        return self.direction == "maximize"

    def reduced(self, values: Sequence[float]) -> float:
        """One number of the values so far, of which there is at least one."""
        if self.take == "last":
            return values[-1]
        if self.take == "best":
            return max(values) if self.higher_is_better else min(values)
        last = values[-self.epochs :]
        return sum(last) / len(last)

    def of(self, rows: Iterable[Row]) -> float:
        """The number that a run's rows come to. Raises UserError, with the nearest names, where none has the metric."""
        names: set[str] = set()
        values: list[float] = []
        for row in rows:
            names |= row.keys()
            if is_number(row.get(self.metric)):
                values.append(row[self.metric])
        if values:
            return self.reduced(values)
        if not names:
            raise UserError("the run has reported nothing")
        raise UnknownMetricError(self.metric, names)


class UnknownMetricError(UserError):
    """The objective is a metric that the run does not report."""

    def __init__(self, metric: str, names: Iterable[str]) -> None:
        hint = suggest(metric, names) or "; metrics.jsonl in its folder has all that it reports"
        super().__init__(f"objective.metric={metric}: the run reports no such metric{hint}")
