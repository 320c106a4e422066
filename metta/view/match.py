"""One episode as it is played: the same for every viewer, and always recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from metta.eval.replay.recorder import Recorder
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.policy.interface import Adviser, Policy, begin_episodes


class Match:
    """A policy plays an episode on the map of a seed, one `advance` per step."""

    def __init__(self, mission: Mission, policy: Policy, seed: int) -> None:
        self.mission, self.policy = mission, policy
        self.batch = EnvBatch(mission, 1, maps=build_pool(mission, 1, seed), seed=seed, auto_reset=False)
        shape = (1, self.batch.num_agents)
        self._observations = np.zeros((*shape, self.batch.info.num_tokens, 3), np.uint8)
        self._rewards, self._ends = np.zeros(shape, np.float32), (np.zeros(shape, bool), np.zeros(shape, bool))
        self.batch.reset(self._observations)
        begin_episodes(policy, self.batch.num_agents, [seed])
        self.returns = np.zeros(self.batch.num_agents, np.float32)
        self.step = 0
        self._recorder = Recorder(self.batch, [(seed, seed)], [policy.name])  # as contests name it
        self._recorder.start(policy)
        [self.recording] = self._recorder.recordings

    @property
    def ended(self) -> bool:
        return self.step >= self.mission.max_steps

    @property
    def observations(self) -> np.ndarray:
        """What the agents see now, uint8 [A, tokens, 3]."""
        return self._observations[0]

    def advance(self, instead: dict[int, int] | None = None) -> None:
        """Play a step. `instead` maps agents to the actions that they take in place of the policy's."""
        values = None
        if isinstance(self.policy, Adviser):
            advice = self.policy.advise(self._observations)
            actions, values = advice.actions, advice.values.cpu().numpy().reshape(advice.actions.shape)
        else:
            actions = self.policy.step(self._observations)
        if instead:
            actions = actions.copy()
            actions[0, list(instead)] = list(instead.values())
        self.batch.step(actions, self._observations, self._rewards, *self._ends)
        self.step += 1
        self.returns = self.returns + self._rewards[0]
        self._recorder.step(actions, self._rewards, values)


@contextmanager
def kept(match: Match, path: Path | None) -> Iterator[None]:
    """Write the episode to a file while it is played, and say so at the end. Raises UserError where that fails."""
    if path:
        match.recording.grow(path)
    try:
        yield
    finally:
        if path:
            match.recording.save(path)
            print(f"replay of {match.step} steps: {path}")
