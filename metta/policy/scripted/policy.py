"""A scripted policy: plays by rules of its own, from observations alone."""

from collections.abc import Sequence

import numpy as np

from metta.game.observation import EnvInfo
from metta.game.resources import GEAR
from metta.policy.scripted import core
from metta.policy.scripted import layout as L
from metta.policy.scripted.tables import make_tables

ROLES = ("none", *GEAR)
MEMORY = ("at", "friend", "enemy", "things", "minds", "agents", "paths", "ghosts", "rng", "actions")  # not the scratch


class ScriptedPolicy:
    """Plays all agents of a batch. After a step, `roles`, `tasks`, `targets` and `pending` tell what each is about."""

    role_names, task_names = ROLES, L.TASKS

    def __init__(
        self, info: EnvInfo, name: str, plan: np.ndarray, roles: list[str], shared: bool = True, rotate: bool = False
    ) -> None:
        """`roles` are those of the agents in turn, "gear" where the plan decides; `rotate`: by one each episode."""
        self.name = name
        self._info = info
        self._tables, self._plan = make_tables(info, plan), plan
        self._roles = np.array([role_id(role) for role in roles], np.int32)
        self._shared, self._rotate = shared, rotate
        self.reset(0, info.num_agents, 0)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.reset_part(slice(0, num_envs), num_envs, num_agents, seed)

    def reset_part(self, part: slice, num_envs: int, num_agents: int, seed: int) -> None:
        numbers = np.arange(part.start, part.stop, dtype=np.uint64) * np.uint64(num_agents * core.AGENT_STRIDE)
        self._begin(num_agents, np.array([seed % (1 << 64)], np.uint64) + numbers)

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._begin(num_agents, np.array([seed % (1 << 64) for seed in seeds], np.uint64))

    def _begin(self, num_agents: int, keys: np.ndarray) -> None:
        """`keys` uint64 [E]: what the random numbers of each environment follow from."""
        num_envs = len(keys)
        teams = sum(tag.endswith(":hub") for tag in self._info.tags)
        minds = teams if self._shared else num_agents
        self._shape, self._minds = (num_envs, num_agents), minds
        self._state = L.allocate(num_envs, num_agents, minds)
        self._ended = np.ones(num_envs, bool)
        self._episodes = np.zeros(num_envs, np.int64)
        self._keys = keys

    def step(self, observations: np.ndarray) -> np.ndarray:
        envs, agents = self._shape
        if self._ended.any():
            minds, rotate, keys = self._minds, int(self._rotate), self._keys
            core.begin_episodes(self._state, self._ended, agents, minds, self._roles, rotate, keys, self._episodes)
        tokens = observations.reshape(envs * agents, *observations.shape[2:])
        core.step_all(self._tables, self._state, envs, agents, self._minds, tokens)
        return self._state.actions.reshape(self._shape).copy()

    def end_episodes(self, ended: np.ndarray) -> None:
        self._ended |= ended

    @property
    def roles(self) -> np.ndarray:
        """Role of each agent, int32 [E, A]: index into `role_names`."""
        return self._state.agents[:, L.AG_ROLE].reshape(self._shape)

    @property
    def tasks(self) -> np.ndarray:
        """Task of each agent, int32 [E, A]: index into `task_names`."""
        return self._state.agents[:, L.AG_TASK].reshape(self._shape)

    @property
    def minds(self) -> np.ndarray:
        """Mind of each agent, int32 [E, A]: one for a team, or one for each agent where memory is not shared."""
        return self._state.agents[:, L.AG_MIND].reshape(self._shape)

    @property
    def targets(self) -> np.ndarray:
        """Row and column of each agent's target relative to the hub, int32 [E, A, 2]."""
        cells = self._state.agents[:, L.AG_GOAL]
        rows = cells // L.SIZE
        return np.stack([rows, cells - rows * L.SIZE], -1).reshape(*self._shape, 2) - L.HALF

    @property
    def pending(self) -> np.ndarray:
        """Flat action that each agent is about to take, int32 [E, A]: the answer of the last step."""
        return self._state.actions.reshape(self._shape)

    @property
    def cast(self) -> set[str]:
        """Names of the roles that the agents may take; others are never seen."""
        given = {ROLES[role] for role in np.resize(self._roles, self._shape[1])}
        if self._rotate:
            given = {ROLES[role] for role in self._roles}
        chosen = {"aligner", "scrambler", "miner"} | ({"scout"} if self._plan[L.PL_FIRST_SCOUTS] else set())
        return (given - {"none"}) | (chosen if "none" in given else set())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Memory of all minds and agents by name; random numbers as int64."""
        parts = {name: getattr(self._state, name).copy() for name in MEMORY}
        return {
            **parts,
            "rng": parts["rng"].view(np.int64),
            "ended": self._ended.copy(),
            "episodes": self._episodes.copy(),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state_dict`, after a `reset` with the same numbers. Raises ValueError for other shapes."""
        for name in MEMORY:
            saved, part = state[name].view(np.uint64) if name == "rng" else state[name], getattr(self._state, name)
            if saved.shape != part.shape:
                raise ValueError(f"{name}: {saved.shape} saved, {part.shape} needed")
            np.copyto(part, saved)
        self._ended, self._episodes = state["ended"].copy(), state["episodes"].copy()

    def things(self, mind: int) -> np.ndarray:
        """What a mind remembers, int32 [things, TH_COLUMNS]; minds are environments where memory is shared."""
        return self._state.things[mind, : self._state.minds[mind, L.MI_THINGS]]

    def clock(self, mind: int) -> int:
        """Observations that a mind has read in this episode."""
        return int(self._state.minds[mind, L.MI_STEP])


def role_id(name: str) -> int:
    return ROLES.index(name) if name in ROLES else L.NONE
