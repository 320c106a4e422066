"""Seasons: what is played in which pools, who may enter, and how it is scored. Their settings are YAML files."""

from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from metta.common.defaults import ACTION_TIMEOUT_MS, SEED
from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, validated
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.league.rating.ranking import Score

DEFAULT = "beta-cogsguard"
VALIDATION_STEPS = 10
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class PoolSettings(Settings):
    """A pool: with whom a policy plays in it, how often, and what takes it on or out."""

    name: Name = Field(description="its name")
    description: str = Field(default="", max_length=500, description="one sentence for people")
    partners: Literal["self", "pool"] = Field(
        default="pool", description="who holds the other seats: the policy itself, or others of the pool"
    )
    matches: PositiveInt = Field(default=20, description="matches that each policy plays")
    own_seats: list[PositiveInt] = Field(default=[], description="seats that a policy may hold; none: every number")
    episodes: PositiveInt = Field(default=1, le=1_000, description="episodes of a match, on seeds of their own")
    threshold: float | None = Field(
        default=None, description="mean score from which it goes on to the next pool; null: any"
    )
    failures: PositiveInt = Field(default=3, description="matches failed through its own fault that retire a policy")


class SeasonSettings(Settings):
    """A season, as its file says it."""

    name: Name = Field(description="its name in commands")
    display_name: str = Field(default="", max_length=100, description="its name on pages; default: the name")
    summary: str = Field(default="", max_length=1000, description="what is played, for people")
    default: bool = Field(default=False, description="uploads enter it where no season is named")
    hidden: bool = Field(default=False, description="not listed")
    compat_version: str | None = Field(
        default=None, pattern=r"^\d+\.\d+$", description="major.minor that the original's client must have; null: any"
    )
    missions: list[MissionSettings] = Field(min_length=1, max_length=100, description="what is played, in turn")
    pools: list[PoolSettings] = Field(min_length=1, max_length=10, description="in the order of going through them")
    score: Score = Field(
        default="replacement", description="value over replacement; shares: the mean reward, weighed by seats held"
    )
    action_timeout_ms: PositiveInt = Field(
        default=ACTION_TIMEOUT_MS, description="milliseconds that a policy's own code has for a step"
    )
    seed: int = Field(default=SEED, ge=0, description="of everything random in it")
    outstanding: PositiveInt = Field(default=100, description="matches that wait or are played at a time")
    versions_per_user: PositiveInt = Field(default=20, description="versions that one account may have in it")
    replays: bool = Field(default=True, description="whether replays are kept")
    starts_at: datetime | None = Field(default=None, description="when matches begin; null: at once")
    ends_at: datetime | None = Field(default=None, description="when it takes no more entries; null: never")

    @model_validator(mode="after")
    def _holds_together(self) -> "SeasonSettings":
        if len({pool.name for pool in self.pools}) < len(self.pools):
            raise ValueError("two pools of one name")
        if self.ends_at and self.starts_at and self.ends_at <= self.starts_at:
            raise ValueError("ends_at is before starts_at")
        if any(moment and moment.tzinfo is None for moment in (self.starts_at, self.ends_at)):
            raise ValueError("starts_at and ends_at say their time zone: 2026-12-01T00:00:00Z")
        if self.pools[-1].threshold is not None:
            raise ValueError(f"threshold: {self.pools[-1].name} is the last pool, nothing follows")
        return self

    @property
    def entry_pool(self) -> PoolSettings:
        """Where policies enter."""
        return self.pools[0]

    @property
    def leaderboard_pool(self) -> PoolSettings:
        """Whose matches the leaderboard counts."""
        return self.pools[-1]

    def pool(self, name: str) -> PoolSettings:
        """A pool by its name."""
        return next(pool for pool in self.pools if pool.name == name)

    def build_missions(self) -> dict[str, Mission]:
        """The missions by name; of two of one name the second is called NAME#2. Raises UserError for a wrong one."""
        built: dict[str, Mission] = {}
        for settings in self.missions:
            mission = build_mission(settings)
            alike = sum(name.partition("#")[0] == mission.name for name in built)
            built[f"{mission.name}#{alike + 1}" if alike else mission.name] = mission
        return built


def read_season(path: Path) -> SeasonSettings:
    """A season's file. Raises UserError for a wrong one."""
    season = validated(SeasonSettings, read_yaml(path), f"{path}:")
    try:
        seats = {name: mission.agents for name, mission in season.build_missions().items()}
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for number, pool in enumerate(season.pools):
        where = f"{path}:pools.{number}.own_seats"
        if unfit := [own for own in pool.own_seats if own > max(seats.values())]:
            raise UserError(f"{where}={unfit[0]}: the missions have {max(seats.values())} seats")
        if pool.own_seats and (small := [name for name in seats if seats[name] < min(pool.own_seats)]):
            raise UserError(f"{where}={min(pool.own_seats)}: {small[0]} has {seats[small[0]]} seats")
    return season


def known_seasons() -> dict[str, Path]:
    """Files of the seasons that come with the package, by name."""
    folder = Path(str(files("metta.league").joinpath("season_files")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_season(name: str) -> SeasonSettings:
    """A season by its file, or the name of one that comes with the package. Raises UserError if there is none."""
    if name.endswith((".yaml", ".yml", ".json")):
        return read_season(Path(name))
    known = known_seasons()
    if name not in known:
        raise UserError(f"season {name}: neither a file (.yaml) nor one of {', '.join(known)}{suggest(name, known)}")
    return read_season(known[name])
