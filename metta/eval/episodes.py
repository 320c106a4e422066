"""Playing whole episodes of one policy on one mission, many at once."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from metta.game.engine.backends import Backend, make_batch
from metta.game.engine.batch import Batch, Episode
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.statistics import episode_means
from metta.policy.interface import Policy, Separate, begin_episodes

BATCH = 64  # episodes played at once, at most


class Watcher(Protocol):
    """Looks on while a batch of episodes is played."""

    def begin(self, batch: Batch, policy: Policy) -> None:
        """Every episode stands before its first step."""
        ...

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        """A step was made: actions int32 [E, A], rewards float32 [E, A]."""
        ...


class StopPlayingError(Exception):
    """Raised by a watcher that has seen enough: the batch has no result."""


def play_batch(
    mission: Mission,
    policy: Policy,
    maps: np.ndarray,
    seeds: Sequence[int],
    threads: int = 1,
    watchers: Sequence[Watcher] = (),
    backend: Backend = "cpu",
) -> list[Episode]:
    """Play one episode on each map, uint8 [E, H, W], from a seed for each; the episodes in that order.

    Each is as if it were played alone (`metta.policy.interface.Separate`).
    """
    envs = len(maps)
    batch = make_batch(backend, mission, envs, maps=maps, seed=seeds, threads=threads, auto_reset=False)
    try:
        shape = (envs, batch.num_agents)
        observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
        rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
        batch.reset(observations)
        begin_episodes(policy, batch.num_agents, seeds)
        for watcher in watchers:
            watcher.begin(batch, policy)
        for _ in range(mission.max_steps):
            actions = policy.step(observations)
            batch.step(actions, observations, rewards, terminals, truncations)
            for watcher in watchers:
                watcher.step(actions, rewards)
        return sorted(batch.take_episodes(), key=lambda episode: episode.env)
    finally:
        batch.close()


def play_episodes(mission: Mission, policy: Policy, episodes: int, seed: int, threads: int = 1) -> list[Episode]:
    """Play `episodes` episodes; episode k has seed and map `seed + k`."""
    maps, seeds = build_pool(mission, episodes, seed, threads), range(seed, seed + episodes)
    size = BATCH if isinstance(policy, Separate) else 1
    finished: list[Episode] = []
    for start in range(0, episodes, size):
        part = slice(start, start + size)
        finished += play_batch(mission, policy, maps[part], seeds[part], threads)
    return finished


def episode_metrics(episode: Episode) -> dict[str, float]:
    """Metrics of one episode under the names that training reports: means over agents, team and game counters."""
    return {"reward": float(episode.returns.mean()), **episode_means(episode)}


def metrics_by_name(episodes: list[Episode]) -> dict[str, list[float]]:
    """Per-episode values of every metric that any episode has; one that an episode lacks is 0 there."""
    rows = [episode_metrics(episode) for episode in episodes]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, 0.0) for row in rows] for name in names}
