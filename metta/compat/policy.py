"""The base classes of policies of `mettagrid`.

A subclass of `MultiAgentPolicy` plays here unchanged (`class=module.Class`).
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import Action, AgentObservation
from metta.policy.hosted.per_agent import AgentTeam
from metta.policy.interface import Info, Policy

POLICY_SPEC_FILENAME = "policy_spec.json"
State = TypeVar("State")
_CLASSES: dict[str, str] = {}  # class path by short name


class PolicyRegistryMeta(type):
    """Books the `short_names` of a class. Raises ValueError for one that another class has."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **words: Any) -> type:
        made = super().__new__(mcs, name, bases, namespace, **words)
        path = f"{namespace.get('__module__', '')}.{name}"
        for short in namespace.get("short_names") or []:
            if _CLASSES.setdefault(short, path) != path:
                raise ValueError(f"short name '{short}' belongs to {_CLASSES[short]}, {path} cannot have it too")
        return made


def get_policy_registry() -> dict[str, str]:
    """Class paths by short name."""
    return dict(_CLASSES)


def _as_policy(
    cls: type, info: Info, words: Mapping[str, Any], data: str, team: Callable[..., AgentTeam] = AgentTeam
) -> Policy:
    """A class written for `mettagrid` as a policy of ours; `metta.policy.hosted.by_class` calls it."""
    from metta.compat.playing import as_ours  # here because that imports this module

    return as_ours(cls, info, words, data, team)


class AgentPolicy:
    """Plays one agent."""

    def __init__(self, policy_env_info: PolicyEnvInterface) -> None:
        self._policy_env_info = policy_env_info
        self._infos: dict[str, Any] = {}

    @property
    def infos(self) -> dict[str, Any]:
        """What the policy tells of its last step; nothing where a class has its own constructor only."""
        return getattr(self, "_infos", {})

    @property
    def policy_env_info(self) -> PolicyEnvInterface:
        return self._policy_env_info

    def step(self, obs: AgentObservation) -> Action:
        raise NotImplementedError(f"{type(self).__name__} does not implement step.")

    def reset(self, simulation: Any = None) -> None:
        """An episode begins."""

    as_policy = classmethod(_as_policy)


class MultiAgentPolicy(metaclass=PolicyRegistryMeta):
    """Makes a policy for each agent, or acts for all of them in `step_batch`."""

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu", **kwargs: Any) -> None:
        self._policy_env_info = policy_env_info

    as_policy = classmethod(_as_policy)

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        """Subclasses play through it; one that has only `step_batch` leaves it out."""
        return None  # type: ignore[return-value]

    def load_policy_data(self, policy_data_path: str) -> None:
        """Subclasses with weights load them here."""

    def save_policy_data(self, policy_data_path: str) -> None:
        """Subclasses with weights save them here."""

    def network(self) -> Any:
        """The torch module that is trained; None where nothing is."""
        return None

    @property
    def policy_env_info(self) -> PolicyEnvInterface:
        return self._policy_env_info

    def reset(self) -> None:
        """Nobody calls it: every episode has new objects."""

    def step_batch(self, raw_observations: np.ndarray, raw_actions: np.ndarray) -> None:
        """Tokens uint8 [agents, 200, 3] of all agents; writes flat action ids into int32 [agents]."""
        raise NotImplementedError(f"{type(self).__name__} does not implement step_batch.")


class StatefulPolicyImpl(Generic[State]):
    """What `StatefulAgentPolicy` asks: an action and the next state, from an observation and a state."""

    def reset(self) -> None:
        """An episode begins."""

    def initial_agent_state(self) -> State:
        raise NotImplementedError(f"{type(self).__name__} does not implement initial_agent_state.")

    def step_with_state(self, obs: AgentObservation, state: State) -> tuple[Action, State]:
        raise NotImplementedError(f"{type(self).__name__} does not implement step_with_state.")

    def set_active_agent(self, agent_id: int | None) -> None:
        """The agent whose steps follow."""


class StatefulAgentPolicy(AgentPolicy, Generic[State]):
    """Keeps the state of one agent for a `StatefulPolicyImpl`, which several may share."""

    def __init__(
        self, base_policy: StatefulPolicyImpl[State], policy_env_info: PolicyEnvInterface, agent_id: int | None = None
    ) -> None:
        super().__init__(policy_env_info)
        self._base_policy = base_policy
        self._agent_id = agent_id
        self._agent_states: dict[int, Any] = {}
        self._state: Any = None
        self._simulation: Any = None
        self._begun = False

    def reset(self, simulation: Any = None) -> None:
        self._simulation, self._begun = simulation, True
        self._base_policy.reset()
        self._agent_states.clear()
        self._keep(self._base_policy.initial_agent_state())

    def step(self, obs: AgentObservation) -> Action:
        if not self._begun:
            self.reset(self._simulation)
        if hasattr(self._base_policy, "set_active_agent"):
            self._base_policy.set_active_agent(self._agent_id)
        torch = sys.modules.get("torch")  # a policy without nets does not have to wait for it
        with torch.no_grad() if torch else nullcontext():
            action, state = self._base_policy.step_with_state(obs, self._state)
        self._keep(state)
        self._infos = getattr(self._base_policy, "_infos", {})
        return action

    def _keep(self, state: Any) -> None:
        self._state = state
        if self._agent_id is not None:
            self._agent_states[self._agent_id] = state


class PolicySpec(BaseModel):
    """A class, its weights and its arguments."""

    class_path: str
    data_path: str | None = None
    init_kwargs: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The class, and the file of weights if there is one."""
        data = [Path(self.data_path).name] if self.data_path else []
        return "-".join([self.class_path.rpartition(".")[2], *data])


class SubmissionPolicySpec(PolicySpec):
    """The spec of a bundle; its paths are those in the bundle."""

    setup_script: str | None = None
