"""The pool of maps that a mission's episodes are played on."""

from collections.abc import Sequence

import numpy as np

from metta.common.errors import UserError
from metta.game.compilation import MAPS, compile_ahead
from metta.game.maps.arena import generate_pool
from metta.game.maps.drawn import drawn_map
from metta.game.maps.hub import trim_pads
from metta.game.maps.random import entry, seed_stream
from metta.game.maps.recipe import build_recipe
from metta.game.mission import Mission


@entry
def _trim(maps, agents, seed):
    """Keep on each map a random choice of every team's pads; maps uint8 [n, H, W], agents int64 [teams]."""
    stream = np.empty(1, np.uint64)
    for index in range(len(maps)):
        seed_stream(stream, seed + index)
        for team in range(len(agents)):
            trim_pads(maps[index], stream, team, agents[team])


def _draw_pool(mission: Mission, agents: Sequence[int], seed: int, count: int) -> np.ndarray:
    maps = np.repeat(drawn_map(mission)[None], count, axis=0)
    _trim(maps, np.array(agents, np.int64), seed)
    return maps


def check_room(mission: Mission) -> None:
    """Raise UserError where maps of the mission are generated and have no room for its agents."""
    if mission.map.picture:
        return
    try:
        build_recipe(mission.map, mission.team_sizes)
    except UserError as error:
        error.about = ("mission.cogs", *(f"mission.teams.{name}.num_agents" for name in mission.teams))
        raise


def build_pool(mission: Mission, count: int, seed: int, threads: int | None = None) -> np.ndarray:
    """`count` maps of consecutive seeds, uint8 [count, H, W]; a mission with a map seed has that one map only.

    Raises:
        UserError: a wrong picture, or a map without room for the agents.
    """
    compile_ahead(MAPS)
    settings, agents = mission.map, mission.team_sizes
    drawn_count, first = (count, seed) if settings.seed is None else (1, settings.seed)
    if settings.picture:
        maps = _draw_pool(mission, agents, first, drawn_count)
    else:
        maps = generate_pool(settings, agents, first, drawn_count, threads)
    return maps if len(maps) == count else np.repeat(maps, count, axis=0)
