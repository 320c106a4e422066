"""Evaluating what was trained on an environment of another library."""

import numpy as np

from metta.eval.episodes import BATCH
from metta.eval.statistics import Summary, summarize
from metta.game.engine.batch import Episode
from metta.policy.interface import Policy
from metta.rl.environments import Source


def play_foreign(source: Source, policy: Policy, episodes: int, seed: int) -> list[Episode]:
    """Play `episodes` episodes, the first of each of as many environments."""
    finished: list[Episode] = []
    for start in range(0, episodes, BATCH):
        envs = min(BATCH, episodes - start)
        batch, info = source.build(envs, seed + start), source.info
        shape = (envs, info.num_agents)
        observations = np.zeros((*shape, *info.observation_shape), info.observation_dtype)
        rewards, ends = np.zeros(shape, np.float32), np.zeros((2, *shape), bool)
        batch.reset(observations)
        policy.reset(envs, info.num_agents, seed + start)
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
