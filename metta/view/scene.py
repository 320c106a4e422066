"""What there is to see of a match at one step, apart from how it is drawn."""

from dataclasses import dataclass

import numpy as np

from metta.game.maps.cells import KIND_MASK, WALL
from metta.game.observation import collectives, resources
from metta.game.resources import CLIPS, ELEMENTS, GEAR, VIBES
from metta.policy.interface import tells
from metta.view.match import Match

NEUTRAL = "neutral"


@dataclass(frozen=True)
class Thing:
    """An object of the map other than a wall or a cog; `kind` is its type without the team's prefix."""

    kind: str
    row: int
    col: int
    owner: str  # a team, the clips, or nobody: NEUTRAL
    stock: int


@dataclass(frozen=True)
class Cog:
    """An agent; `role`, `task` and `target` are what its policy publishes, '' and None where it is silent."""

    number: int
    team: str
    row: int
    col: int
    vibe: str
    carried: dict[str, int]  # by resource
    score: float
    role: str = ""
    task: str = ""
    target: tuple[int, int] | None = None  # row and column on the map

    @property
    def gear(self) -> str:
        """Gear that it wears; '' for none."""
        return next((gear for gear in GEAR if self.carried[gear]), "")

    @property
    def cargo(self) -> int:
        return sum(self.carried[element] for element in ELEMENTS)


@dataclass(frozen=True)
class Scene:
    """A match at one step."""

    mission: str
    step: int
    max_steps: int
    walls: np.ndarray  # bool [H, W]
    radius: int  # of the areas around hubs and junctions
    things: list[Thing]
    cogs: list[Cog]
    stock: dict[str, dict[str, int]]  # by team: elements that it stores, and hearts in its hubs
    owners: tuple[str, ...]  # that junctions can have, the clips last

    @property
    def junctions(self) -> dict[str, int]:
        """Number of junctions by owner."""
        owners = [thing.owner for thing in self.things if thing.kind == "junction"]
        return {owner: owners.count(owner) for owner in self.owners}

    @property
    def score(self) -> float:
        """Mean return of the cogs so far."""
        return sum(cog.score for cog in self.cogs) / len(self.cogs)

    def hub(self, team: str) -> tuple[int, int]:
        """Row and column of a team's hub; the middle of the map where it has none."""
        hub = find_hub(self.things, team)
        return (hub.row, hub.col) if hub else (self.walls.shape[0] // 2, self.walls.shape[1] // 2)


def things_of(match: Match) -> list[Thing]:
    """The objects that are on the map now."""
    return [
        Thing(found["type"].split(":")[-1], found["row"], found["col"], found["owner"] or NEUTRAL, found["stock"])
        for found in match.batch.objects(0)
    ]


def find_hub(things: list[Thing], team: str) -> Thing | None:
    return next((thing for thing in things if thing.kind == "hub" and thing.owner == team), None)


def teams_of(match: Match) -> list[str]:
    """The team of every cog."""
    mission = match.mission
    return [team for team, size in zip(mission.teams, mission.team_sizes, strict=True) for _ in range(size)]


def stock_of(match: Match, things: list[Thing]) -> dict[str, dict[str, int]]:
    """What each team stores: elements, and the hearts in its hubs."""
    inventories, names = match.batch.team_inventory()[0].tolist(), resources(match.mission)
    stock = {}
    for team in match.mission.teams:
        stored = dict(zip(names, inventories[collectives(match.mission).index(team)], strict=True))
        hearts = sum(thing.stock for thing in things if thing.kind == "hub" and thing.owner == team)
        stock[team] = {element: stored[element] for element in ELEMENTS} | {"heart": hearts}
    return stock


def scene_of(match: Match) -> Scene:
    """The match as it stands."""
    batch, things, names = match.batch, things_of(match), resources(match.mission)
    inventories, vibes = batch.inventories()[0].tolist(), batch.vibes()[0].tolist()
    said = _said(match)
    cogs = []
    for number, (team, (row, col)) in enumerate(zip(teams_of(match), batch.positions()[0].tolist(), strict=True)):
        carried = dict(zip(names, inventories[number], strict=True))
        target = _from_hub(things, team, said[number].target)
        role, task, score = said[number].role, said[number].task, float(match.returns[number])
        cogs.append(Cog(number, team, row, col, VIBES[vibes[number]], carried, score, role, task, target))
    return Scene(
        mission=match.mission.name,
        step=match.step,
        max_steps=match.mission.max_steps,
        walls=(batch.map(0) & KIND_MASK) == WALL,
        radius=match.mission.area.radius,
        things=things,
        cogs=cogs,
        stock=stock_of(match, things),
        owners=(NEUTRAL, *match.mission.teams, *(() if match.mission.clips.disabled else (CLIPS,))),
    )


@dataclass(frozen=True)
class _Said:
    """What a policy publishes of an agent; the target is counted from the team's hub."""

    role: str = ""
    task: str = ""
    target: tuple[int, int] | None = None


def _said(match: Match) -> list[_Said]:
    """What the policy publishes of each agent; nothing before the first step."""
    policy = match.policy
    if not tells(policy) or not match.step:
        return [_Said()] * match.batch.num_agents
    rows = zip(policy.roles[0], policy.tasks[0], policy.targets[0].tolist(), strict=True)
    return [_Said(policy.role_names[role], policy.task_names[task], (row, col)) for role, task, (row, col) in rows]


def _from_hub(things: list[Thing], team: str, offset: tuple[int, int] | None) -> tuple[int, int] | None:
    hub = find_hub(things, team)
    return (hub.row + offset[0], hub.col + offset[1]) if hub and offset else None
