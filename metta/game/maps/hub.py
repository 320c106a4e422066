"""The hub: the team's base in the middle of the map (rules 9.1)."""

import numpy as np

from metta.game.maps import cells
from metta.game.maps.cells import AGENT, EMPTY, SCOUT, TEAM_JUNCTION, TEAM_SHIFT, WALL
from metta.game.maps.random import between, draw, part, shuffle
from metta.game.maps.sites import HubSettings

GATE_HALF = 2
STATIONS = {(4, -3): "aligner", (4, -1): "scrambler", (4, 1): "miner", (4, 3): "scout"}
GEAR_CELLS = {
    "aligner": cells.ALIGNER, "scrambler": cells.SCRAMBLER, "miner": cells.MINER, "scout": cells.SCOUT,
}  # fmt: skip
CORNERS = {(-1, -1): cells.CARBON, (-1, 1): cells.OXYGEN, (1, -1): cells.GERMANIUM, (1, 1): cells.SILICON}
JUNCTION_ABOVE = 3
PADS_NEAR = [(-2, 0), (0, 2), (2, 0), (0, -2)]
PADS_RING = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]


def hub_picture(settings: HubSettings) -> np.ndarray:
    """Cells of the hub with the cleared frame around it and all its spawn pads: uint8 [n, n]."""
    half = settings.size // 2
    side = settings.size + 2 * settings.clearance
    picture = np.full((side, side), EMPTY, np.uint8)
    ring = picture[settings.clearance : side - settings.clearance, settings.clearance : side - settings.clearance]
    ring[[0, -1], :] = WALL
    ring[:, [0, -1]] = WALL
    ring[half - GATE_HALF : half + GATE_HALF + 1, :] = EMPTY
    ring[:, half - GATE_HALF : half + GATE_HALF + 1] = EMPTY
    ring[half, half] = cells.HUB
    ring[half - JUNCTION_ABOVE, half] = TEAM_JUNCTION if settings.junction == "team" else cells.JUNCTION
    for (row, col), name in STATIONS.items():
        if name in settings.stations:
            ring[half + row, half + col] = GEAR_CELLS[name]
    if settings.corner_extractors:
        for (row, col), extractor in CORNERS.items():
            ring[half + row * (half - 2), half + col * (half - 2)] = extractor
    if not settings.random_pads:
        _place_pads(ring, half, settings.pads)
    return picture


def _place_pads(ring: np.ndarray, half: int, wanted: int) -> None:
    """Pads around the hub, nearest first, on empty cells within the ring."""
    places = [*PADS_NEAR, *((r * row, r * col) for r in range(3, half) for row, col in PADS_RING)]
    for row, col in places:
        if wanted and ring[half + row, half + col] == EMPTY:
            ring[half + row, half + col] = AGENT
            wanted -= 1


def pad_room(settings: HubSettings) -> int:
    """Number of agents that the hub has room for."""
    picture = hub_picture(settings)
    if settings.random_pads:
        ring = slice(settings.clearance + 1, -settings.clearance - 1)
        inner = picture[ring, ring]
        return min(settings.pads, int((inner == EMPTY).sum()))
    return int((picture == AGENT).sum())


@part
def place_hub(area, picture, team):
    """Put the hub of a team into the middle of an area."""
    side = len(picture)
    top, left = (area.shape[0] - side) // 2, (area.shape[1] - side) // 2
    for row in range(side):
        for col in range(side):
            cell = picture[row, col]
            owned = cell == AGENT or TEAM_JUNCTION <= cell <= SCOUT
            area[top + row, left + col] = cell | (team << TEAM_SHIFT) if owned else cell


@part
def scatter_pads(area, stream, size, pads, team):
    """Spawn pads on random empty cells inside the ring of walls."""
    top, left = (area.shape[0] - size) // 2, (area.shape[1] - size) // 2
    while pads > 0:
        row, col = top + between(stream, 1, size - 2), left + between(stream, 1, size - 2)
        if area[row, col] == EMPTY:
            area[row, col] = AGENT | (team << TEAM_SHIFT)
            pads -= 1


@draw
def trim_pads(area, stream, team, agents):
    """Keep a random choice of a team's spawn pads, one for each of its agents."""
    pads = np.empty((area.size, 2), np.int64)
    count = 0
    for row in range(area.shape[0]):
        for col in range(area.shape[1]):
            if area[row, col] == AGENT | (team << TEAM_SHIFT):
                pads[count, 0], pads[count, 1] = row, col
                count += 1
    shuffle(stream, pads[:count])
    for index in range(agents, count):
        area[pads[index, 0], pads[index, 1]] = EMPTY
