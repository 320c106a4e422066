"""Policies of one agent: the simplest form in which a user's class can play. No torch here: it is slow to import."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from metta.common.errors import UserError, suggest
from metta.common.seeds import derive, each_seed


class AgentPolicy(Protocol):
    """Plays one agent of one environment; built as `Class(info, **words)`, once for each of them."""

    def reset(self, agent: int, seed: int) -> None:
        """An episode begins: forget everything. `agent` is the number within its environment."""
        ...

    def act(self, observation: np.ndarray) -> int | str:
        """Tokens uint8 [tokens, 3] -> id or name of an action."""
        ...


class BadAnswerError(UserError):
    """What a user's class returned is no action."""


class AgentTeam:
    """Plays a batch of environments with one `AgentPolicy` per agent and environment.

    Seeds depend on that of the environment alone, so that episodes do not on how they are batched.
    """

    def __init__(self, make: Callable[[], AgentPolicy], action_names: tuple[str, ...], name: str) -> None:
        self.name = name
        self._make = make
        self._agents = [make()]  # so that a class that cannot be built is known at once
        self._ids = {action: index for index, action in enumerate(action_names)}
        self._num_agents, self._seeds = 1, [0]
        self._episodes = np.zeros(1, np.int64)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.reset_each(num_agents, each_seed(seed, num_envs))

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._num_agents, self._seeds = num_agents, list(seeds)
        self._episodes = np.zeros(len(seeds), np.int64)
        wanted = len(seeds) * num_agents
        self._agents = self._agents[:wanted] + [self._make() for _ in range(wanted - len(self._agents))]
        for env in range(len(seeds)):
            self._begin(env)

    def step(self, observations: np.ndarray) -> np.ndarray:
        shape = observations.shape[:2]
        tokens = observations.reshape(-1, *observations.shape[2:])
        return np.array([self.act(index, seen) for index, seen in enumerate(tokens)], np.int32).reshape(shape)

    def end_episodes(self, ended: np.ndarray) -> None:
        for env in np.flatnonzero(ended):
            self._episodes[env] += 1
            self._begin(int(env))

    def begin(self, index: int, agent: int, seed: int) -> None:
        """An episode begins for the agent of that number in the batch."""
        self._agents[index].reset(agent, seed)

    def act(self, index: int, observation: np.ndarray) -> int:
        """The action id of the agent of that number in the batch. Raise BadAnswerError for what is none."""
        return self._action_id(self._agents[index].act(observation))

    def _begin(self, env: int) -> None:
        for agent in range(self._num_agents):
            seed = derive(self._seeds[env], "agent", agent, int(self._episodes[env]))
            self.begin(env * self._num_agents + agent, agent, seed)

    def _action_id(self, answer: Any) -> int:
        if isinstance(answer, str):
            if answer not in self._ids:
                raise BadAnswerError(f"{self.name}.act: no action {_shown(answer)}{suggest(answer, self._ids)}")
            return self._ids[answer]
        if isinstance(answer, bool | np.bool_) or not isinstance(answer, int | np.integer):
            raise BadAnswerError(f"{self.name}.act: returned {_shown(answer)}, not the id or name of an action")
        if not 0 <= answer < len(self._ids):
            raise BadAnswerError(f"{self.name}.act: returned {answer}; actions are 0 to {len(self._ids) - 1}")
        return int(answer)


def check_actions(answer: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """What a batched class returned, as integers [envs, agents]. Raise BadAnswerError for anything else."""
    try:
        actions = np.asarray(answer)
    except Exception:  # a list of unequal lists, or whatever its own conversion does
        raise BadAnswerError(f"{name}.step: returned {_shown(answer)}, no array") from None
    if actions.shape != shape or actions.dtype.kind not in "iu":
        kind = f"{actions.dtype} of shape {actions.shape}" if isinstance(answer, np.ndarray) else _shown(answer)
        raise BadAnswerError(f"{name}.step: returned {kind}, not integers of shape {shape}")
    return actions


def _shown(answer: Any) -> str:
    """A value of a stranger's, in few characters."""
    if answer is None or type(answer) in (bool, int, float, str):
        return repr(answer)[:60]
    return f"a {type(answer).__name__}"
