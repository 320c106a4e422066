"""Evaluating what was trained on an environment of another library."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from metta.eval.episodes import BATCH
from metta.eval.statistics import Summary, summarize
from metta.game.engine.batch import Episode
from metta.policy.interface import Policy, SpaceInfo, begin_episodes
from metta.rl.experience.environments import Environments


class Library(Protocol):
    """Environments that can be had each by itself (`metta.rl.experience.external.Foreign`)."""

    @property
    def info(self) -> SpaceInfo: ...

    def build_each(self, seeds: Sequence[int]) -> Environments: ...


def play_foreign(source: Library, policy: Policy, episodes: int, seed: int) -> list[Episode]:
    """Play `episodes` episodes, the first of each of as many environments; episode k has the seed `seed + k`."""
    finished: list[Episode] = []
    for start in range(0, episodes, BATCH):
        seeds = range(seed + start, seed + min(start + BATCH, episodes))
        envs, batch, info = len(seeds), source.build_each(seeds), source.info
        shape = (envs, info.num_agents)
        observations = np.zeros((*shape, *info.observation_shape), info.observation_dtype)
        rewards, ends = np.zeros(shape, np.float32), np.zeros((2, *shape), bool)
        batch.reset(observations)
        begin_episodes(policy, info.num_agents, seeds)
        first: dict[int, Episode] = {}
        while len(first) < envs:
            batch.step(policy.step(observations), observations, rewards, *ends)
            policy.end_episodes(np.asarray((ends[0] | ends[1]).all(-1)))
            for episode in batch.take_episodes():
                first.setdefault(episode.env, episode)
        finished += [first[env] for env in range(envs)]
        batch.close()
    return finished


def foreign_summaries(episodes: list[Episode]) -> dict[str, Summary]:
    """Return (mean over agents) and length of the episodes."""
    return {
        "reward": summarize([float(episode.returns.mean()) for episode in episodes]),
        "steps": summarize([float(episode.steps) for episode in episodes]),
    }
