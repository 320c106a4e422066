"""A mission: everything that is a setting of the game (rules 1, 4-7, 10), as validated models."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from metta.common.defaults import MISSION
from metta.common.digests import digest
from metta.common.errors import suggest
from metta.common.settings import SettingError, Settings
from metta.game.maps.sites import MapSettings
from metta.game.resources import CLIPS, ELEMENTS, RESOURCES

MOST = 65535  # quantities have 16 bits
MOST_AGENTS = 255  # agent_id has 8 bits
MOST_EVENTS = 100_000
MOST_STEPS = 10_000_000  # statistics have 32 bits


def _known_resources(amounts: dict[str, int]) -> dict[str, int]:
    for name in amounts:
        if name not in RESOURCES:
            raise ValueError(f"unknown resource '{name}'{suggest(name, RESOURCES)}")
    return amounts


Quantity = Annotated[int, Field(ge=0, le=MOST)]
Delta = Annotated[int, Field(ge=-MOST, le=MOST)]
Step = Annotated[int, Field(ge=0, le=MOST_STEPS)]
Interval = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Cells = Annotated[int, Field(ge=0, le=10_000)]
Amounts = Annotated[dict[str, Quantity], AfterValidator(_known_resources)]
Role = Literal["miner", "aligner", "scrambler", "scout"]
Deltas = Annotated[dict[str, Delta], AfterValidator(_known_resources)]


class CogSettings(Settings):
    """Limits, modifiers, initial inventory and upkeep of one cog (rules 1.2)."""

    gear_limit: Quantity = Field(default=1, description="pieces of gear a living cog holds")
    hp_limit: Quantity = Field(default=100, description="hp without gear")
    heart_limit: Quantity = Field(default=10, description="hearts a living cog holds")
    energy_limit: Quantity = Field(default=20, description="energy without gear")
    cargo_limit: Quantity = Field(default=4, description="elements in all, without gear")
    influence_limit: Quantity = Field(default=0, description="influence without gear")
    hp_modifiers: Amounts = Field(default={"scout": 400, "scrambler": 200}, description="hp limit granted by gear")
    energy_modifiers: Amounts = Field(default={"scout": 100}, description="energy limit granted by gear")
    cargo_modifiers: Amounts = Field(default={"miner": 40}, description="limit of elements granted by gear")
    influence_modifiers: Amounts = Field(default={"aligner": 20}, description="influence limit granted by gear")
    gear_modifiers: Amounts = Field(default={"hp": 100}, description="what lets a cog hold gear, up to gear_limit")
    heart_modifiers: Amounts = Field(default={"hp": 100}, description="what lets a cog hold hearts, up to heart_limit")
    initial_inventory: Amounts = Field(default={}, description="what else a cog holds at the start, whatever the limit")
    initial_energy: Quantity = Field(default=100, description="energy at the start, whatever the limit")
    initial_hp: Quantity = Field(default=50, description="hp at the start, whatever the limit")
    initial_solar: Quantity = Field(default=1, description="solar at the start: energy gained per step")
    hp_regen: Delta = Field(default=-1, description="hp change per step")
    influence_regen: Delta = Field(default=-1, description="influence change per step")
    action_cost: Amounts = Field(default={"energy": 4}, description="price of a successful move or use")


class ClipsSettings(Settings):
    """When the clips take and scramble junctions (rules 6). Times in steps; an end of null means the last step."""

    disabled: bool = Field(default=False, description="play without clips")
    initial_clips_start: Step = Field(default=10, description="step of the first take-over")
    initial_clips_spots: Quantity = Field(default=1, description="junctions taken then")
    scramble_start: Step = Field(default=50, description="first step at which clips free a team's junction")
    scramble_interval: Interval = Field(default=100, description="steps between")
    scramble_radius: Cells = Field(
        default=25, description="cells from a clips junction; read where clips mind distance"
    )
    scramble_end: Step | None = Field(default=None, description="last such step; null: to the end")
    align_start: Step = Field(default=100, description="first step at which clips take a neutral junction")
    align_interval: Interval = Field(default=100, description="steps between")
    align_radius: Cells = Field(default=25, description="cells from a clips junction; read where clips mind distance")
    align_end: Step | None = Field(default=None, description="last such step; null: to the end")
    presence_end: Step | None = Field(
        default=None, description="last step at which clips without a junction may come back; null: to the end"
    )
    initial_neutral_only: bool = Field(default=False, description="the first take-over spares owned junctions")

    @property
    def shortest_interval(self) -> int:
        return min(self.scramble_interval, self.align_interval)


class WeatherSettings(Settings):
    """Half of `day_length` is day, half night; the deltas are what day and night give (rules 6)."""

    day_length: int = Field(default=200, ge=2, le=MOST_STEPS, description="steps of one day and night")
    day_deltas: Deltas = Field(default={"solar": 3}, description="what the day gives")
    night_deltas: Deltas = Field(default={"solar": 1}, description="what the night gives")
    target_tag: Literal["agent"] = Field(default="agent", description="who feels the weather")


class TeamSettings(Settings):
    """One team; its key among the teams is the name of its collective."""

    name: str = Field(default="cogs", description="the team's key once more")
    short_name: str = Field(default="c", description="prefix of the types of its hub and stations")
    wealth: int = Field(default=1, ge=0, le=1000, description="initial elements: agents x 3 x wealth of each")
    stocks: Amounts = Field(default={}, description="initial resources of the team, where not those of its wealth")
    initial_hearts: Quantity | None = Field(default=None, description="hearts in the hub; null: 5 x wealth")
    num_agents: int = Field(default=8, ge=1, le=255, description="cogs of the team")

    @property
    def hub_hearts(self) -> int:
        return 5 * self.wealth if self.initial_hearts is None else self.initial_hearts

    def stock_of(self, resource: str) -> int:
        """What the team owns at the start, whatever the limit."""
        usual = min(MOST, self.num_agents * 3 * self.wealth) if resource in ELEMENTS else 0
        return self.stocks.get(resource, usual)


class CostSettings(Settings):
    """Prices paid from the team inventory (hearts, gear) or by the cog (align, scramble), rules 1.1."""

    heart: Amounts = Field(default=dict.fromkeys(ELEMENTS, 10), description="the team's price of a heart")
    aligner: Amounts = Field(
        default={"carbon": 3, "oxygen": 1, "germanium": 1, "silicon": 1}, description="the team's price of the gear"
    )
    scrambler: Amounts = Field(
        default={"carbon": 1, "oxygen": 3, "germanium": 1, "silicon": 1}, description="the team's price of the gear"
    )
    miner: Amounts = Field(
        default={"carbon": 1, "oxygen": 1, "germanium": 3, "silicon": 1}, description="the team's price of the gear"
    )
    scout: Amounts = Field(
        default={"carbon": 1, "oxygen": 1, "germanium": 1, "silicon": 3}, description="the team's price of the gear"
    )
    align: Amounts = Field(default={"heart": 1}, description="the cog's price of taking a junction")
    scramble: Amounts = Field(default={"heart": 1}, description="the cog's price of freeing a junction")


class AreaSettings(Settings):
    """What hubs and junctions do to cogs within `radius` cells, Euclidean, per step (rules 5)."""

    radius: int = Field(default=10, ge=0, le=60, description="cells around a hub or junction, Euclidean")
    friendly: Deltas = Field(
        default={"influence": 10, "energy": 100, "hp": 100}, description="change per step and own source in reach"
    )
    enemy: Deltas = Field(
        default={"hp": -1, "influence": -100}, description="change per step and enemy source in reach"
    )


class ExtractorSettings(Settings):
    """What extractors hold and give (rules 4)."""

    stock: Quantity = Field(default=100, description="elements at the start; an empty extractor vanishes")
    stocks: Amounts = Field(default={}, description="elements at the start, where not `stock`")
    single_use: bool = Field(
        default=False, description="an extractor vanishes after one use; with a full bag it cannot be used"
    )
    amount: Quantity = Field(default=1, description="elements per use")
    miner_amount: Quantity = Field(default=10, description="elements per use with miner gear")

    def stock_of(self, element: str) -> int:
        return self.stocks.get(element, self.stock)


class StationSettings(Settings):
    """Gear stations (rules 4); their prices are in `cost`, their places on the map."""

    uses: Annotated[int, Field(ge=1, le=255)] | None = Field(
        default=None, description="pieces of gear that a station hands out; null: any number"
    )


class RewardEntry(Settings):
    """`weight` times the change of `stat`, the product limited to `max` (rules 7.1)."""

    stat: str = Field(description="statistic of the cog, or of its team with the prefix 'collective.'")
    weight: float = Field(description="reward per unit of the statistic", allow_inf_nan=False)
    max: float | None = Field(default=None, description="most that the entry pays in an episode; null: no limit")


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
    difficulties_without_effect: bool = Field(
        default=True, description="false: standard, hard, single_use, energy_crisis and speed_run do what they say"
    )
    objective_weight_frozen: bool = Field(
        default=True, description="false: overriding the steps rescales the objective and events"
    )


class Mission(Settings):
    """One playable mission. Variants have been applied to it already; `variants` only names them."""

    name: str = Field(default=MISSION, pattern=r"^[\w.-]+$", max_length=100, description="site.mission")
    description: str = Field(default="", description="one sentence for people")
    max_steps: Interval = Field(default=1000, description="steps per episode")
    built_steps: Interval | None = Field(
        default=None,
        description="steps the mission was made for: divide the objective, end the events; null: max_steps",
    )
    num_agents: int | None = Field(default=None, ge=1, le=255, description="cogs; null: as many as the teams have")
    teams: dict[str, TeamSettings] = Field(default={"cogs": TeamSettings()}, min_length=1, max_length=8)
    cog: CogSettings = CogSettings()
    clips: ClipsSettings = ClipsSettings()
    weather: WeatherSettings = WeatherSettings()
    cost: CostSettings = CostSettings()
    area: AreaSettings = AreaSettings()
    extractor: ExtractorSettings = ExtractorSettings()
    station: StationSettings = StationSettings()
    map: MapSettings = MapSettings()
    team_element_limit: Quantity = Field(default=10000, description="elements a team stores in all")
    deposit_amount: Quantity = Field(default=100, description="most of each element that one deposit moves")
    change_vibe: bool = Field(default=True, description="cogs may change their vibe")
    roles: list[Role] = Field(
        default=[],
        max_length=16,
        description="roles that the cogs of a team have in turn: their first vibe, and role_id as they observe it",
    )
    variants: list[str] = Field(default=[], description="variants that have been applied")
    rewards: list[str] = Field(default=[], description="reward presets")
    reward_entries: dict[str, RewardEntry] = Field(default={}, description="own reward entries by key")
    quirks: QuirkSettings = QuirkSettings()

    @model_validator(mode="after")
    def _teams_fit(self) -> "Mission":
        if self.num_agents is not None and len(self.teams) > 1 and self.num_agents != self._team_total:
            raise SettingError(f"num_agents={self.num_agents} but the teams have {self._team_total}", "cogs", "teams")
        if self._team_total > MOST_AGENTS:
            raise SettingError(f"the teams have {self._team_total} agents, at most {MOST_AGENTS} play", "cogs", "teams")
        if not self.clips.disabled and self.max_steps // self.clips.shortest_interval > MOST_EVENTS:
            raise SettingError(f"the clips would act more than {MOST_EVENTS:,} times", "clips", "max_steps")
        if CLIPS in self.teams:
            raise SettingError(f"no team can be called '{CLIPS}'", "teams")
        shorts = [team.short_name for team in self.teams.values()]
        if len(set(shorts)) < len(shorts):
            raise SettingError(f"the short names of the teams must differ: {', '.join(shorts)}", "teams")
        return self

    @property
    def _team_total(self) -> int:
        return sum(team.num_agents for team in self.teams.values())

    @property
    def agents(self) -> int:
        """Cogs in play."""
        return self.num_agents or self._team_total

    @property
    def team_sizes(self) -> tuple[int, ...]:
        """Cogs in play by team."""
        return (self.agents,) if len(self.teams) == 1 else tuple(team.num_agents for team in self.teams.values())

    @property
    def rules(self) -> str:
        """Digest of everything that decides how it is played: all but what it says of itself to people.

        Stocks that follow from the wealth are left out: the digest is that of missions from before there were others.
        """
        usual = {key: {"stocks"} for key, team in self.teams.items() if not team.stocks}
        said: dict[str, Any] = {"name": True, "description": True, "teams": usual}
        return digest(self.model_dump_json(exclude=said))  # as text: the order of teams matters

    @property
    def label(self) -> str:
        """Name under which rewards are reported: the mission and its reward presets."""
        return ".".join([self.name, *self.rewards])


class MissionSettings(Settings):
    """A mission and what to change in it: the `mission` branch of the composed tree, and a mission file."""

    name: str = Field(
        default=MISSION,
        description="site.mission, a bare site, a mission's own name if unique, or a mission file",
    )
    base: str | dict[str, Any] | None = Field(
        default=None, description="mission that the rest changes, named or whole; null: the one that `name` names"
    )
    description: str | None = Field(default=None, description="one sentence for people; default: the mission's")
    variants: list[str] = Field(default=[], description="named changes, applied in order (cogames variants)")
    difficulty: Literal["easy", "medium", "hard"] | None = Field(default=None, description="clips pressure")
    rewards: list[str] = Field(default=[], description="reward presets added to the mission's own")
    cogs: int | None = Field(default=None, ge=1, description="number of agents; default: the mission's")
    max_steps: Interval | None = Field(default=None, description="steps per episode; default: the mission's")
    change_vibe: bool | None = Field(default=None, description="cogs may change their vibe; default: the mission's")
    deposit_amount: Quantity | None = Field(
        default=None, description="most of each element that one deposit moves; default: the mission's"
    )
    team_element_limit: Quantity | None = Field(
        default=None, description="elements a team stores in all; default: the mission's"
    )
    roles: list[Role] | None = Field(default=None, description="roles of the cogs in turn; default: the mission's")
    teams: dict[str, dict[str, Any]] = Field(
        default={},
        description="changes to teams: {cogs: {wealth: 3}}; new ones take the place of all that are not named",
    )
    cog: dict[str, Any] = Field(default={}, description="changes to limits, modifiers and upkeep of cogs")
    clips: dict[str, Any] = Field(default={}, description="changes to the clips' schedule")
    weather: dict[str, Any] = Field(default={}, description="changes to day and night")
    cost: dict[str, Any] = Field(default={}, description="changes to prices")
    area: dict[str, Any] = Field(default={}, description="changes to areas of effect")
    extractor: dict[str, Any] = Field(default={}, description="changes to extractors")
    station: dict[str, Any] = Field(default={}, description="changes to gear stations")
    map: dict[str, Any] = Field(default={}, description="another site, changes to its generator, or a drawn map")
    quirks: dict[str, Any] = Field(default={}, description="deviations of the original to switch off")
    reward_entries: dict[str, RewardEntry] = Field(
        default={}, description="own rewards by key: {mine: {stat: carbon.gained, weight: 0.1, max: null}}"
    )
