"""Policies that look at nothing."""

from typing import Any

import numpy as np

WIDE = ("state", "inc")  # of numpy's PCG64 generator


class NoopPolicy:
    """Every agent stands still."""

    name = "noop"

    def __init__(self) -> None:
        self._actions = np.zeros((0, 0), np.int32)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._actions = np.zeros((num_envs, num_agents), np.int32)

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self._actions

    def end_episodes(self, ended: np.ndarray) -> None:
        return

    def state_dict(self) -> dict[str, np.ndarray]:
        return {}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        return


class RandomPolicy:
    """Every agent draws each action uniformly from the first `num_actions`."""

    name = "random"

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions
        self._shape = (0, 0)
        self._random = np.random.default_rng(0)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._shape = (num_envs, num_agents)
        self._random = np.random.default_rng(seed)

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self._random.integers(0, self.num_actions, self._shape, dtype=np.int32)

    def end_episodes(self, ended: np.ndarray) -> None:
        return

    def state_dict(self) -> dict[str, np.ndarray]:
        """The generator's state, its two numbers of 128 bits as bytes."""
        state: dict[str, Any] = dict(self._random.bit_generator.state)
        wide = b"".join(state["state"][name].to_bytes(16, "little") for name in WIDE)
        spare = np.array([state["has_uint32"], state["uinteger"]], np.int64)
        return {"wide": np.frombuffer(wide, np.uint8).copy(), "spare": spare}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        wide, (has_spare, spare) = state["wide"].tobytes(), state["spare"].tolist()
        numbers = {name: int.from_bytes(wide[16 * k : 16 * k + 16], "little") for k, name in enumerate(WIDE)}
        self._random.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": numbers,
            "has_uint32": has_spare,
            "uinteger": spare,
        }
