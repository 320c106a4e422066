"""Maps that a mission brings along as a picture, and whether maps suit a mission."""

import numpy as np

from metta.common.errors import UserError
from metta.game.maps.ascii import parse
from metta.game.maps.cells import AGENT, CHEST, HUB, JUNCTION, KIND_MASK, TEAM_SHIFT
from metta.game.maps.names import cell_codes
from metta.game.mission import Mission

MOST_OBJECTS = 60_000


def drawn_map(mission: Mission) -> np.ndarray:
    """The picture of a mission with all its pads, uint8 [H, W]. Raises UserError that locates what is wrong in it."""
    shorts = {name: team.short_name for name, team in mission.teams.items()}
    return parse(mission.map.picture, "map.picture", cell_codes(mission.map.legend, shorts))


def check_maps(mission: Mission, maps: np.ndarray) -> None:
    """Raise UserError unless every map, uint8 [P, H, W], has the pads, teams and kinds that the mission needs."""
    if maps.ndim != 3 or not len(maps):
        raise UserError(f"a map pool needs the shape [maps, height, width], not {maps.shape}")
    kinds, teams = maps & KIND_MASK, maps >> TEAM_SHIFT
    if kinds.max() >= CHEST:
        raise UserError(f"maps hold the unknown cell code {int(maps[kinds >= CHEST][0])}")
    if teams[(kinds == AGENT) | (kinds == HUB)].max(initial=0) >= len(mission.teams):
        raise UserError(f"maps hold more teams than the mission's {len(mission.teams)}: {', '.join(mission.teams)}")
    if kinds.shape[1] * kinds.shape[2] and (kinds >= JUNCTION).reshape(len(maps), -1).sum(1).max() > MOST_OBJECTS:
        raise UserError(f"a map holds more than {MOST_OBJECTS:,} objects")
    for group, (name, size) in enumerate(zip(mission.teams, mission.team_sizes, strict=True)):
        pads = ((kinds == AGENT) & (teams == group)).reshape(len(maps), -1).sum(1)
        if pads.min() < size:
            raise UserError(f"team '{name}' has {size} agents, map {int(pads.argmin())} has only {pads.min()} pads")
