"""An earlier diagnosis, and whether it can be compared with: the same missions, on seeds that both played."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, FiniteFloat, NonNegativeInt, ValidationError

from metta.common.errors import UserError, suggest
from metta.common.files import read_text
from metta.game.mission import Mission

FILE = "diagnosis.json"
MOST_BYTES = 1 << 26


class Kept(BaseModel):
    """What an earlier diagnosis keeps of a mission."""

    mission_name: str
    agents: int
    max_steps: int
    rules: str
    seeds: list[NonNegativeInt]
    rewards: list[FiniteFloat]  # of those seeds

    @property
    def by_seed(self) -> dict[int, float]:
        return dict(zip(self.seeds, self.rewards, strict=True))

    def difference(self, mission: Mission) -> str:
        """What is different about a mission of that name; "" if nothing is."""
        for what, there, here in (
            ("steps", self.max_steps, mission.max_steps),
            ("agents", self.agents, mission.agents),
        ):
            if there != here:
                return f"{there:,} {what} there, {here:,} here"
        return "" if self.rules == mission.rules else "other rules there than here"


class _Diagnosis(BaseModel):
    missions: list[Kept]


def earlier_rewards(folder: Path, missions: Sequence[Mission], seeds: Sequence[int]) -> Mapping[str, dict[int, float]]:
    """Rewards by seed of each of these missions that the diagnosis in `folder` has, by the missions' names.

    Raises:
        UserError: there is none, it has none of these missions, or one that was another, or none of these seeds.
    """
    path = folder / FILE
    try:
        found = _Diagnosis.model_validate_json(read_text(path, MOST_BYTES)).missions
        rewards = {kept.mission_name: kept.by_seed for kept in found}
    except (ValidationError, ValueError):
        raise UserError(f"{path}: is no diagnosis, or one without its episodes; diagnose again") from None
    by_name = {kept.mission_name: kept for kept in found}
    common = [mission for mission in missions if mission.name in by_name]
    if not common:
        names = ", ".join(mission.name for mission in missions)
        near = suggest(missions[0].name, by_name)
        raise UserError(f"{path}: cannot be compared with: has none of {names}{near}")
    for mission in common:
        if difference := by_name[mission.name].difference(mission):
            raise UserError(f"{path}: cannot be compared with: {mission.name} has {difference}")
        if not rewards[mission.name].keys() & set(seeds):
            there = _span(by_name[mission.name].seeds)
            raise UserError(
                f"{path}: cannot be compared with: {mission.name} has seeds {there} there, {_span(seeds)} here"
            )
    return rewards


def _span(seeds: Sequence[int]) -> str:
    return f"{min(seeds)} to {max(seeds)}" if seeds else "of no episode"
