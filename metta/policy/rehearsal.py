"""What policies compile, to be compiled ahead."""

import numpy as np

from metta.game.compilation import ENGINE, MAPS
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.scripted.compiled import SCRIPTED
from metta.policy.scripted.names import make_scripted

ALL = (ENGINE, MAPS, SCRIPTED)


def play() -> None:
    """Have a scripted team act once."""
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic"))
    policy = make_scripted("cogsguard", {}, env_info(mission))
    policy.reset(1, mission.agents, 0)
    policy.step(np.full((1, mission.agents, 200, 3), 255, np.uint8))
