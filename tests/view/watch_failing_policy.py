"""Shows a match whose policy fails in the midst of the episode."""

import numpy as np
from rich.console import Console

from metta.game.missions import load_mission
from metta.view.match import Match
from metta.view.terminal.live import watch


class Failing:
    name = "failing"
    steps = 0

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.shape = (num_envs, num_agents)

    def step(self, observations: np.ndarray) -> np.ndarray:
        self.steps += 1
        if self.steps == 20:
            raise ValueError("no more ideas")
        return np.zeros(self.shape, np.int32)

    def end_episodes(self, ended: np.ndarray) -> None:
        pass


if __name__ == "__main__":
    watch(Match(load_mission("cogsguard_arena.basic"), Failing(), 1), Console())
