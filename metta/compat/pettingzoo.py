"""`MettaGridPettingZooEnv`: a simulation as a ParallelEnv whose agents are numbers (extra `pettingzoo`)."""

from typing import Any

import numpy as np

from metta.common.errors import MissingExtraError
from metta.compat.config import MettaGridConfig
from metta.compat.simulation import Simulation, Simulator

try:
    from gymnasium.spaces import Box, Discrete
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise MissingExtraError("pettingzoo", "pettingzoo") from error

Infos = dict[int, dict[str, Any]]


class MettaGridPettingZooEnv(ParallelEnv[int, np.ndarray, Any]):
    """Moves only. An agent without an action does what it did last; after the end nothing happens."""

    metadata: dict[str, Any] = {"name": "mettagrid_v0", "render_modes": [], "is_parallelizable": True}
    render_mode = None

    def __init__(self, simulator: Simulator, cfg: MettaGridConfig, **kwargs: Any) -> None:
        self._simulator, self._cfg, self._seed = simulator, cfg, 0
        self._sim: Simulation | None = simulator.new_simulation(cfg, seed=0)
        info = self._sim.policy_env_info
        self.possible_agents = list(range(self._sim.num_agents))
        self.agents: list[int] = []
        self._space, self._actions = info.observation_space, info.action_space
        self.max_steps = cfg.game.max_steps
        width = int(np.prod(info.observation_shape)) * len(self.possible_agents)
        self.state_space = Box(0, 255, (width,), np.uint8)

    @property
    def max_num_agents(self) -> int:
        return len(self.possible_agents)

    def observation_space(self, agent: int) -> Box:
        return self._space

    def action_space(self, agent: int) -> Discrete:
        return self._actions

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[int, np.ndarray], Infos]:
        """Begin a new simulation."""
        self._seed = self._seed if seed is None else seed
        self.close()
        self._sim = self._simulator.new_simulation(self._cfg, self._seed)
        self.agents = self.possible_agents[:]
        return self._by_agent(self._sim._buffers.observations), {agent: {} for agent in self.agents}

    def step(self, actions: dict[int, Any]) -> tuple[Any, ...]:
        """Raises ValueError for what is no move."""
        if not self.agents:
            return {}, {}, {}, {}, {}
        assert self._sim is not None
        for agent, action in actions.items():
            move = int(np.asarray(action).reshape(-1)[0])
            if not self._actions.contains(move):
                raise ValueError(f"action {move} of agent {agent} is not one of 0 to {self._actions.n - 1}")
            self._sim._buffers.actions[agent] = move
        self._sim.step()
        buffers = self._sim._buffers
        arrays = (buffers.observations, buffers.rewards.tolist(), buffers.terminals.tolist(),
                  buffers.truncations.tolist())  # fmt: skip
        told = (*map(self._by_agent, arrays), {agent: {} for agent in self.agents})
        if self._sim.is_done():
            self.agents = []
        return told

    def _by_agent(self, values: Any) -> dict[int, Any]:
        return dict(zip(self.agents, values, strict=True))

    def state(self) -> np.ndarray:
        return np.zeros(self.state_space.shape, np.uint8)

    def render(self) -> None:
        return None

    def close(self) -> None:
        if self._sim is not None:
            self._sim.close()
            self._sim = None
