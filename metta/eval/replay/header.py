"""What a replay says once, before its steps: the map, the names and who plays. docs/replays.md explains every key."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from metta.game.engine.batch import Batch
from metta.game.maps.cells import KIND_MASK, WALL
from metta.game.mission import Mission
from metta.game.observation import SPECIAL_JUNCTION, SPECIAL_TEAM, collectives, resources
from metta.game.resources import ELEMENTS, VIBES

MOST_CELLS = 1 << 20
MOST_SIDE = 1 << 13  # rows, and columns
MOST_OBJECTS = 1 << 16
# What a replay keeps of each agent, before its inventory.
AGENT_COLUMNS = (
    "row", "col", "vibe", "action", "success", "reward", "value", "role", "task", "target_row", "target_col",
)  # fmt: skip
OBJECT_COLUMNS = ("owner", "stock")
NONE, GONE = -1, -2  # owner of an object that nobody holds, that is no longer there; also: no role, task or target

Name = Annotated[str, Field(max_length=200)]
Names = Annotated[list[Name], Field(max_length=256)]
Index = Annotated[int, Field(ge=0, le=MOST_OBJECTS)]


class Part(BaseModel):
    """A part of the header. Keys that a later version may add are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class AgentInfo(Part):
    team: Index
    group: Index
    policy: Index


class ObjectType(Part):
    name: Name
    tags: Annotated[list[Index], Field(max_length=16)]
    item: int = Field(ge=-1, le=255)


class ObjectInfo(Part):
    type: Index
    row: Index
    col: Index


class Limit(Part):
    items: Names
    least: int
    most: int
    bonus: Annotated[dict[Name, int], Field(max_length=256)]
    add: bool


class Sight(Part):
    features: Names
    tags: Names
    window: int = Field(ge=1, le=255)
    tokens: int = Field(ge=1, le=10_000)
    territory: bool
    reward: bool


class ReplayHeader(Part):
    mission: Name
    variants: Names
    seed: int  # of the episode
    map_seed: int | None = None  # of its map; replays of before do not say
    max_steps: int = Field(ge=1, le=10_000_000)
    policies: Annotated[list[Name], Field(min_length=1, max_length=256)]
    agents: Annotated[list[AgentInfo], Field(min_length=1, max_length=255)]
    types: Annotated[list[ObjectType], Field(max_length=256)]
    objects: Annotated[list[ObjectInfo], Field(max_length=MOST_OBJECTS)]
    collectives: Annotated[list[Name], Field(max_length=32)]
    resources: Annotated[list[Name], Field(max_length=64)]
    actions: Names
    vibes: Names
    roles: Names
    tasks: Names
    values: bool
    limits: Annotated[list[Limit], Field(max_length=32)]
    radius: int = Field(ge=0, le=1000)
    day_length: int = Field(ge=0)
    sight: Sight
    map: Annotated[list[Annotated[str, Field(max_length=MOST_SIDE)]], Field(min_length=1, max_length=MOST_SIDE)]

    @model_validator(mode="after")
    def _parts_fit(self) -> "ReplayHeader":
        width = len(self.map[0])
        if width * len(self.map) > MOST_CELLS or any(len(row) != width for row in self.map):
            raise ValueError("the map is too large or no rectangle")
        if any(agent.team >= len(self.collectives) or agent.policy >= len(self.policies) for agent in self.agents):
            raise ValueError("an agent's team or policy is not listed")
        if any(o.type >= len(self.types) or o.row >= len(self.map) or o.col >= width for o in self.objects):
            raise ValueError("an object's type is not listed or its place lies outside the map")
        return self

    @property
    def agent_width(self) -> int:
        return len(AGENT_COLUMNS) + len(self.resources)

    @property
    def size(self) -> int:
        """Numbers in a state: agents, then objects, then inventories of the collectives."""
        objects = len(OBJECT_COLUMNS) * len(self.objects)
        return len(self.agents) * self.agent_width + objects + len(self.collectives) * len(self.resources)


def make_header(
    batch: Batch,
    env: int,
    seeds: tuple[int, int],
    policies: list[str],
    policy_of: list[int],
    roles: list[str],
    tasks: list[str],
) -> ReplayHeader:
    """The header of the episode that environment `env` of a batch has just started; `seeds` are its own and the one
    that its map has where the mission names none."""
    mission, objects = batch.mission, batch.objects(env)
    names = sorted({thing["type"] for thing in objects})
    teams = [list(collectives(mission)).index(name) for name in mission.teams]
    groups = [group for group, size in enumerate(mission.team_sizes) for _ in range(size)]
    walls = (batch.map(env) & KIND_MASK) == WALL
    return ReplayHeader(
        mission=mission.name,
        variants=mission.variants,
        seed=seeds[0],
        map_seed=seeds[1] if mission.map.seed is None else mission.map.seed,
        max_steps=mission.max_steps,
        policies=policies,
        agents=[AgentInfo(team=teams[g], group=g, policy=p) for g, p in zip(groups, policy_of, strict=True)],
        types=[_object_type(name, mission, batch.info.tags) for name in names],
        objects=[ObjectInfo(type=names.index(thing["type"]), row=thing["row"], col=thing["col"]) for thing in objects],
        collectives=list(collectives(mission)),
        resources=list(resources(mission)),
        actions=list(batch.info.action_names),
        vibes=list(VIBES),
        roles=roles,
        tasks=tasks,
        values=False,
        limits=_limits(mission),
        radius=mission.area.radius,
        day_length=mission.weather.day_length if mission.weather.day_deltas != mission.weather.night_deltas else 0,
        sight=Sight(
            features=[feature.name for feature in batch.info.features],
            tags=list(batch.info.tags),
            window=batch.info.window[0],
            tokens=batch.info.num_tokens,
            territory=not mission.quirks.territory_invisible,
            reward=not mission.quirks.last_reward_invisible,
        ),
        map=["".join(row) for row in np.where(walls, "#", ".").tolist()],
    )


def _object_type(name: str, mission: Mission, tags: tuple[str, ...]) -> ObjectType:
    """Tags that an object shows (rules 8.3) and the item that it holds; -1: none."""
    shown = [f"type:{name}"]
    if name == SPECIAL_JUNCTION:
        shown += ["type:junction", f"collective:{SPECIAL_TEAM}"]
    elif ":" in name:
        team = next(team for team, settings in mission.teams.items() if settings.short_name == name.split(":")[0])
        shown.append(f"collective:{team}")
    plain = name.split(":")[-1].removesuffix("_extractor")
    item, known = "heart" if plain == "hub" else plain, resources(mission)
    held = known.index(item) if item in known else -1
    return ObjectType(name=name, tags=sorted(tags.index(tag) for tag in shown), item=held)


def _limits(mission: Mission) -> list[Limit]:
    """How much of what a cog can hold (rules 1.2)."""
    cog, add = mission.cog, not mission.quirks.bonuses_do_not_add
    rows: tuple[tuple[list[str], int, dict[str, int]], ...] = (
        (["hp"], cog.hp_limit, cog.hp_modifiers),
        (["energy"], cog.energy_limit, cog.energy_modifiers),
        (["influence"], cog.influence_limit, cog.influence_modifiers),
        (list(ELEMENTS), cog.cargo_limit, cog.cargo_modifiers),
        (["heart"], cog.heart_limit, {}),
    )
    return [Limit(items=items, least=least, most=65535, bonus=dict(bonus), add=add) for items, least, bonus in rows]
