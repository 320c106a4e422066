"""Settings of a curriculum: what its tasks are drawn from, and which of them are played."""

import difflib
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationError, model_validator

from metta.common.errors import UserError, suggest
from metta.common.settings import SettingError, Settings, below, first_problem
from metta.game.mission import MissionSettings
from metta.game.mission_files import is_mission_file, is_picture_file

WHERE = "curriculum.mission"
EXAMPLE = "such as curriculum.mission.difficulty=[easy,medium,hard]"
LISTS = ("variants", "rewards", "roles")  # keys of a mission whose values are lists themselves


class Range(Settings):
    """Numbers from one to another, both included; whole ones where both ends are whole."""

    range: tuple[int, int] | tuple[float, float] = Field(description="the lower end and the upper one")
    log: bool = Field(default=False, description="draw evenly by size: as often from 1 to 10 as from 10 to 100")

    @model_validator(mode="after")
    def _ends_in_order(self) -> "Range":
        low, high = self.range
        if low > high:
            raise SettingError(f"range=[{low}, {high}] is empty: the lower end comes first", "range")
        if self.log and low <= 0:
            raise SettingError(f"range=[{low}, {high}] with log=true must begin above 0", "range")
        return self

    @property
    def ends(self) -> list[Any]:
        return list(dict.fromkeys(self.range))


class Choices(Settings):
    """Values of which one is drawn."""

    values: list[Any]

    @property
    def ends(self) -> list[Any]:
        return self.values


class CurriculumSettings(Settings):
    """Tasks by learning progress: missions with drawn settings, those more often whose score changes."""

    kind: Literal["learning_progress"] = Field(default="learning_progress", description="how tasks are chosen")
    mission: dict[str, Any] = Field(
        default={},
        description="what tasks draw: keys as of mission, each with a list of choices or {range: [low, high]}",
    )
    tasks: PositiveInt = Field(default=16, le=1000, description="tasks that are active at a time")
    groups: PositiveInt = Field(default=8, description="groups of environments, each of which plays one task at a time")
    episodes: PositiveInt = Field(
        default=1, description="whole episodes per environment, on average, before a group draws again"
    )
    floor: float = Field(default=0.2, ge=0, le=1, description="share of the draws that all active tasks have evenly")
    fast: float = Field(default=0.1, gt=0, le=1, description="rate of the fast moving mean of scores, per episode")
    slow: float = Field(default=0.01, gt=0, le=1, description="rate of the slow one")
    mastered: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="a task goes whose learning progress is below this share of the mean one",
    )
    least_episodes: PositiveInt = Field(default=50, description="episodes that a task has before that")
    most_episodes: PositiveInt = Field(default=1000, description="episodes after which a task goes in any case")

    @model_validator(mode="after")
    def _draws_something(self) -> "CurriculumSettings":
        if not self.draws:
            raise SettingError(f"{WHERE}: no task is drawn from anything; {EXAMPLE}", "mission")
        if self.slow >= self.fast:
            raise SettingError(f"curriculum.slow={self.slow} must be below curriculum.fast={self.fast}", "slow", "fast")
        if self.least_episodes > self.most_episodes:
            least, most = f"curriculum.least_episodes={self.least_episodes}", f"most_episodes={self.most_episodes}"
            raise SettingError(f"{least} must not be above curriculum.{most}", "least_episodes", "most_episodes")
        return self

    @property
    def draws(self) -> dict[str, Range | Choices]:
        """What is drawn, by the path of its key below `mission`."""
        return dict(_leaves(self.mission, ""))

    def envs_of_group(self, envs: int, processes: int = 1) -> int:
        """Environments of each group. Raise UserError where they do not divide, or the groups among processes."""
        if self.groups % processes:
            problem = f"must be a multiple of the {processes} processes, which have whole groups"
            raise UserError(f"curriculum.groups={self.groups} {problem}", ("curriculum.groups",))
        if envs % self.groups:
            divisors = [part for part in range(1, envs + 1) if envs % part == 0]
            below_it = max((part for part in divisors if part < self.groups), default=1)
            above = min((part for part in divisors if part > self.groups), default=envs)
            nearest = " or ".join(str(part) for part in sorted({below_it, above}))
            raise UserError(
                f"curriculum.groups={self.groups} must divide the {envs} environments; nearest: {nearest}",
                ("curriculum.groups", "training_env.num_envs", "trainer.batch_size"),
            )
        return envs // self.groups


def _leaves(branch: dict[str, Any], above: str) -> Iterator[tuple[str, Range | Choices]]:
    for name, value in branch.items():
        path = below(above, str(name))
        where = f"{WHERE}.{path}"
        if isinstance(value, dict) and "range" in value:
            yield path, _range(value, path, where)
        elif isinstance(value, dict):
            if near := difflib.get_close_matches("range", [str(key) for key in value], n=1, cutoff=0.8):
                raise SettingError(f"unknown key '{where}.{near[0]}' (did you mean range?)", f"mission.{path}")
            yield from _leaves(value, path)
        elif isinstance(value, list):
            yield path, _choices(value, path, where)
        else:
            problem = f"{where}={value!r}: should be a list of choices or {{range: [low, high]}}"
            raise SettingError(f"{problem}; mission.{path} holds for all tasks", f"mission.{path}")
    if not above and (unknown := [name for name in branch if name not in MissionSettings.model_fields]):
        hint = suggest(unknown[0], MissionSettings.model_fields)
        raise SettingError(f"unknown key '{WHERE}.{unknown[0]}'{hint}", f"mission.{unknown[0]}")


def _range(value: dict[str, Any], path: str, where: str) -> Range:
    try:
        return Range.model_validate(value)
    except ValidationError as error:
        raise SettingError(first_problem(Range, error, where), f"mission.{path}") from None


def _choices(values: list[Any], path: str, where: str) -> Choices:
    if not values:
        raise SettingError(f"{where}=[]: there is nothing to choose from", f"mission.{path}")
    for value in values:
        is_file = {"base": bool, "name": is_mission_file, "map.picture": is_picture_file}.get(path)
        if is_file and is_file(value):
            problem = "tasks are drawn of the game's own missions; a file's can be what all build on: mission=FILE"
            raise SettingError(f"{where}={value!r}: {problem}", f"mission.{path}")
    return Choices(values=[[value] if path in LISTS and isinstance(value, str) else value for value in values])
