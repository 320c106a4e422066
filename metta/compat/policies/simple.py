"""`noop` and `random` of `mettagrid`."""

import random
from typing import Any

import numpy as np

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import Action, AgentObservation
from metta.compat.policy import AgentPolicy, MultiAgentPolicy


class NoopAgentPolicy(AgentPolicy):
    """Stands still."""

    def step(self, obs: AgentObservation) -> Action:
        return Action(name="noop")


class NoopPolicy(MultiAgentPolicy):
    """Everybody stands still."""

    __module__ = "mettagrid.policy.noop"
    short_names = ["noop"]

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return NoopAgentPolicy(self._policy_env_info)

    def step_batch(self, raw_observations: np.ndarray, raw_actions: np.ndarray) -> None:
        raw_actions[...] = 0


class RandomAgentPolicy(AgentPolicy):
    """Draws a move, or with a probability a vibe."""

    def __init__(self, policy_env_info: PolicyEnvInterface, vibe_action_p: float = 0.5) -> None:
        super().__init__(policy_env_info)
        self._vibe_share = vibe_action_p

    def step(self, obs: AgentObservation) -> Action:
        info = self._policy_env_info
        vibes = info.vibe_action_names if random.random() < self._vibe_share else []
        return Action(name=random.choice(vibes or info.action_names))


class RandomMultiAgentPolicy(MultiAgentPolicy):
    """Everybody acts at random."""

    __module__ = "mettagrid.policy.random_agent"
    short_names = ["random"]

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu", vibe_action_p: Any = 0.5) -> None:
        super().__init__(policy_env_info, device=device)
        self._vibe_share = float(vibe_action_p)

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return RandomAgentPolicy(self._policy_env_info, self._vibe_share)
