"""One environment as a pettingzoo.ParallelEnv (extra `pettingzoo`)."""

from typing import Any

import numpy as np

from metta.adapters.build import MAP_POOL, batch_from, begin, checked_actions
from metta.common.defaults import MISSION
from metta.common.errors import MissingExtraError, suggest
from metta.game.engine.batch import EnvBatch, Episode

try:
    from gymnasium.error import ResetNeeded
    from gymnasium.spaces import Box, Discrete, Space
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise MissingExtraError("pettingzoo", "pettingzoo") from error

Info = dict[str, Any]


def make(
    mission: str = MISSION, seed: int = 0, threads: int = 1, map_pool: int = MAP_POOL, **settings: Any
) -> "MettaParallelEnv":
    """One environment of a mission on `map_pool` maps; `settings` change the mission: cogs=4, max_steps=200.

    Raises:
        UserError: an unknown mission or setting, or a value out of range.
    """
    return MettaParallelEnv(batch_from(mission, settings, 1, seed, threads, map_pool, auto_reset=False))


class MettaParallelEnv(ParallelEnv[str, np.ndarray, np.int64]):
    """Agents "agent_0", "agent_1", …: observations uint8 [200, 3], rewards, ends and infos in dicts by agent.

    All agents act and end together; the info of the last step holds "episode" (return "r", length "l") and the agent's
    statistics. Observations are views of one array per step that nothing writes to again.
    """

    metadata: Info = {"name": "cogsguard_v0", "render_modes": [], "is_parallelizable": True}
    render_mode = None

    def __init__(self, batch: EnvBatch) -> None:
        """`batch` has one environment and leaves the start of new episodes to its caller (auto_reset=False)."""
        self.batch = batch
        self.possible_agents = [f"agent_{agent}" for agent in range(batch.num_agents)]
        self.agents: list[str] = []
        shape, choices = (batch.info.num_tokens, 3), len(batch.info.action_names)
        self.observation_spaces = {agent: Box(0, 255, shape, np.uint8) for agent in self.possible_agents}
        self.action_spaces = {agent: Discrete(choices) for agent in self.possible_agents}
        self._shape = (batch.num_agents, *shape)
        self._choices = choices
        self._rewards = np.zeros(batch.num_agents, np.float32)
        self._ends = np.zeros((2, batch.num_agents), bool)
        self._began = False

    def observation_space(self, agent: str) -> Space[np.ndarray]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[np.int64]:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Info | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Info]]:
        """Start a new episode; with a seed the very episode that follows from it on this pool of maps."""
        observations = np.empty(self._shape, np.uint8)
        begin(self.batch, observations, seed, self._began)
        self._began = True
        self.agents = self.possible_agents[:]
        return self._by_agent(observations), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Info]]:
        """Every agent acts; one without an action stands still. Without agents nothing is left to happen.

        Raises ValueError for the name of an agent that there is not, and for what is no action; ResetNeeded before the
        first reset.
        """
        if not self._began:
            raise ResetNeeded("reset comes before the first step")
        if unknown := [agent for agent in actions if agent not in self.action_spaces]:
            raise ValueError(f"there is no agent {unknown[0]!r}{suggest(str(unknown[0]), self.possible_agents)}")
        if not self.agents:
            return {}, {}, {}, {}, {}
        given = [actions.get(agent, 0) for agent in self.possible_agents]
        acts = checked_actions(given, len(given), self._choices)
        observations = np.empty(self._shape, np.uint8)
        self.batch.step(acts, observations, self._rewards, *self._ends)
        terminals, truncations = self._ends.tolist()
        infos: dict[str, Info] = {agent: {} for agent in self.agents}
        for episode in self.batch.take_episodes():
            infos = {agent: _final_info(episode, number) for number, agent in enumerate(self.possible_agents)}
            self.agents = []
        return (
            self._by_agent(observations),
            self._by_agent(self._rewards.tolist()),
            self._by_agent(terminals),
            self._by_agent(truncations),
            infos,
        )

    def close(self) -> None:
        self.batch.close()

    def _by_agent(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.possible_agents, values, strict=True))


def _final_info(episode: Episode, agent: int) -> Info:
    statistics = {name: float(values[agent]) for name, values in episode.agent.items()}
    return {"episode": {"r": float(episode.returns[agent]), "l": episode.steps}, "agent": statistics}
