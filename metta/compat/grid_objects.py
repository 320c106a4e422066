"""What stands on the map of a simulation, as dictionaries."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metta.compat.config import AgentConfig, MettaGridConfig
from metta.game.engine.batch import EnvBatch
from metta.game.maps.cells import WALL
from metta.game.mission import MOST
from metta.game.observation import collectives, resources

FREEZE = 10  # steps: what the original tells of every agent, though nothing freezes


@dataclass
class BoundingBox:
    """Rows and columns from the least to below the most."""

    min_row: int
    max_row: int
    min_col: int
    max_col: int


class GridObjects:
    """The things of one episode. Their ids count walls, objects and agents in the order of the map's cells, from 1."""

    def __init__(self, batch: EnvBatch, config: MettaGridConfig) -> None:
        self._batch, self._config = batch, config
        self._resources, self._teams = resources(batch.mission), collectives(batch.mission)
        self._tags = {name: index for index, name in enumerate(batch.info.tags)}
        self.type_names = ["agent", *config.game.objects]
        self._types = {name: self._type(name, one.tags) for name, one in config.game.objects.items()}
        self._kinds = [self._type("agent", agent.tags) for agent in config.game.agents]
        self._first = batch.positions()[0].tolist()  # places of agents at the start, by which their ids count

    # Most episodes are played without anybody looking: what follows is made when somebody does.

    @cached_property
    def _wall_places(self) -> list[tuple[int, int]]:
        return [(int(r), int(c)) for r, c in np.argwhere(self._batch.map(0) == WALL)]

    @cached_property
    def _ids(self) -> dict[tuple[tuple[int, int] | None, int | None], int]:
        """By place, or of agents by number."""
        things = [(thing["row"], thing["col"]) for thing in self._batch.objects(0)]
        still = [(place, place, None) for place in (*self._wall_places, *things)]
        moving = [(tuple(place), None, agent) for agent, place in enumerate(self._first)]
        everything = sorted([*still, *moving], key=lambda one: one[0])
        return {(place, agent): number for number, (_, place, agent) in enumerate(everything, 1)}

    @cached_property
    def _walls(self) -> dict[int, dict[str, Any]]:
        return {self._ids[place, None]: self._thing(self._types["wall"], *place) for place in self._wall_places}

    def present(self, bbox: BoundingBox | None, ignore_types: Sequence[str]) -> dict[int, dict[str, Any]]:
        """What is there now by id, new dictionaries."""
        found = {} if "wall" in ignore_types else {key: dict(wall) for key, wall in self._walls.items()}
        for one in self._batch.objects(0):
            held = "heart" if one["type"].endswith(":hub") else one["type"].removesuffix("_extractor")
            place, amounts = (one["row"], one["col"]), {held: one["stock"]}
            found[self._ids[place, None]] = self._thing(self._types[one["type"]], *place, one["owner"], amounts)
        returns = self._batch.statistics(0).returns.tolist()
        places, held, vibes = (
            array[0].tolist() for array in (self._batch.positions(), self._batch.inventories(), self._batch.vibes())
        )
        for agent, ((row, col), *told) in enumerate(zip(places, held, vibes, returns, strict=True)):
            found[self._ids[None, agent]] = self._agent(agent, (row, col), *told)
        return {
            key: {"id": key, **one}
            for key, one in sorted(found.items())
            if one["type_name"] not in ignore_types and (bbox is None or _inside(bbox, one))
        }

    def _type(self, name: str, tags: Sequence[str]) -> dict[str, Any]:
        """What things of a kind have in common."""
        ids = sorted(self._tags[tag] for tag in {f"type:{name}", *tags})
        return {"type_name": name, "tag": self._tags[f"type:{name}"], "tag_ids": ids, "has_tag": ids.__contains__}

    def _thing(
        self, kind: dict[str, Any], row: int, col: int, owner: str | None = None, held: dict[str, int] | None = None
    ) -> dict[str, Any]:
        amounts = {item: amount for item, amount in (held or {}).items() if amount and item in self._resources}
        thing: dict[str, Any] = {
            **kind,
            "location": (col, row),
            "r": row,
            "c": col,
            "inventory": {self._resources.index(item): amount for item, amount in amounts.items()},
            "inventory_capacities": {},
            **{f"inv:{item}": amount for item, amount in amounts.items()},
        }
        if owner is not None:
            number = self._teams.index(owner)
            thing |= {"collective": number, "collective_id": number, "collective_name": owner}
        return thing

    def _agent(self, agent: int, place: tuple[int, int], held: list[int], vibe: int, total: float) -> dict[str, Any]:
        config = self._config.game.agents[agent]
        amounts = dict(zip(self._resources, held, strict=True))
        team = config.collective or ""
        group = list(self._batch.mission.teams).index(team)
        return {
            **self._thing(self._kinds[agent], *place, team, amounts),
            "inventory_capacities": self._capacities(config, amounts),
            "agent_id": agent,
            "agent:group": group,
            "agent:frozen": 0,
            "group_id": group,
            "group_name": team,
            "vibe": vibe,
            "is_frozen": False,
            "freeze_remaining": 0,
            "freeze_duration": FREEZE,
            "current_stat_reward": total,
        }

    def _capacities(self, config: AgentConfig, held: dict[str, int]) -> dict[int, int]:
        """Most of each resource, by id, with what the agent holds now."""
        found = dict.fromkeys(range(len(self._resources)), MOST)
        for limit in config.inventory.limits.values():
            bonus = sum(amount * held.get(item, 0) for item, amount in limit.modifiers.items())
            most = min(max(limit.min, bonus), limit.max)
            found |= {self._resources.index(item): most for item in limit.resources}
        return found


def _inside(bbox: BoundingBox, one: dict[str, Any]) -> bool:
    return bbox.min_row <= one["r"] < bbox.max_row and bbox.min_col <= one["c"] < bbox.max_col
