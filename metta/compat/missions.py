"""Missions of `cogames` as objects: sites, teams, variants, and the tree that they make."""

from typing import Any

from pydantic import Field, PrivateAttr, SerializeAsAny

from metta.compat.config import Config, MettaGridConfig
from metta.compat.errors import NotPlayableError, as_value_errors
from metta.compat.map_config import AnyMapBuilder
from metta.compat.reading import plain_name
from metta.compat.writing import tree_of
from metta.game.mission import ClipsSettings, CogSettings, Mission, TeamSettings, WeatherSettings

MAP_MISSION_DELIMITER = "."
OWN = ("cog", "teams", "clips", "weather", "max_steps")  # what a mission object has of ours


class CoGameSite(Config):
    """Where missions take place."""

    name: str
    description: str
    map_builder: AnyMapBuilder
    min_cogs: int = Field(default=1, ge=1)
    max_cogs: int = Field(default=1000, ge=1)


class CoGameMissionVariant(Config):
    """A change: to the mission when it is added, and to every tree that the mission makes. People write their own."""

    name: str
    description: str = ""

    def modify_mission(self, mission: Any) -> None:
        """Change the mission in place."""

    def modify_env(self, mission: Any, env: MettaGridConfig) -> None:
        """Change a tree in place."""

    def compat(self, mission: Any) -> bool:
        """Can it be applied to that mission?"""
        return True

    def apply(self, mission: "CvCMission") -> "CvCMission":
        """A changed copy."""
        copy = mission.model_copy(deep=True)
        copy.variants.append(self)
        self.modify_mission(copy)
        return copy


class CvCMission(Config):
    """A mission: teams on a site, under conditions."""

    name: str
    description: str
    site: CoGameSite
    num_cogs: int | None = None
    variants: list[SerializeAsAny[CoGameMissionVariant]] = []
    max_steps: int = 10000
    total_junctions: int = 118
    cog: CogSettings = Field(default_factory=CogSettings)
    teams: dict[str, TeamSettings] = Field(default_factory=lambda: {"cogs": TeamSettings()})
    clips: ClipsSettings = Field(default_factory=ClipsSettings)
    weather: WeatherSettings = Field(default_factory=WeatherSettings)
    _rest: Mission = PrivateAttr(default_factory=Mission)  # prices, areas and what else these fields do not say

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        for variant in self.variants:
            variant.modify_mission(self)

    @property
    def num_agents(self) -> int:
        return self.num_cogs if self.num_cogs is not None else sum(team.num_agents for team in self.teams.values())

    def full_name(self) -> str:
        return f"{self.site.name}{MAP_MISSION_DELIMITER}{self.name}"

    def with_variants(self, variants: list[CoGameMissionVariant]) -> "CvCMission":
        """A changed copy."""
        mission = self
        for variant in variants:
            mission = variant.apply(mission)
        return mission

    def map_builder(self) -> AnyMapBuilder:
        return self.site.map_builder

    def make_env(self) -> MettaGridConfig:
        """The tree, with the changes of all variants.

        Raises NotPlayableError (a ValueError) for what this engine cannot play.
        """
        members = sum(team.num_agents for team in self.teams.values())
        if self.num_agents > members:
            raise NotPlayableError(f"num_cogs={self.num_agents}: the teams have {members} agents")
        env = tree_of(self.as_ours(), self.map_builder()).model_copy(deep=True)
        env.label = self.full_name()
        for variant in self.variants:
            variant.modify_env(self, env)
            env.label += f".{variant.name}"
        return env

    def as_ours(self) -> Mission:
        """The mission as ours, without what variants do to the tree; maps are the builder's."""
        own = {name: _plain(getattr(self, name)) for name in OWN}
        cogs = self.num_agents if len(self.teams) == 1 else self.num_cogs
        with as_value_errors():
            return Mission.model_validate(
                {**self._rest.model_dump(), **own, "name": plain_name(self.full_name()), "num_agents": cogs}
            )

    def take(self, mission: Mission) -> None:
        """Take over what a change of ours made of it."""
        for name in OWN:
            if _plain(getattr(mission, name)) != _plain(getattr(self, name)):
                setattr(self, name, getattr(mission, name))
        self._rest = mission.model_copy(update={"rewards": [], "variants": []})
        if len(self.teams) > 1:
            self.num_cogs = None


def _plain(value: Any) -> Any:
    """Settings as plain data."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.model_dump() if hasattr(value, "model_dump") else value
