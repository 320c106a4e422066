"""Policies whose core is a compiled library, of Nim or any language: it reads and writes arrays by their addresses."""

import ctypes
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import NOTHING, Action, AgentObservation, dtype_actions, dtype_observations
from metta.compat.policy import AgentPolicy, MultiAgentPolicy

Numbers = ctypes.POINTER(ctypes.c_int32)


class NimMultiAgentPolicy(MultiAgentPolicy):
    """`nim_policy_factory` is given the environment as JSON, or `init_config_json`, and returns what has `step_batch`:
    (agents int32*, their number, all agents, tokens, bytes of a token, observations uint8*, actions that there are,
    actions int32*)."""

    def __init__(
        self,
        policy_env_info: PolicyEnvInterface,
        nim_policy_factory: Callable[[str], Any],
        agent_ids: Sequence[int] | None = None,
        device: str = "cpu",
        init_config_json: str | None = None,
    ) -> None:
        super().__init__(policy_env_info, device=device)
        self._nim_policy = nim_policy_factory(init_config_json or policy_env_info.to_json())
        self._num_agents = policy_env_info.num_agents
        self._agents = np.array(range(self._num_agents) if agent_ids is None else agent_ids, np.int32)
        shape = self._num_agents, *policy_env_info.observation_shape
        self._observations = np.full(shape, NOTHING, dtype_observations.type)
        self._actions = np.zeros(self._num_agents, dtype_actions.type)

    def step_batch(self, raw_observations: np.ndarray, raw_actions: np.ndarray) -> None:
        """Of all agents in the game, or of those that it plays in their order."""
        self._step(self._agents, raw_observations, raw_actions)

    def step_single(self, agent_id: int, obs: AgentObservation) -> int:
        """The flat id of what one agent does."""
        row = self._observations[agent_id]
        row[:] = NOTHING
        for place, token in zip(row, obs.tokens, strict=False):
            place[:] = token.raw_token
        self._actions[agent_id] = 0
        self._step(np.array([agent_id], np.int32), self._observations, self._actions)
        return int(self._actions[agent_id])

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return _NimAgentPolicy(self, agent_id)

    def _step(self, agents: np.ndarray, seen: np.ndarray, chosen: np.ndarray) -> None:
        if len(seen) != self._num_agents:
            self._observations[agents] = seen
            seen = self._observations
        actions = chosen if len(chosen) == self._num_agents else self._actions
        actions[agents] = 0
        self._nim_policy.step_batch(
            agents.ctypes.data_as(Numbers), len(agents), *seen.shape, seen.ctypes.data,
            len(self._policy_env_info.all_action_names), actions.ctypes.data,
        )  # fmt: skip
        if actions is not chosen:
            chosen[...] = actions[agents]


class _NimAgentPolicy(AgentPolicy):
    """One agent, by way of the policy of all."""

    def __init__(self, parent: NimMultiAgentPolicy, agent_id: int) -> None:
        super().__init__(parent.policy_env_info)
        self._parent, self._agent_id = parent, agent_id

    def step(self, obs: AgentObservation) -> Action:
        """Raises ValueError for an id that is no action's."""
        chosen = self._parent.step_single(self._agent_id, obs)
        tell = getattr(self._parent._nim_policy, "get_infos_json", None)
        if tell is not None:
            self._infos = json.loads(tell(self._agent_id) or "{}")
        names = self._policy_env_info.all_action_names
        if not 0 <= chosen < len(names):
            raise ValueError(f"Nim policy returned action index {chosen}, expected range [0, {len(names) - 1}]")
        return Action(name=names[chosen])
