"""What an agent sees: names and ids of observation features and tags (rules 8)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metta.game.maps.cells import AGENT, JUNCTION, TEAM_JUNCTION, WALL
from metta.game.resources import CLIPS, ELEMENTS, GEAR, RESOURCES, ROLE, action_names

if TYPE_CHECKING:  # the process of a user's class reads this file, and is to start quickly
    from metta.game.mission import Mission

STATION_KINDS = ("hub", *GEAR)
SPECIAL_JUNCTION = "c:junction"
SPECIAL_TEAM = "cogs"
PLAIN_ACTIONS = 5  # noop and four moves; what follows changes vibes
PLAIN_FEATURES = (
    ("agent:group", 10), ("agent:frozen", 1), ("episode_completion_pct", 255), ("last_action", 10),
    ("last_reward", 100), ("goal", 100), ("vibe", 255), ("tag", 10), ("cooldown_remaining", 255),
    ("remaining_uses", 255), ("collective", 10), ("lp:east", 255), ("lp:west", 255), ("lp:north", 255),
    ("lp:south", 255), ("agent_id", 255),
)  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """One kind of observation token; `normalization` is the value that a network divides by."""

    id: int
    name: str
    normalization: float


@dataclass(frozen=True)
class EnvInfo:
    """What a policy knows of its environment before the first step."""

    features: tuple[Feature, ...]
    tags: tuple[str, ...]
    action_names: tuple[str, ...]
    num_agents: int
    window: tuple[int, int] = (11, 11)
    num_tokens: int = 200

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return self.num_tokens, 3

    @property
    def observation_dtype(self) -> str:
        return "uint8"

    @property
    def without_vibes(self) -> "EnvInfo":
        """The same with the actions that do not change vibes: noop and four moves."""
        return replace(self, action_names=self.action_names[:PLAIN_ACTIONS])

    @property
    def action_sizes(self) -> tuple[int, ...]:
        return (len(self.action_names),)


def resources(mission: "Mission") -> tuple[str, ...]:
    """Resources in id order; a mission that gives roles has one more."""
    return (*RESOURCES, ROLE) if mission.roles else RESOURCES


def features(resources: tuple[str, ...] = RESOURCES) -> tuple[Feature, ...]:
    """All features in id order (rules 8.2)."""
    named = list(PLAIN_FEATURES)
    for resource in resources:
        named += [(f"inv:{resource}", 256), (f"inv:{resource}:p1", 256)]
    for direction in ("protocol_input", "protocol_output"):
        named += [(f"{direction}:{resource}", 100) for resource in resources]
    for element in ELEMENTS:
        named += [(f"inv:collective:{element}", 256), (f"inv:collective:{element}:p1", 256)]
    if ROLE in resources:
        named += [(f"inv:own:{ROLE}", 256), (f"inv:own:{ROLE}:p1", 256)]
    named += [("aoe_mask", 3), ("last_action_move", 1)]
    return tuple(Feature(index, name, scale) for index, (name, scale) in enumerate(named))


def type_names(mission: "Mission") -> list[str]:
    """Object type names of the mission, without agents."""
    stations = [f"{team.short_name}:{kind}" for team in mission.teams.values() for kind in STATION_KINDS]
    extractors = [f"{element}_extractor" for element in ELEMENTS]
    return ["wall", "junction", SPECIAL_JUNCTION, *extractors, *stations]


def tags(mission: "Mission") -> tuple[str, ...]:
    """Tags in id order: alphabetical (rules 8.3)."""
    teams = {*mission.teams, SPECIAL_TEAM}
    names = [f"collective:{team}" for team in teams]
    return tuple(sorted([*names, "type:agent", *(f"type:{name}" for name in type_names(mission))]))


def collectives(mission: "Mission") -> tuple[str, ...]:
    """Teams and clips in id order: alphabetical (rules 1.3)."""
    clips = [] if mission.clips.disabled else [CLIPS]
    return tuple(sorted([*mission.teams, *clips]))


def env_info(mission: "Mission") -> EnvInfo:
    return EnvInfo(features(resources(mission)), tags(mission), action_names(mission.change_vibe), mission.agents)


def cell_name(kind: int, mission: "Mission", team: int) -> str:
    """Type name of a map cell's kind (metta.game.maps.cells)."""
    if kind in (WALL, AGENT, JUNCTION):
        return {WALL: "wall", AGENT: "agent", JUNCTION: "junction"}[kind]
    if kind == TEAM_JUNCTION:
        return SPECIAL_JUNCTION
    if kind < TEAM_JUNCTION + 1 + len(STATION_KINDS):
        short = list(mission.teams.values())[team].short_name
        return f"{short}:{STATION_KINDS[kind - TEAM_JUNCTION - 1]}"
    return f"{ELEMENTS[kind - TEAM_JUNCTION - 1 - len(STATION_KINDS)]}_extractor"
