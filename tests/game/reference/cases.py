"""Random missions on random small maps, played by random actions: what fuzzing tries."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metta.game.maps import cells
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission, MissionSettings, QuirkSettings
from metta.game.missions import build_mission, load_mission, mission_names
from metta.game.resources import ELEMENTS, GEAR, RESOURCES, ROLES
from metta.game.rewards import PRESETS
from metta.game.variants import ENVIRONMENT_VARIANTS, MISSION_VARIANTS
from tests.game.reference import pictures
from tests.game.reference.step import STEPS
from tests.game.reference.twin import Twin
from tests.game.reference.world import Cog, Thing, World

ERRAND = 7  # steps
PAIR = ("cogs_green", "cogs_blue")  # of the variant multi_team
TEAMS = ("amber", "blue", "cogs", "drab")  # before and behind the clips
LEVELS = ("hard", "single_use", "energy_crisis", "speed_run")
INVALID = (-1, 12, 255, 2**31 - 1, -(2**31))
BASE = {kind: 2 if kind == cells.JUNCTION else 1 for kind in range(cells.JUNCTION, cells.SILICON + 1)}
FIELD = {cells.HUB: 1, cells.ALIGNER: 2, cells.SCRAMBLER: 1, cells.JUNCTION: 4}  # for a contest of junctions
STATS = (
    *(f"{name}.{what}" for name in RESOURCES for what in ("gained", "lost", "amount")),
    "gain_diversity", "deposit_diversity", "death", "cell.visited", "action.noop.success", "action.invalid_index",
    "collective.carbon.withdrawn", "collective.carbon.amount", "collective.aligned.junction",
    "collective.aligned.agent.held",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One try: a mission, how its maps are drawn, and the seeds of everything random."""

    mission: dict[str, Any]  # fields of MissionSettings
    height: int
    width: int
    walls: float  # share of the cells
    things: dict[int, int]  # kind of map cell: how many
    pool: int  # maps
    seed: int
    envs: int
    steps: int
    desync: bool
    drawn: bool = False  # the mission brings its map as a picture

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """Raises ValueError or TypeError for text that is no case."""
        fields = json.loads(text)
        return cls(**fields | {"things": {int(kind): count for kind, count in fields["things"].items()}})

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def build(self) -> Mission:
        settings = MissionSettings.model_validate(self.mission)
        mission = build_mission(settings)
        if not self.drawn or mission.map.picture:
            return mission
        drawn = pictures.draw(self._scattered(mission)[0], list(mission.teams), np.random.default_rng(self.seed))
        return build_mission(settings.model_copy(update={"map": settings.map | drawn}))

    def maps(self, mission: Mission) -> np.ndarray:
        """The pool, uint8 [P, H, W]: the mission's own where it has a picture."""
        if not mission.map.picture:
            return self._scattered(mission)
        pool = build_pool(mission, self.pool, self.seed)
        pictures.check(mission, pool)
        return pool

    def _scattered(self, mission: Mission) -> np.ndarray:
        """Maps at random: pads for all cogs first, then things as long as there is room, then walls."""
        rng = np.random.default_rng(self.seed)
        teams, more = len(mission.teams), self.seed % 2
        sizes = enumerate(mission.team_sizes)
        pads = [cells.AGENT | k << cells.TEAM_SHIFT for k, size in sizes for _ in range(size + more)]
        things = [kind for kind, count in self.things.items() for _ in range(count)]
        owned = np.array([kind in range(cells.TEAM_JUNCTION, cells.SCOUT + 1) for kind in things], int)
        pool = np.zeros((self.pool, self.height * self.width), np.uint8)
        for grid in pool:
            shift = rng.integers(0, teams, len(things)) * owned << cells.TEAM_SHIFT
            content = [*pads, *(np.array(things, int) | shift), *([cells.WALL] * int(self.walls * grid.size))]
            content = content[: grid.size]
            grid[rng.permutation(grid.size)[: len(content)]] = content
        return pool.reshape(self.pool, self.height, self.width)

    def play(self) -> Twin:
        """Play the case on engine and reference. Raises DifferenceError where they disagree."""
        mission = self.build()
        twin = Twin(mission, self.maps(mission), self.seed, self.envs, self.desync)
        rng = np.random.default_rng(self.seed)
        for _ in range(self.steps):
            actions = [[choose(world, cog, rng) for cog in world.cogs] for world in twin.worlds]
            twin.step(np.array(actions, np.int32))
        return twin


def choose(world: World, cog: Cog, rng: np.random.Generator) -> int:
    """Mostly run errands from thing to thing; else wait, move, change the vibe or do what does not exist."""
    kind = rng.random()
    if kind < 0.05:
        return int(rng.choice(INVALID))
    if kind < 0.1:
        return int(rng.integers(5, 12))
    things = errands(world, cog)
    if kind < 0.35 or not things:
        return int(rng.integers(0, 5))
    place = things[(world.time // ERRAND + cog.number) % len(things)].place
    south, east = place[0] - cog.place[0], place[1] - cog.place[1]
    vertical = abs(south) > abs(east) if kind < 0.9 else south != 0
    toward = ((south > 0) - (south < 0), 0) if vertical else (0, (east > 0) - (east < 0))
    return next((action for action, step in STEPS.items() if step == toward), 0)


def errands(world: World, cog: Cog) -> list[Thing]:
    """Where to go: dressed and with a heart to the junctions, dressed to no station (now and then), else anywhere."""
    dressed = any(cog.bag[gear] for gear in GEAR) and world.time % 40 < 30
    if dressed and cog.bag["heart"]:
        return [thing for thing in world.things if thing.kind == "junction"]
    return [thing for thing in world.things if not (dressed and thing.kind in GEAR)]


counts = st.one_of(st.integers(0, 5), st.integers(0, 40), st.sampled_from([100, 255, 256, 300, 65535]))
deltas = st.one_of(st.integers(-12, 12), st.sampled_from([-65535, -100, 100, 65535]))
amounts = st.dictionaries(st.sampled_from(RESOURCES), counts, max_size=3)
changes = st.dictionaries(st.sampled_from(RESOURCES), deltas, max_size=3)
steps = st.integers(0, 40)
ends = st.none() | steps
prices = st.one_of(st.just({}), st.dictionaries(st.sampled_from(ELEMENTS), st.integers(0, 4), max_size=4), amounts)


@st.composite
def some(draw: st.DrawFn, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    """At most four of these settings: with many changed at once, too little of the game is left to play."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True))
    return {name: draw(fields[name]) for name in names}


cogs = some(
    gear_limit=st.integers(0, 4), hp_limit=counts, heart_limit=counts, energy_limit=counts, cargo_limit=counts,
    influence_limit=counts, hp_modifiers=amounts, energy_modifiers=amounts, cargo_modifiers=amounts,
    influence_modifiers=amounts, gear_modifiers=amounts, heart_modifiers=amounts, initial_inventory=amounts,
    initial_energy=counts, initial_hp=counts, initial_solar=counts, hp_regen=deltas, influence_regen=deltas,
    action_cost=st.one_of(st.just({}), st.just({"energy": 1}), amounts),
)  # fmt: skip
clips = some(
    disabled=st.booleans(), initial_clips_start=steps, initial_clips_spots=st.integers(0, 4), scramble_start=steps,
    scramble_interval=st.integers(1, 20), scramble_radius=st.integers(0, 9), scramble_end=ends, align_start=steps,
    align_interval=st.integers(1, 20), align_radius=st.integers(0, 9), align_end=ends, presence_end=ends,
    initial_neutral_only=st.booleans(),
)  # fmt: skip
weather = some(day_length=st.integers(2, 30), day_deltas=changes, night_deltas=changes)
costs = some(
    heart=prices, aligner=prices, scrambler=prices, miner=prices, scout=prices, align=amounts, scramble=amounts
)
area = st.one_of(  # the usual radius covers a whole small map
    st.fixed_dictionaries({"radius": st.integers(0, 3)}),
    some(radius=st.integers(0, 14), friendly=changes, enemy=changes),
)
extractor = some(
    stock=counts, stocks=st.dictionaries(st.sampled_from(ELEMENTS), counts), single_use=st.booleans(), amount=counts,
    miner_amount=counts,
)  # fmt: skip
station = st.fixed_dictionaries({"uses": st.none() | st.integers(1, 3) | st.just(255)})
means = {
    "wealth": st.integers(0, 40) | st.just(1000), "initial_hearts": st.none() | counts,
    "stocks": st.dictionaries(st.sampled_from([*ELEMENTS, "heart"]), counts),
}  # fmt: skip
team = some(**means)
quirks = st.dictionaries(st.sampled_from(sorted(QuirkSettings.model_fields)), st.booleans(), max_size=6)
entries = st.dictionaries(
    st.sampled_from(["first", "second", "aligned_junction_held"]),
    st.fixed_dictionaries(
        {"stat": st.sampled_from(STATS), "weight": st.sampled_from([1.0, -0.5, 0.013])},
        optional={"max": st.sampled_from([3.0, -0.2, 0.0])},
    ),
    max_size=3,
)


NAMES = mission_names()
DRAWN = frozenset(name for name in NAMES if load_mission(name).map.picture)
sized = st.tuples(team, st.integers(1, 3)).map(lambda pair: pair[0] | {"num_agents": pair[1]})


@st.composite
def sides(draw: st.DrawFn, drawn: bool) -> dict[str, Any]:
    """Fields that say who plays: one team, the two of multi_team, or teams of any names and sizes."""
    count = draw(st.integers(1, 3 if drawn else 4))
    kind = "one" if drawn else draw(st.sampled_from(["one", "pair", "several"]))
    if kind == "one":
        return {"cogs": count, "teams": draw(some(cogs=some(**means, short_name=st.sampled_from(["a", "zeta"]))))}
    if kind == "pair":
        return {"cogs": 2 * count, "teams": draw(some(**dict.fromkeys(PAIR, team))), "variants": ["multi_team"]}
    return {"teams": draw(st.dictionaries(st.sampled_from(TEAMS), sized, min_size=1))}


@st.composite
def missions(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of MissionSettings: a mission by name with any of its settings changed."""
    name = draw(st.sampled_from(NAMES))
    who = draw(sides(name in DRAWN))
    variants = draw(st.lists(st.sampled_from(sorted({*MISSION_VARIANTS, *ENVIRONMENT_VARIANTS})), max_size=3))
    rules = some(
        cog=cogs, weather=weather, cost=costs, quirks=quirks, change_vibe=st.booleans(), deposit_amount=counts,
        team_element_limit=counts, reward_entries=entries, rewards=st.lists(st.sampled_from(PRESETS), max_size=3),
        difficulty=st.sampled_from(["easy", "medium", "hard"]),
    )  # fmt: skip
    others = some(
        clips=clips,
        extractor=extractor,
        station=station,
        roles=st.lists(st.sampled_from(ROLES), min_size=1, max_size=5),
    )
    fields = draw(st.just({}) | rules) | draw(st.just({}) | others)
    if draw(st.integers(0, 3)) == 3:  # difficulties act only where a quirk is off
        variants.append(draw(st.sampled_from(LEVELS)))
        fields["quirks"] = fields.get("quirks", {}) | {"difficulties_without_effect": False}
    return (
        fields
        | who
        | {
            "name": name,
            "variants": [*variants, *who.get("variants", [])],
            "area": draw(area),
            "max_steps": draw(st.integers(1, 100)),
        }
    )


def size(mission: dict[str, Any]) -> int:
    """Cogs in play."""
    return mission.get("cogs") or sum(team["num_agents"] for team in mission["teams"].values())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = st.integers(cells.JUNCTION, cells.SILICON)
    mission = draw(missions())
    least = 3 + size(mission)  # pads, and some that stay empty, fit into one row of the map
    return Case(
        mission=mission,
        height=draw(st.integers(1, 8)),
        width=draw(st.integers(least, least + 4)),
        walls=draw(st.sampled_from([0.0, 0.1, 0.3])),
        things=draw(st.dictionaries(kinds, st.integers(1, 4)) | st.just(BASE) | st.just(FIELD)),
        pool=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 2**32 - 1)),
        envs=draw(st.integers(1, 3)),
        steps=draw(st.integers(1, 100)),
        desync=draw(st.booleans()),
        drawn=draw(st.booleans()),
    )
