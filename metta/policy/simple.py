"""Policies that look at nothing."""

import numpy as np


class NoopPolicy:
    """Every agent stands still."""

    name = "noop"

    def __init__(self) -> None:
        self._actions = np.zeros((0, 0), np.int32)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._actions = np.zeros((num_envs, num_agents), np.int32)

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self._actions

    def end_episodes(self, ended: np.ndarray) -> None:
        return


class RandomPolicy:
    """Every agent draws each action uniformly from the first `num_actions`."""

    name = "random"

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions
        self._shape = (0, 0)
        self._random = np.random.default_rng(0)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._shape = (num_envs, num_agents)
        self._random = np.random.default_rng(seed)

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self._random.integers(0, self.num_actions, self._shape, dtype=np.int32)

    def end_episodes(self, ended: np.ndarray) -> None:
        return
