"""Policies that look at nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

AHEAD = 64  # steps for which a generator of one environment draws at a time
WIDE = ("state", "inc")  # of numpy's PCG64 generator


class NoopPolicy:
    """Every agent stands still."""

    name = "noop"

    def __init__(self) -> None:
        self._actions = np.zeros((0, 0), np.int32)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._actions = np.zeros((num_envs, num_agents), np.int32)

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self.reset(len(seeds), num_agents, 0)

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
        self.reset(0, 0, 0)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.reset_part(slice(0, num_envs), num_envs, num_agents, seed)

    def reset_part(self, part: slice, num_envs: int, num_agents: int, seed: int) -> None:
        self._begin((1, num_envs, num_agents), [seed], part)

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._begin((AHEAD, 1, num_agents), seeds, slice(len(seeds)))

    def _begin(self, shape: tuple[int, int, int], seeds: Sequence[int], part: slice) -> None:
        """Draw actions of that shape, [steps, envs, agents], at a time with each of several generators; those of the
        environments `part` are played."""
        self._shape, self._part = shape, part
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._drawn = iter(())  # actions of the next steps, each [envs, agents]

    def step(self, observations: np.ndarray) -> np.ndarray:
        drawn = next(self._drawn, None)
        if drawn is None:
            parts = [one.integers(0, self.num_actions, self._shape, dtype=np.int32) for one in self._generators]
            self._drawn = iter(np.concatenate(parts, axis=1)[:, self._part])
            drawn = next(self._drawn)
        return drawn

    def end_episodes(self, ended: np.ndarray) -> None:
        return

    def state_dict(self) -> dict[str, np.ndarray]:
        """The state of a batch's one generator, its two numbers of 128 bits as bytes."""
        (generator,) = self._generators
        state: dict[str, Any] = dict(generator.bit_generator.state)
        wide = b"".join(state["state"][name].to_bytes(16, "little") for name in WIDE)
        spare = np.array([state["has_uint32"], state["uinteger"]], np.int64)
        return {"wide": np.frombuffer(wide, np.uint8).copy(), "spare": spare}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        wide, (has_spare, spare) = state["wide"].tobytes(), state["spare"].tolist()
        numbers = {name: int.from_bytes(wide[16 * k : 16 * k + 16], "little") for k, name in enumerate(WIDE)}
        (generator,) = self._generators
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": numbers,
            "has_uint32": has_spare,
            "uinteger": spare,
        }
