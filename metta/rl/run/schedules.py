"""The schedules of a run: its settings as they are now, and which conditions have come true."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from metta.common.errors import suggest
from metta.common.logging import note, warn
from metta.rl.experience.teacher_settings import LONG
from metta.rl.run.metrics import SCORE, Metrics
from metta.rl.schedule import Condition, Place, Schedule, places
from metta.rl.settings import RunConfig

TEACHER = "teacher"


class Schedules:
    """Settings with numbers where a run's settings have schedules. Parts of the run hold `trainer` and `teaching` and
    read them when they need a number: `begin` sets the numbers in place, once per epoch."""

    def __init__(self, config: RunConfig, total: int) -> None:
        """`total` is the length of the run in agent-steps."""
        self.trainer, self.teaching, self.total = config.trainer.model_copy(deep=True), config.teaching, total
        if self.teaching:
            loss = self.teaching.loss.model_copy(deep=True)
            scheduled = frozenset(place.field for place in places(loss, "") if isinstance(place.value, Schedule))
            self.teaching = replace(self.teaching, loss=loss, scheduled=scheduled)
        rate = self.trainer.optimizer.learning_rate
        if isinstance(rate, Schedule):  # that is the whole of it
            self.trainer.optimizer.anneal_lr = False
        self.scheduled = [(place, place.value) for place in self.places() if isinstance(place.value, Schedule)]
        self._names = _short([place.key for place, _ in self.scheduled])
        self._fired: dict[str, int] = {}  # agent-steps after which conditions came true
        self._looked = False
        self.begin(0)

    @property
    def conditions(self) -> dict[str, Condition]:
        """Those that schedules wait for, as they are written."""
        return {schedule.when: Condition.parse(schedule.when) for _, schedule in self.scheduled if schedule.when}

    def begin(self, agent_steps: int) -> Metrics:
        """Set every number to what it is after that many agent-steps, and return them as they are reported."""
        numbers = [schedule.at(self._steps(schedule, agent_steps), self.total) for _, schedule in self.scheduled]
        for (place, _), number in zip(self.scheduled, numbers, strict=True):
            vars(place.settings)[place.field] = number  # whose numbers were all checked when it was read
        return {f"hyperparameters/{name}": number for name, number in zip(self._names, numbers, strict=True)}

    def look(self, metrics: Metrics, agent_steps: int) -> None:
        """See which conditions the metrics of the epoch that ends after `agent_steps` fulfil."""
        for text, condition in self.conditions.items():
            if text in self._fired:
                continue
            if condition.holds(metrics):
                self._fired[text] = agent_steps
                note(f"when {text}: came true after {agent_steps:,} agent-steps")
            elif not self._looked and SCORE in metrics and condition.metric not in metrics:
                warn(f"when {text}: nothing reports that metric so far{suggest(condition.metric, metrics)}")
        self._looked = self._looked or SCORE in metrics  # with the statistics of whole episodes

    def state_dict(self) -> dict[str, Tensor]:
        """The conditions that have come true, and after how many agent-steps, int64 []."""
        return {text: torch.tensor(steps) for text, steps in self._fired.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | int]) -> None:
        """Go on from `state_dict`."""
        self._fired = {text: int(steps) for text, steps in state.items()}

    def _steps(self, schedule: Schedule, agent_steps: int) -> int | None:
        """Agent-steps since a schedule has begun."""
        if schedule.when is None:
            return agent_steps
        return agent_steps - self._fired[schedule.when] if schedule.when in self._fired else None

    def places(self) -> Iterator[Place]:
        """Where numbers are read; those of the long form of a teacher are read of the teacher."""
        yield from (place for place in places(self.trainer, "trainer") if not place.key.startswith(LONG))
        if self.teaching:
            yield from places(self.teaching.loss, TEACHER)


def _short(keys: list[str]) -> list[str]:
    """The last parts of keys, as many as tell each from the others."""
    return [_shortest(key, [other for other in keys if other != key]) for key in keys]


def _shortest(key: str, others: list[str]) -> str:
    parts = key.split(".")
    tails = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next(tail for tail in tails if not any(f".{other}".endswith(f".{tail}") for other in others))
