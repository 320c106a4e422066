"""Numbers of the trainer that change while it trains: how a schedule is written, and its value at a moment.

A setting marked `Scheduled` takes a number or a schedule in its place. What trains reads numbers only: of the settings
as they are now (`metta.rl.run.schedules`).
"""

import math
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from metta.common.errors import suggest
from metta.common.settings import Settings, below, fields_at, first_problem

KIND = "schedule"  # the key that makes a mapping one
OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
# First parts of the metrics that a condition may look at: not those of the machine, which differ from run to run.
METRICS = (
    "collapse", "dual_policy", "env_agent", "env_attributes", "env_collective", "env_game", "env_per_label_rewards",
    "eval_", "experience", "losses", "metric", "overview",
)  # fmt: skip
_CONDITION = re.compile(r"\s*([^\s<>=!]+)\s*([<>=!]+)\s*(\S+)\s*")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Condition:
    """A metric that is above or below a number."""

    metric: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Of `metric op number`. Raise ValueError where it is none."""
        match = _CONDITION.fullmatch(text)
        try:
            number = float(match[3]) if match else math.nan
        except ValueError:
            number = math.nan
        if match is None or match[2] not in OPERATORS or not math.isfinite(number):
            example = f"env_agent/heart.gained > 5, with one of {', '.join(OPERATORS)}"
            raise ValueError(f"should be `metric op number`, such as {example}")
        first = match[1].partition("/")[0]
        if first not in METRICS and not (first.startswith("eval_") and "/" in match[1]):
            near = suggest(first, METRICS) or f" (one of {', '.join(METRICS)})"
            raise ValueError(f"no metric to go by begins with '{first}'{near}")
        return cls(match[1], match[2], number)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.number:g}"

    def holds(self, metrics: dict[str, float]) -> bool:
        """Whether it is so; not where nothing is known of the metric."""
        return self.metric in metrics and OPERATORS[self.comparison](metrics[self.metric], self.number)


def _position(value: object) -> int | str:
    if isinstance(value, str) and (match := _SHARE.fullmatch(value.strip())) and float(match[1]) <= 100:
        return f"{float(match[1]):g}%"
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value % 1 == 0:
        return int(value)
    raise ValueError("should be agent-steps, a whole number, or a share of the run, such as 50%")


Position = Annotated[int | str, BeforeValidator(_position)]
Span = tuple[Position, Position]


def steps_at(position: Position, total: int) -> float:
    """A position in a run of `total` agent-steps, in agent-steps."""
    return float(position[:-1]) / 100 * total if isinstance(position, str) else float(position)


def _condition(text: str) -> str:
    return str(Condition.parse(text))


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """A number over agent-steps. They count from the start of the run; where there is a condition, from the end of the
    first epoch whose metrics fulfil it, before which the number is the first one."""

    schedule: str
    when: Annotated[str, AfterValidator(_condition)] | None = None

    @property
    def points(self) -> list[tuple[Position, float]]:
        """Positions and the numbers there, in turn; from one to the next the number goes as the kind says."""
        raise NotImplementedError

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers between which it goes, by where they are written."""
        raise NotImplementedError

    @property
    def written(self) -> dict[str, Any]:
        """As a config has it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def __str__(self) -> str:
        return f"{{{', '.join(f'{name}: {value}' for name, value in self.written.items())}}}"

    def at(self, steps: float | None, total: int) -> float:
        """The number `steps` agent-steps after it has begun (None: it has not), in a run of `total`."""
        points = [(steps_at(position, total), number) for position, number in self.points]
        if steps is None or steps < points[0][0]:
            return points[0][1]
        passed = sum(position <= steps for position, _ in points)
        (start, first), *after = points[passed - 1 :]
        if not after:
            return first
        end, last = after[0]
        return first + (last - first) * self._way((steps - start) / (end - start))

    def _way(self, share: float) -> float:
        """How much of the way between two numbers lies behind at a share of the time, both from 0 to 1."""
        return share

    def check(self, total: int) -> None:
        """Raise ValueError where positions go back in a run of `total` agent-steps."""
        positions = [position for position, _ in self.points]
        for before, after in pairwise(positions):
            if steps_at(before, total) > steps_at(after, total):
                raise ValueError(f"goes back from {before} to {after}, in a run of {total:,} agent-steps")


class Ramp(Schedule, frozen=True):
    """From one number to another."""

    schedule: Literal["linear", "cosine"]
    start: float = Field(alias="from", description="the number before and at the first position")
    to: float = Field(description="the number from the second position on")
    over: Span | None = Field(default=None, description="both positions; default: the whole run")

    @model_validator(mode="after")
    def _it_ends(self) -> "Ramp":
        if self.when and self.over is None:
            raise ValueError("over is missing: how long it takes once `when` is fulfilled, such as [0, 1_000_000]")
        return self

    @property
    def points(self) -> list[tuple[Position, float]]:
        begin, end = self.over or (0, "100%")
        return [(begin, self.start), (end, self.to)]

    @property
    def numbers(self) -> dict[str, float]:
        return {"from": self.start, "to": self.to}

    def _way(self, share: float) -> float:
        return (1 - math.cos(math.pi * share)) / 2 if self.schedule == "cosine" else share


class Step(Schedule, frozen=True):
    """One number, then another."""

    schedule: Literal["step"]
    start: float = Field(alias="from", description="the first number")
    to: float = Field(description="the second number")
    position: Position | None = Field(default=None, alias="at", description="where it changes; default: as `when` says")

    @model_validator(mode="after")
    def _it_changes(self) -> "Step":
        if not self.when and self.position is None:
            raise ValueError("at is missing: where the number changes, such as 1_000_000 or 50%; or `when`")
        return self

    @property
    def points(self) -> list[tuple[Position, float]]:
        return [(self.position or 0, self.start), (self.position or 0, self.to)]

    @property
    def numbers(self) -> dict[str, float]:
        return {"from": self.start, "to": self.to}


class Piecewise(Schedule, frozen=True):
    """From point to point in straight lines; two points at one position are a jump."""

    schedule: Literal["piecewise"]
    between: list[tuple[Position, float]] = Field(alias="points", min_length=1, description="[position, number] each")

    @property
    def points(self) -> list[tuple[Position, float]]:
        return self.between

    @property
    def numbers(self) -> dict[str, float]:
        return {f"points.{index}": number for index, (_, number) in enumerate(self.between)}


KINDS: dict[str, type[Schedule]] = {"linear": Ramp, "cosine": Ramp, "step": Step, "piecewise": Piecewise}


def read(value: dict[str, Any]) -> Schedule:
    """A schedule as a config has it. Raise ValueError, in one line, where it is none."""
    name = str(value.get(KIND, ""))
    kind = KINDS.get(name)
    if kind is None:
        given = f"schedule={name}" if name else "schedule is missing"
        raise ValueError(f"{given}: should be one of {', '.join(KINDS)}{suggest(name, KINDS)}")
    known = fields_at(kind, [])
    for key in value:
        if key not in known:
            near = suggest(str(key), known) or f" (one of {', '.join(known)})"
            raise ValueError(f"unknown key '{key}' of a {name} schedule{near}")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        missing = f"{problem['loc'][0]} is missing of a {name} schedule" if problem["type"] == "missing" else ""
        raise ValueError(missing or first_problem(kind, error, "")) from None


def _as_written(value: Any, plain: SerializerFunctionWrapHandler) -> Any:
    return value.written if isinstance(value, Schedule) else plain(value)


MAY_CHANGE = WrapSerializer(_as_written)  # marks a field that takes a schedule
Scheduled = Annotated[float, MAY_CHANGE]


def takes_schedule(field: FieldInfo) -> bool:
    """Whether a field takes a schedule in place of its number."""
    return MAY_CHANGE in field.metadata


class SchedulableSettings(Settings):
    """Settings of which those marked `Scheduled` take schedules; every number of one must be one that the field takes.

    To type checkers such a field is a number, as it is for whatever trains.
    """

    @field_validator("*", mode="wrap")
    @classmethod
    def _may_be_a_schedule(cls, value: Any, plain: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if not (isinstance(value, dict | Schedule) and takes_schedule(field)):
            return plain(value)
        schedule = read(value) if isinstance(value, dict) else value
        for name, number in schedule.numbers.items():
            try:
                plain(number)
            except ValidationError as error:
                problem = error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should", "should")
                raise ValueError(f"{name}={number:g}: {problem}") from None
        return schedule


@dataclass(frozen=True)
class Place:
    """Where a schedule, or a number that could be one, stands: `field` of `settings`."""

    key: str
    settings: BaseModel
    field: str

    @property
    def value(self) -> "float | Schedule":
        return getattr(self.settings, self.field)


def places(settings: BaseModel, key: str) -> Iterator[Place]:
    """Every field that takes a schedule in a tree of settings that stands at `key`."""
    for name, field in type(settings).model_fields.items():
        value, path = getattr(settings, name), below(key, name)
        if takes_schedule(field):
            yield Place(path, settings, name)
        elif isinstance(value, BaseModel):
            yield from places(value, path)
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                if isinstance(entry, BaseModel):
                    yield from places(entry, f"{path}.{index}")


def largest(value: float) -> float:
    """The largest number that a setting takes."""
    return max(value.numbers.values()) if isinstance(value, Schedule) else value
