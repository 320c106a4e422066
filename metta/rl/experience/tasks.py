"""The tasks of a curriculum: each is the run's mission with values that follow from the seed and the task's number."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from metta.common.errors import UserError
from metta.common.seeds import derive
from metta.common.settings import validated
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.stored.differences import info_differences
from metta.rl.experience.curriculum_settings import WHERE, Choices, Range

Drawn = dict[str, Any]  # values by the path of their key below `mission`


class TaskSpace:
    """What tasks are drawn from: `draws` over the settings `base`, which hold for all of them."""

    def __init__(self, base: MissionSettings, draws: dict[str, Range | Choices], seed: int) -> None:
        self._base, self._draws, self._seed = base, draws, seed

    def draw(self, number: int) -> Drawn:
        """The values of task `number`. Each key draws for itself: another one beside it changes nothing."""
        return {
            path: _drawn(one, np.random.default_rng(derive(self._seed, "task", number, path)))
            for path, one in self._draws.items()
        }

    def mission(self, drawn: Drawn) -> Mission:
        """The mission with these values. Raise UserError where they make none."""
        settings = self._base.model_dump(exclude_unset=True)
        if "name" in drawn:
            settings.pop("base", None)
        for path, value in drawn.items():
            _put(settings, path.split("."), value)
        return build_mission(validated(MissionSettings, settings, WHERE))

    def check(self) -> EnvInfo:
        """What agents see and do in all tasks.

        Every mission is tried with every choice and both ends of every range, one key after the other. Raise UserError
        for values that make no mission, and for tasks that a policy cannot play in turn.
        """
        first: tuple[str, EnvInfo] | None = None
        for drawn in self._corners():
            info = env_info(self.mission(drawn))
            first = first or (in_words(drawn), info)
            differences = info_differences(info, first[1])
            if info.num_agents != first[1].num_agents:
                differences.insert(0, f"{info.num_agents} agents, not {first[1].num_agents}")
            if differences:
                problem = f"{in_words(drawn)} has {'; '.join(differences)} as {first[0]}"
                raise UserError(f"{WHERE}: tasks must fit one policy, and {problem}", ("curriculum.mission",))
        assert first is not None
        return first[1]

    def _corners(self) -> Iterator[Drawn]:
        names = self._draws["name"].ends if "name" in self._draws else [None]
        others = {path: one.ends for path, one in self._draws.items() if path != "name"}
        for name in names:
            start = ({"name": name} if name is not None else {}) | {path: ends[0] for path, ends in others.items()}
            yield start
            yield from (start | {path: end} for path, ends in others.items() for end in ends[1:])


def in_words(drawn: Drawn) -> str:
    """A task for people: its mission first, then what else was drawn."""
    others = [f"{path}={_short(value)}" for path, value in drawn.items() if path != "name"]
    return ", ".join([*([str(drawn["name"])] if "name" in drawn else []), *others])


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _drawn(one: Range | Choices, random: np.random.Generator) -> Any:
    if isinstance(one, Choices):
        return one.values[int(random.integers(len(one.values)))]
    low, high = one.range
    if isinstance(low, int) and isinstance(high, int):
        if not one.log:
            return int(random.integers(low, high + 1))
        return min(high, int(math.exp(random.uniform(math.log(low), math.log(high + 1)))))
    return math.exp(random.uniform(math.log(low), math.log(high))) if one.log else float(random.uniform(low, high))


def _put(settings: dict[str, Any], path: list[str], value: Any) -> None:
    """Set what lies at a path, in branches of its own: those of the run's mission stay as they are."""
    *above, name = path
    for part in above:
        settings[part] = dict(settings.get(part) or {})
        settings = settings[part]
    settings[name] = value
