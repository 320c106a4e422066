"""From a site's settings to the numbers that the compiled generator reads."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metta.common.errors import UserError
from metta.game.maps import cells
from metta.game.maps.biomes import BIOMES
from metta.game.maps.buildings import DISTRIBUTIONS
from metta.game.maps.dungeons import DUNGEONS
from metta.game.maps.hub import hub_picture, pad_room
from metta.game.maps.sites import Distribution, MapSettings, ZoneSettings

CELLS = {
    "junction": cells.JUNCTION, "oxygen": cells.OXYGEN, "carbon": cells.CARBON, "germanium": cells.GERMANIUM,
    "silicon": cells.SILICON,
}  # fmt: skip
LEAST_ZONES, MOST_ZONES, LEAST_ZONE_AREA, LEAST_SIDE = 3, 48, 800, 10
SEPARATION = 0.6  # least distance of a Poisson disk, in roots of the area per point


class Layer(NamedTuple):
    """Zones of one kind: of `zones` leaves the first `filled` are painted, at most `max_height` x `max_width`."""

    kinds: np.ndarray  # int64 [k]
    weights: np.ndarray  # float64 [k]
    zones: int
    filled: int
    each_once: bool
    max_height: int
    max_width: int


class Groups(NamedTuple):
    """Buildings that share a distribution, in order of placement."""

    counts: np.ndarray  # int64 [g]: buildings tried
    distributions: np.ndarray  # int64 [g]
    separations: np.ndarray  # int64 [g]: least distance of a Poisson disk, in cells
    places: np.ndarray  # float64 [g, 2, 4]: row, col, spread of rows, spread of cols, as shares
    weights: np.ndarray  # float64 [g, kinds]: by cell kind


class Recipe(NamedTuple):
    height: int
    width: int
    border: int
    seam: int  # rows on either side of the line where two maps meet
    base_biome: int
    biomes: Layer
    dungeons: Layer
    asteroid: bool
    groups: Groups
    hub: np.ndarray  # uint8 [n, n]: the hub of team 0 with its frame
    hub_size: int
    random_pads: bool
    balanced: bool
    agents: np.ndarray  # int64 [teams]


def _layer(site: MapSettings, zones: ZoneSettings, weights: dict, ids: dict[str, int]) -> Layer:
    kept = {name: weight for name, weight in weights.items() if weight > 0}
    kinds = np.array([ids[name] for name in kept], np.int64)
    count = zones.count
    if count is None:
        per_zone = max(LEAST_ZONE_AREA, int(zones.area / max(0.1, zones.density)))
        count = max(LEAST_ZONES, min(MOST_ZONES, site.height * site.width // per_zone))
    count = max(count, math.ceil(1 / min(0.9, max(0.02, zones.max_fraction))))
    filled = max(1, int(count * zones.filled))
    if site.each_once:
        count = filled = max(1, len(kinds))
    sides = [max(LEAST_SIDE, int(min(side * zones.max_fraction, side // 2))) for side in (site.height, site.width)]
    return Layer(kinds, np.array(list(kept.values()), np.float64), count, filled, site.each_once, sides[0], sides[1])


def _groups(site: MapSettings) -> Groups:
    inner = (site.height - 2) * (site.width - 2)
    most = math.ceil((site.height - 2) / 2) * math.ceil((site.width - 2) / 2)
    goal = min(most, int(site.coverage * inner))
    members: dict[str, tuple[Distribution, dict[str, float]]] = {}
    for name, weight in site.buildings.items():
        distribution = site.distributions.get(name, Distribution())
        members.setdefault(distribution.model_dump_json(), (distribution, {}))[1][name] = weight
    total = sum(site.buildings.values())
    size = len(members)
    groups = Groups(
        np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros((size, 2, 4)),
        np.zeros((size, cells.CHEST + 1)),
    )  # fmt: skip
    for g, (distribution, weights) in enumerate(members.values()):
        share = sum(weights.values()) / total if total > 0 else 0.0
        count = int(share * goal)
        groups.counts[g] = count
        groups.distributions[g] = DISTRIBUTIONS[distribution.kind]
        groups.separations[g] = int(SEPARATION * math.sqrt(inner / max(1, count)))
        for index, place in enumerate(distribution.places):
            groups.places[g, index] = place.row, place.col, place.row_spread, place.col_spread
        for name, weight in weights.items():
            groups.weights[g, CELLS[name]] = weight
    return groups


def build_recipe(site: MapSettings, agents: Sequence[int]) -> Recipe:
    """Numbers for the compiled generator; `agents` are the sizes of the teams.

    Raises:
        UserError: a hub has no room for the agents of its team.
    """
    room = pad_room(site.hub)
    for size in agents:
        if not 1 <= size <= room:
            raise UserError(f"site {site.site} has room for 1 to {room} agents of a team, not {size}")
    return Recipe(
        height=site.height,
        width=site.width,
        border=site.border,
        seam=site.border + site.seam,
        base_biome=BIOMES[site.base_biome],
        biomes=_layer(site, site.biome_zones, site.biomes, BIOMES),
        dungeons=_layer(site, site.dungeon_zones, site.dungeons, DUNGEONS),
        asteroid=site.asteroid,
        groups=_groups(site),
        hub=hub_picture(site.hub),
        hub_size=site.hub.size,
        random_pads=site.hub.random_pads,
        balanced=site.balanced_corners,
        agents=np.array(agents, np.int64),
    )
