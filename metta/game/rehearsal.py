"""The least that has the engine and the maps compiled, each by itself: played and painted once."""

import numpy as np

from metta.game.engine.backends import make_batch
from metta.game.maps.cells import AGENT
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission


def play() -> None:
    """Reset and step one environment, whose map nothing has painted."""
    mission = _mission()
    maps = np.zeros((1, 16, 16), np.uint8)
    maps[0, 0, : mission.agents] = AGENT
    batch = make_batch("cpu", mission, 1, maps=maps)
    agents = (1, mission.agents)
    observations = np.zeros((*agents, 200, 3), np.uint8)
    batch.reset(observations)
    flags = np.zeros(agents, bool), np.zeros(agents, bool)
    batch.step(np.zeros(agents, np.int32), observations, np.zeros(agents, np.float32), *flags)
    batch.close()


def paint() -> None:
    """Paint a map."""
    build_pool(_mission(), 1, 0)


def _mission() -> Mission:
    return build_mission(MissionSettings(name="cogsguard_arena.basic"))
