"""The environments as a native PufferEnv of PufferLib (extra `puffer`)."""

from typing import Any

import numpy as np

from metta.adapters.build import MAP_POOL, batch_from, begin, checked_actions
from metta.common.defaults import MISSION
from metta.common.errors import MissingExtraError
from metta.game.engine.batch import EnvBatch, Episode
from metta.game.statistics import episode_means

try:
    from gymnasium.error import ResetNeeded
    from gymnasium.spaces import Box, Discrete
    from pufferlib.pufferlib import PufferEnv
except ImportError as error:
    raise MissingExtraError("pufferlib", "puffer") from error

Buffers = dict[str, np.ndarray]
Infos = list[dict[str, float]]


def make(
    mission: str = MISSION,
    num_envs: int = 1,
    seed: int = 0,
    threads: int = 1,
    map_pool: int = MAP_POOL,
    buf: Buffers | None = None,
    **settings: Any,
) -> "MettaPufferEnv":
    """`num_envs` environments of a mission on `map_pool` maps; `settings` change the mission: cogs=4, max_steps=200.

    `pufferlib.vector` calls it with `seed` and its own buffers `buf`.

    Raises:
        UserError: an unknown mission or setting, or a value out of range.
    """
    return MettaPufferEnv(batch_from(mission, settings, num_envs, seed, threads, map_pool, auto_reset=True), buf)


class MettaPufferEnv(PufferEnv):
    """All agents of all environments, environment by environment: `num_agents` counts them all.

    The engine writes observations uint8 [agents, 200, 3], rewards and ends straight into PufferLib's buffers. An
    episode that ends is followed by the next within the same step; its statistics are means over its agents.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    truncations: np.ndarray
    masks: np.ndarray

    def __init__(self, batch: EnvBatch, buf: Buffers | None = None) -> None:
        """`batch` starts new episodes by itself (auto_reset=True)."""
        self.batch = batch
        self.single_observation_space = Box(0, 255, (batch.info.num_tokens, 3), np.uint8)
        self.single_action_space = Discrete(len(batch.info.action_names))
        self.num_agents = batch.num_envs * batch.num_agents
        self._began = False
        super().__init__(buf)

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, Infos]:
        """Start new episodes everywhere; with a seed the very episodes that follow from it on this pool of maps."""
        begin(self.batch, self.observations, seed, self._began)
        self._began = True
        self.rewards[:], self.terminals[:], self.truncations[:], self.masks[:] = 0, False, False, True
        return self.observations, []

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """Every agent acts: actions [agents] of any integer type.

        Raises ValueError for another number of them or what is no action, ResetNeeded before the first reset.
        """
        if not self._began:
            raise ResetNeeded("reset comes before the first step")
        acts = checked_actions(np.ravel(actions), self.num_agents, len(self.batch.info.action_names))
        self.batch.step(acts, self.observations, self.rewards, self.terminals, self.truncations)
        infos = [_info(episode) for episode in self.batch.take_episodes()]
        return self.observations, self.rewards, self.terminals, self.truncations, infos

    def close(self) -> None:
        self.batch.close()


def _info(episode: Episode) -> dict[str, float]:
    return {
        "episode_return": float(episode.returns.mean()),
        "episode_length": float(episode.steps),
        **episode_means(episode),
    }
