"""Classes written for `mettagrid` as policies of ours.

As there, each episode of each environment has an object of its own, whose agents get their `reset` without a
simulation. An agent's number is that among the agents which the policy plays.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import Action, decode, feature_specs
from metta.compat.policy import MultiAgentPolicy
from metta.game.observation import EnvInfo
from metta.policy.hosted.per_agent import AgentTeam
from metta.policy.interface import Info, Policy

Make = Callable[[], MultiAgentPolicy]


def as_ours(found: type, info: Info, words: Mapping[str, Any], data: str, team: Callable[..., AgentTeam]) -> Policy:
    """The class as a policy, agent by agent by `team` where it has `agent_policy`, else by its `step_batch`.

    Raises TypeError for a class that plays in neither way, or for another game.
    """
    if not isinstance(info, EnvInfo):
        raise TypeError(f"{found.__name__} plays CoGsGuard, this is another environment")
    if not issubclass(found, MultiAgentPolicy):
        raise TypeError(f"{found.__name__} is an AgentPolicy; name the MultiAgentPolicy whose agent_policy returns it")
    told = PolicyEnvInterface.from_info(info)
    arguments = {name.replace("-", "_"): value for name, value in words.items()}

    def make() -> MultiAgentPolicy:
        policy = found(told, **arguments)
        if data:
            policy.load_policy_data(data)
        return policy

    if found.agent_policy is not MultiAgentPolicy.agent_policy:
        crew = _Crew(make, info)
        return team(lambda: _Agent(crew), info.action_names, found.__name__)
    if found.step_batch is not MultiAgentPolicy.step_batch:
        return _Batched(make, found.__name__)
    raise TypeError(f"{found.__name__} has neither agent_policy nor step_batch")


class _Crew:
    """The object that plays the episode which began last; its agents begin one after the other, from 0."""

    def __init__(self, make: Make, info: EnvInfo) -> None:
        self.features = feature_specs(info)
        self._make = make
        self._first: MultiAgentPolicy | None = make()  # so that a class that cannot be built is known at once
        self.policy = self._first

    def begin(self) -> None:
        self.policy, self._first = self._first or self._make(), None


class _Agent:
    """One agent of an environment, as `AgentTeam` plays it."""

    def __init__(self, crew: _Crew) -> None:
        self._crew = crew

    def reset(self, agent: int, seed: int) -> None:
        if agent == 0:
            self._crew.begin()
        self._agent, self._policy = agent, self._crew.policy.agent_policy(agent)
        self._policy.reset()

    def act(self, observation: np.ndarray) -> int | str:
        action = self._policy.step(decode(self._agent, observation, self._crew.features))
        return action.name if isinstance(action, Action) else action


class _Batched:
    """Plays by `step_batch`, with an object for each environment."""

    def __init__(self, make: Make, name: str) -> None:
        self.name = name
        self._make = make
        self._policies = [make()]

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._policies = self._policies[:num_envs] + [self._make() for _ in range(num_envs - len(self._policies))]

    def step(self, observations: np.ndarray) -> np.ndarray:
        actions = np.zeros(observations.shape[:2], np.int32)
        for policy, seen, chosen in zip(self._policies, observations, actions, strict=True):
            policy.step_batch(seen, chosen)
        return actions

    def end_episodes(self, ended: np.ndarray) -> None:
        for env in np.flatnonzero(ended):
            self._policies[env] = self._make()
