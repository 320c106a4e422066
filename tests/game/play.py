"""Small drawn maps on which tests play scripted actions."""

import numpy as np

from metta.game.engine.batch import EnvBatch
from metta.game.maps import ascii as ascii_maps
from metta.game.maps import cells
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import Feature, features
from metta.game.resources import RESOURCES, ROLE

ITEM = {name: index for index, name in enumerate((*RESOURCES, ROLE))}
NORTH, SOUTH, WEST, EAST = 1, 2, 3, 4
FEATURES: dict[str, Feature] = {feature.name: feature for feature in features()}


def draw(rows: list[str]) -> np.ndarray:
    """Cell codes of a picture with five cells of wall around it, uint8 [H, W]."""
    wall = ["#" * (len(rows[0]) + 10)] * 5
    return ascii_maps.parse("\n".join([*wall, *("#####" + row + "#####" for row in rows), *wall]))


class Play:
    """Environments of one picture in which everybody waits unless told otherwise.

    `rival` draws what the second team has; the variant multi_team is then in force.
    """

    def __init__(
        self, rows: list[str], envs: int = 1, seed: int = 0, rival: list[str] | None = None, **settings: object
    ):
        grid = draw(rows)
        if rival:
            theirs = draw(rival)
            grid = np.where(theirs > cells.WALL, theirs | 1 << cells.TEAM_SHIFT, grid).astype(np.uint8)
            settings["variants"] = ["multi_team", "no_clips"]
        agents = int(((grid & cells.KIND_MASK) == cells.AGENT).sum())
        base: dict[str, object] = {"cogs": agents, "max_steps": 400}
        self.mission = build_mission(MissionSettings.model_validate(base | settings))
        self.batch = EnvBatch(self.mission, envs, maps=grid[None], seed=seed, auto_reset=False)
        shape = (envs, agents)
        self.observations = np.zeros((*shape, 200, 3), np.uint8)
        self.rewards = np.zeros(shape, np.float32)
        self.terminals, self.truncations = np.zeros(shape, bool), np.zeros(shape, bool)
        self.batch.reset(self.observations)

    def step(self, *actions: int) -> None:
        """Agent i of every environment takes actions[i]; the others wait."""
        chosen = np.zeros(self.rewards.shape, np.int32)
        chosen[:, : len(actions)] = actions
        self.batch.step(chosen, self.observations, self.rewards, self.terminals, self.truncations)

    def wait(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def item(self, name: str, agent: int = 0) -> int:
        return int(self.batch.inventories()[0, agent, ITEM[name]])

    def owners(self, e: int = 0) -> list[str | None]:
        return [o["owner"] for o in self.batch.objects(e) if o["type"].endswith("junction")]

    def tokens(self, name: str, agent: int = 0) -> list[int]:
        return [t[2] for t in self.observations[0, agent].tolist() if t[0] != 0xFF and t[1] == FEATURES[name].id]
