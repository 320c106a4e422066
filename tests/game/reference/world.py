"""One environment at the start of an episode: cogs, things and teams of a mission on a map (rules 1, 4, 9.1)."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from metta.game.maps import cells
from metta.game.mission import Mission
from metta.game.resources import CLIPS, ELEMENTS, GEAR, RESOURCES, VIBES
from tests.game.reference.bag import MOST, Bag

Place = tuple[int, int]
MASK = (1 << 64) - 1
HOUSES = {cells.HUB: "hub", **dict(zip(range(cells.ALIGNER, cells.SCOUT + 1), GEAR, strict=True))}
EXTRACTORS = dict(zip(range(cells.OXYGEN, cells.SILICON + 1), ELEMENTS, strict=True))


def mix(z: int) -> int:
    """The scrambling function of splitmix64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


class Dice:
    """splitmix64 (Steele et al., 2014)."""

    def __init__(self, state: int):
        self.state = state

    def below(self, n: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return (mix(self.state) >> 32) * n >> 32


@dataclass
class Team:
    """A collective: its stock, its members by type and what it has counted."""

    name: str
    limit: int
    amounts: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    stats: Counter[str] = field(default_factory=Counter)

    def room(self, element: str) -> int:
        return max(0, self.limit - sum(self.amounts[e] for e in ELEMENTS))

    def pays(self, price: dict[str, int]) -> bool:
        return all(self.amounts[item] >= amount for item, amount in price.items())

    def change(self, item: str, delta: int) -> None:
        self.amounts[item] += delta
        self.stats[f"{item}.{'deposited' if delta > 0 else 'withdrawn'}"] += abs(delta)

    def count(self, type_: str, change: int) -> None:
        self.members[type_] += change
        self.stats[f"aligned.{type_}.{'gained' if change > 0 else 'lost'}"] += 1

    def statistics(self) -> Counter[str]:
        amounts = {f"{item}.amount": amount for item, amount in self.amounts.items()}
        return self.stats + Counter(amounts) + Counter({f"aligned.{name}": n for name, n in self.members.items()})


@dataclass
class Thing:
    """What stands on a cell, agents apart. `counted` is the type under which collectives count it."""

    type: str
    place: Place
    owner: str | None = None
    item: str = ""
    stock: int = 0
    tags: tuple[str, ...] = ()
    counted: str = ""
    seen: int = 0

    @property
    def kind(self) -> str:
        """The type without the team's prefix."""
        return self.type.split(":")[-1]


@dataclass
class Cog:
    number: int
    team: str
    group: int
    index: int  # within its team
    place: Place
    spawn: Place
    bag: Bag
    stats: Counter[str]
    vibe: int = 0
    success: bool = False
    last_action: int = 0
    moved: bool = False
    still: int = 0
    last_place: Place = (0, 0)
    seen: int = 0
    entries: dict[str, np.float32] = field(default_factory=dict)
    returns: np.float32 = field(default_factory=lambda: np.float32(0))
    last_reward: np.float32 = field(default_factory=lambda: np.float32(0))


class World:
    """Environment `number` of a batch with this seed; `start` sets up its next episode."""

    def __init__(self, mission: Mission, maps: np.ndarray, seed: int, number: int, desync: bool = False):
        self.mission, self.maps, self.seed, self.number = mission, maps, seed, number
        clips = [] if mission.clips.disabled else [CLIPS]
        self.names = sorted([*mission.teams, *clips])
        self.episode = 0
        self.start(desync)

    def start(self, desync: bool = False) -> None:
        mission, episode = self.mission, self.episode
        self.episode += 1
        key = mix(self.seed)
        drawn = mix((key + self.number * 0xD1B54A32D192ED03 + episode) & MASK) % len(self.maps)
        self.map = drawn if episode else self.number % len(self.maps)
        self.grid = self.maps[self.map]
        self.dice = Dice(mix((mix((key + self.number) & MASK) + episode) & MASK))
        self.time, self.fired = 0, 0
        self.written = self.dropped = self.observations = 0
        self.teams = {name: Team(name, mission.team_element_limit) for name in self.names}
        for name, team in mission.teams.items():
            self.teams[name].amounts.update({item: team.stock_of(item) for item in RESOURCES})
        self.at: dict[Place, Thing | Cog] = {}
        self.things: list[Thing] = []
        self.cogs: list[Cog] = []
        for (row, col), code in np.ndenumerate(self.grid):
            self._place((row, col), int(code) & cells.KIND_MASK, int(code) >> cells.TEAM_SHIFT)
        self.cogs.sort(key=lambda cog: cog.number)
        self.limit = 1 + self.dice.below(mission.max_steps) if desync else mission.max_steps

    def _place(self, place: Place, kind: int, group: int) -> None:
        if kind == cells.EMPTY:
            return
        if kind == cells.AGENT:
            self._place_cog(place, group)
            return
        thing = self._thing(place, kind, group)
        self.at[place] = thing
        if kind != cells.WALL:
            self.things.append(thing)
        if thing.owner:
            self.teams[thing.owner].count(thing.counted, 1)

    def _place_cog(self, place: Place, group: int) -> None:
        """The next cog of the team; pads beyond the team's size stay empty."""
        teams = list(self.mission.teams.values())
        sizes = [team.num_agents for team in teams] if len(teams) > 1 else [self.mission.agents]
        index = sum(cog.group == group for cog in self.cogs)
        if index < sizes[group]:
            team, stats = list(self.mission.teams)[group], Counter[str]()
            number = sum(sizes[:group]) + index
            roles = self.mission.roles
            role = roles[index % len(roles)] if roles else None
            vibe = VIBES.index(role) if role else 0
            bag = Bag(self.mission, role, stats)
            cog = Cog(number, team, group, index, place, place, bag, stats, vibe, last_place=place)
            self.cogs.append(cog)
            self.at[place] = cog
            self.teams[team].count("agent", 1)

    def _thing(self, place: Place, kind: int, group: int) -> Thing:
        if kind == cells.WALL:
            return Thing("wall", place, tags=("type:wall",))
        if kind == cells.JUNCTION:
            return Thing("junction", place, tags=("type:junction",), counted="junction")
        if kind in EXTRACTORS:
            element, settings = EXTRACTORS[kind], self.mission.extractor
            stock = settings.stocks.get(element, settings.stock)
            type_ = f"{element}_extractor"
            return Thing(type_, place, None, element, stock, (f"type:{type_}",))
        owner = list(self.mission.teams)[group]
        if kind == cells.TEAM_JUNCTION:
            counted = "c:junction" if self.mission.quirks.hub_junction_is_special else "junction"
            tags = ("collective:cogs", "type:c:junction", "type:junction")
            return Thing("c:junction", place, owner, tags=tags, counted=counted)
        team = self.mission.teams[owner]
        type_ = f"{team.short_name}:{HOUSES[kind]}"
        tags = (f"collective:{owner}", f"type:{type_}")
        if kind == cells.HUB:
            return Thing(type_, place, owner, "heart", team.hub_hearts, tags, type_)
        return Thing(type_, place, owner, HOUSES[kind], self.mission.station.uses or 0, tags, type_)

    def set_owner(self, thing: Thing, owner: str | None) -> None:
        if thing.owner == owner:
            return
        if thing.owner:
            self.teams[thing.owner].count(thing.counted, -1)
        if owner:
            self.teams[owner].count(thing.counted, 1)
        thing.owner = owner

    def sources(self) -> list[Thing]:
        """Owned things that have an area (rules 5)."""
        return [thing for thing in self.things if thing.owner and thing.kind in ("junction", "hub")]

    def covering(self, place: Place) -> list[Thing]:
        """Sources whose area covers a cell."""
        return [thing for thing in self.sources() if apart(thing.place, place) <= self.mission.area.radius**2]


def apart(a: Place, b: Place) -> int:
    """Squared distance."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def clamp(amount: int) -> int:
    return max(0, min(MOST, amount))
