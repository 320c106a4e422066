"""A mission: everything that is a setting of the game (rules 1, 4-7, 10), as validated models."""

from typing import Literal

from pydantic import Field, model_validator

from metta.common.settings import Settings
from metta.game.resources import ELEMENTS

Amounts = dict[str, int]


class CogSettings(Settings):
    """Limits, modifiers, initial inventory and upkeep of one cog (rules 1.2)."""

    gear_limit: int = Field(default=1, ge=0, description="pieces of gear a living cog holds")
    hp_limit: int = Field(default=100, ge=0, description="hp without gear")
    heart_limit: int = Field(default=10, ge=0, description="hearts a living cog holds")
    energy_limit: int = Field(default=20, ge=0, description="energy without gear")
    cargo_limit: int = Field(default=4, ge=0, description="elements in all")
    influence_limit: int = Field(default=0, ge=0, description="influence without gear")
    hp_modifiers: Amounts = Field(default={"scout": 400, "scrambler": 200}, description="limit granted by gear")
    energy_modifiers: Amounts = Field(default={"scout": 100}, description="limit granted by gear")
    cargo_modifiers: Amounts = Field(default={"miner": 40}, description="limit granted by gear")
    influence_modifiers: Amounts = Field(default={"aligner": 20}, description="limit granted by gear")
    initial_energy: int = Field(default=100, ge=0, le=65535)
    initial_hp: int = Field(default=50, ge=0, le=65535)
    initial_solar: int = Field(default=1, ge=0, le=65535)
    hp_regen: int = Field(default=-1, description="hp change per step")
    influence_regen: int = Field(default=-1, description="influence change per step")
    action_cost: Amounts = Field(default={"energy": 4}, description="price of a successful move or use")


class ClipsSettings(Settings):
    """When the clips take and scramble junctions (rules 6). Times in steps; an end of null means the last step."""

    disabled: bool = False
    initial_clips_start: int = Field(default=10, ge=0)
    initial_clips_spots: int = Field(default=1, ge=0)
    scramble_start: int = Field(default=50, ge=0)
    scramble_interval: int = Field(default=100, ge=1)
    scramble_radius: int = Field(default=25, ge=0)
    scramble_end: int | None = None
    align_start: int = Field(default=100, ge=0)
    align_interval: int = Field(default=100, ge=1)
    align_radius: int = Field(default=25, ge=0)
    align_end: int | None = None
    presence_end: int | None = None
    initial_neutral_only: bool = Field(default=False, description="the first take-over spares owned junctions")


class WeatherSettings(Settings):
    """Half of `day_length` is day, half night; the deltas are what day and night give (rules 6)."""

    day_length: int = Field(default=200, ge=2, description="steps of one day and night")
    day_deltas: Amounts = {"solar": 3}
    night_deltas: Amounts = {"solar": 1}
    target_tag: str = "agent"


class TeamSettings(Settings):
    name: str = "cogs"
    short_name: str = "c"
    wealth: int = Field(default=1, ge=0, description="initial elements: agents x 3 x wealth of each")
    initial_hearts: int | None = Field(
        default=None, ge=0, le=65535, description="hearts in the hub; default 5 x wealth"
    )
    num_agents: int = Field(default=8, ge=1)

    @property
    def hub_hearts(self) -> int:
        return 5 * self.wealth if self.initial_hearts is None else self.initial_hearts

    @property
    def initial_elements(self) -> int:
        return self.num_agents * 3 * self.wealth


class CostSettings(Settings):
    """Prices paid from the team inventory (hearts, gear) or by the cog (align, scramble), rules 1.1."""

    heart: Amounts = dict.fromkeys(ELEMENTS, 10)
    aligner: Amounts = {"carbon": 3, "oxygen": 1, "germanium": 1, "silicon": 1}
    scrambler: Amounts = {"carbon": 1, "oxygen": 3, "germanium": 1, "silicon": 1}
    miner: Amounts = {"carbon": 1, "oxygen": 1, "germanium": 3, "silicon": 1}
    scout: Amounts = {"carbon": 1, "oxygen": 1, "germanium": 1, "silicon": 3}
    align: Amounts = {"heart": 1}
    scramble: Amounts = {"heart": 1}


class AreaSettings(Settings):
    """What hubs and junctions do to cogs within `radius` cells, Euclidean, per step (rules 5)."""

    radius: int = Field(default=10, ge=0, le=60)
    friendly: Amounts = {"influence": 10, "energy": 100, "hp": 100}
    enemy: Amounts = {"hp": -1, "influence": -100}


class ExtractorSettings(Settings):
    stock: int = Field(default=100, ge=0, le=65535)
    amount: int = Field(default=1, ge=0, description="elements per use")
    miner_amount: int = Field(default=10, ge=0, description="elements per use with miner gear")


class RewardEntry(Settings):
    """`weight` times the change of `stat`, the product limited to `max` (rules 7.1)."""

    stat: str
    weight: float
    max: float | None = None


class QuirkSettings(Settings):
    """What the original does where its evident intention was another; true keeps the original (rules 12)."""

    clips_ignore_distance: bool = Field(
        default=True, description="clips act anywhere; false: within radius of a clips junction"
    )
    hub_junction_is_special: bool = Field(
        default=True, description="the hub's junction counts for no reward or junction stat"
    )
    territory_invisible: bool = Field(default=True, description="false: aoe_mask tokens show owned areas")
    last_reward_invisible: bool = Field(
        default=True, description="false: the last_reward token holds 100 x the reward before"
    )
    negative_caps_charge_at_once: bool = Field(
        default=True, description="false: a negative cap is a floor of the entry"
    )
    milestones_ignore_holdings: bool = Field(default=True, description="false: milestones pay for junctions held")
    weather_adds_difference: bool = Field(default=True, description="false: solar is the day's or night's own value")
    time_limit_is_terminal: bool = Field(default=True, description="false: the last step truncates")
    full_bag_burns_elements: bool = Field(default=True, description="false: no heart is crafted that cannot be carried")
    idle_use_costs_energy: bool = Field(default=True, description="false: a use that changes nothing is free")
    bonuses_do_not_add: bool = Field(default=True, description="limit = max(base, bonus); false: base + bonus")
    initial_energy_above_limit: bool = Field(default=True, description="false: initial inventory is cut to the limits")
    objective_weight_frozen: bool = Field(
        default=True, description="false: overriding the steps rescales the objective and events"
    )


class Mission(Settings):
    """One playable mission. Variants have been applied to it already; `variants` only names them."""

    name: str = "cogsguard_arena.basic"
    site: str = "cogsguard_arena"
    description: str = ""
    max_steps: int = Field(default=1000, ge=1, description="steps per episode")
    built_steps: int | None = Field(
        default=None,
        ge=1,
        description="steps the mission was made for: divide the objective, end the events; null: max_steps",
    )
    num_agents: int | None = Field(default=None, ge=1, description="cogs; default: as many as the teams have")
    teams: dict[str, TeamSettings] = {"cogs": TeamSettings()}
    cog: CogSettings = CogSettings()
    clips: ClipsSettings = ClipsSettings()
    weather: WeatherSettings = WeatherSettings()
    cost: CostSettings = CostSettings()
    area: AreaSettings = AreaSettings()
    extractor: ExtractorSettings = ExtractorSettings()
    team_element_limit: int = Field(default=10000, ge=0, description="elements a team stores in all")
    deposit_amount: int = Field(default=100, ge=0, description="most of each element that one deposit moves")
    change_vibe: bool = Field(default=True, description="cogs may change their vibe")
    variants: list[str] = []
    rewards: list[str] = Field(default=[], description="reward presets")
    reward_entries: dict[str, RewardEntry] = Field(default={}, description="own reward entries by key")
    quirks: QuirkSettings = QuirkSettings()

    @model_validator(mode="after")
    def _agents_fit_teams(self) -> "Mission":
        if self.num_agents is not None and len(self.teams) > 1 and self.num_agents != self._team_total:
            raise ValueError(f"num_agents={self.num_agents} but the teams have {self._team_total}")
        return self

    @property
    def _team_total(self) -> int:
        return sum(team.num_agents for team in self.teams.values())

    @property
    def agents(self) -> int:
        """Cogs in play."""
        return self.num_agents or self._team_total

    @property
    def label(self) -> str:
        """Name under which rewards are reported: the mission and its reward presets."""
        return ".".join([self.name, *self.rewards])


class MissionSettings(Settings):
    """The `mission` branch of the composed tree: a named mission and what to change in it."""

    name: str = Field(default="cogsguard_arena.basic", description="site.mission, a bare site or a mission file")
    variants: list[str] = Field(default=[], description="named changes, applied in order")
    difficulty: Literal["easy", "medium", "hard"] | None = Field(default=None, description="clips pressure")
    rewards: list[str] = Field(default=[], description="reward presets added to the mission's own")
    cogs: int | None = Field(default=None, ge=1, description="number of agents; default: the mission's")
    max_steps: int | None = Field(default=None, ge=1, description="steps per episode; default: the mission's")
    teams: dict[str, dict] = Field(default={}, description="changes to teams, by team name")
    cog: dict = Field(default={}, description="changes to limits, modifiers and upkeep of cogs")
    clips: dict = Field(default={}, description="changes to the clips' schedule")
    weather: dict = Field(default={}, description="changes to day and night")
    cost: dict = Field(default={}, description="changes to prices")
    area: dict = Field(default={}, description="changes to areas of effect")
    extractor: dict = Field(default={}, description="changes to extractors")
    quirks: dict = Field(default={}, description="deviations of the original to switch off")
    reward_entries: dict[str, RewardEntry] = Field(default={}, description="own reward entries by key")
