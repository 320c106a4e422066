"""Policies as people wrote them for mettagrid: `class=tests.compat.user_policies.NAME`."""

import ctypes
import json
from dataclasses import dataclass

import numpy as np
from mettagrid.mettagrid_c import dtype_actions
from mettagrid.policy.policy import (
    AgentPolicy,
    MultiAgentPolicy,
    NimMultiAgentPolicy,
    StatefulAgentPolicy,
    StatefulPolicyImpl,
)
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import Action, AgentObservation


class Turner(AgentPolicy):
    """Moves in turn, starting with the number of the agent."""

    def __init__(self, policy_env_info: PolicyEnvInterface, agent_id: int, stride: int):
        super().__init__(policy_env_info)
        self.agent_id, self.stride, self.steps = agent_id, stride, None

    def reset(self, simulation=None):
        assert simulation is None
        self.steps = self.agent_id

    def step(self, obs: AgentObservation) -> Action:
        assert obs.agent_id == self.agent_id and obs.tokens[0].is_global and obs.tokens[0].location is None
        self.steps += self.stride
        names = self.policy_env_info.action_names
        return Action(name=names[self.steps % len(names)])


class TurningPolicy(MultiAgentPolicy):
    short_names = ["turning-of-the-tests"]

    def __init__(self, policy_env_info, device="cpu", stride="1"):
        super().__init__(policy_env_info, device=device)
        self._stride = int(stride)

    def load_policy_data(self, path):
        with open(path) as file:
            self._stride = int(file.read())

    def agent_policy(self, agent_id):
        return Turner(self._policy_env_info, agent_id, self._stride)


class BatchedPolicy(MultiAgentPolicy):
    """Counts its steps; the agents' vibes follow, as flat ids."""

    def __init__(self, policy_env_info, device="cpu"):
        super().__init__(policy_env_info, device=device)
        self.steps = 0

    def step_batch(self, raw_observations, raw_actions):
        assert raw_observations.shape == (len(raw_actions), 200, 3) and raw_actions.dtype == dtype_actions
        raw_actions[:] = (self.steps + np.arange(len(raw_actions))) % 12
        self.steps += 1


@dataclass
class Count:
    steps: int = 0


class CountingImpl(StatefulPolicyImpl[Count]):
    def __init__(self, info):
        self.info = info

    def initial_agent_state(self) -> Count:
        return Count()

    def step_with_state(self, obs, state):
        self._infos = {"steps": state.steps}
        return Action(name=self.info.vibe_action_names[state.steps % 7]), Count(state.steps + 1)


class CountingPolicy(MultiAgentPolicy):
    """One core for all agents."""

    def __init__(self, policy_env_info):
        super().__init__(policy_env_info)
        self._core = CountingImpl(policy_env_info)

    def agent_policy(self, agent_id):
        return StatefulAgentPolicy(self._core, self._policy_env_info, agent_id=agent_id)


class FailingPolicy(TurningPolicy):
    short_names = []

    def agent_policy(self, agent_id):
        return AgentPolicy(self._policy_env_info) if agent_id == 1 else super().agent_policy(agent_id)


class Library:
    """Reads and writes as a compiled one does: an agent's action is the sum of its tokens' values."""

    def __init__(self, config):
        self.agents = json.loads(config)["num_agents"]
        assert len(json.loads(config)["actions"]) == 12

    def step_batch(self, agent_ids, count, num_agents, num_tokens, token_dim, observations, num_actions, actions):
        assert num_agents == self.agents
        tokens = (ctypes.c_uint8 * (num_agents * num_tokens * token_dim)).from_address(observations)
        chosen = (ctypes.c_int32 * num_agents).from_address(actions)
        for agent in agent_ids[:count]:
            first = agent * num_tokens * token_dim
            values = tokens[first + 2 : first + num_tokens * token_dim : token_dim]
            chosen[agent] = sum(value for value in values if value != 255) % num_actions

    def get_infos_json(self, agent):
        return json.dumps({"agent": agent}).encode()


class CompiledPolicy(NimMultiAgentPolicy):
    def __init__(self, policy_env_info):
        super().__init__(policy_env_info, Library)
