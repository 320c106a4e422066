"""Environments in the manner of other libraries, small enough to know every number of."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 5


class Mirror:
    """PettingZoo: two agents; each sees two of three symbols and is paid 1 for naming both, 0.25 for one of them."""

    metadata = {"name": "mirror_v0"}
    render_mode = None

    def __init__(self, length: int = LENGTH) -> None:
        self.possible_agents, self.agents = ["a", "b"], ["a", "b"]
        self._length, self._step = length, 0
        self._random = np.random.default_rng()
        self._shown: dict[str, np.ndarray] = {}

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Dict(
            {"first": spaces.Discrete(3), "second": spaces.Discrete(3), "noise": spaces.Box(-1, 1, (1,))}
        )

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.MultiDiscrete([3, 3])

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.agents, self._step = self.possible_agents[:], 0
        return self._show(), {agent: {} for agent in self.agents}

    def _show(self) -> dict[str, Any]:
        self._shown = {agent: self._random.integers(0, 3, 2) for agent in self.possible_agents}
        noise = self._random.uniform(-1, 1, 1).astype(np.float32)
        return {
            agent: {"first": first, "second": second, "noise": noise} for agent, (first, second) in self._shown.items()
        }

    def step(self, actions: dict[str, np.ndarray]) -> Any:
        hits = {agent: int((actions[agent] == shown).sum()) for agent, shown in self._shown.items()}
        self._step += 1
        over = self._step == self._length
        everyone = self.possible_agents
        self.agents = [] if over else everyone[:]
        return (
            self._show(),
            {agent: (0.0, 0.25, 1.0)[hits[agent]] for agent in everyone},
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            {agent: {} for agent in everyone},
        )

    def close(self) -> None:
        return


class Unequal(Mirror):
    """Agents whose actions differ."""

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(2 if agent == "a" else 3)


class Doomed(gymnasium.Env):
    """Gymnasium: ends its process at the third step."""

    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

    def __init__(self) -> None:
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        if self._steps == 3:
            raise SystemExit("doomed")
        return np.zeros(1, np.float32), 0.0, False, False, {}


class Shifted(Doomed):
    action_space = spaces.Discrete(2, start=1)


class Countless(Doomed):
    action_space = spaces.MultiDiscrete([9] * 9)


class Poisoned(gymnasium.Env):
    """Gymnasium: from a step on it gives a number that spoils the reward, what is observed, or what is observed last;
    episodes of 20 steps, which that one cuts short."""

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)

    def __init__(self, what: str, value: float, first: int) -> None:
        self._what, self._value, self._first = what, float(value), first
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        spoilt = self._value if self._steps >= self._first else 0.1
        last = self._what == "last" and self._steps % 20 == 0
        observation = np.array([0.5, spoilt if last or self._what == "observation" else 0.1], np.float32)
        reward = spoilt if self._what == "reward" else float(action)
        return observation, reward, self._steps % 20 == 0 and not last, last, {}


for kind in (Poisoned, Doomed, Shifted, Countless):
    gymnasium.register(f"{kind.__name__}-v0", kind)
