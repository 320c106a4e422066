"""Playing whole episodes of one policy on one mission, many at once."""

from collections.abc import Callable

import numpy as np

from metta.game.engine.batch import EnvBatch, Episode
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.statistics import episode_means
from metta.policy.interface import Policy

BATCH = 64  # episodes played at once; fixed, so that results do not depend on the machine


def play_episodes(
    mission: Mission,
    policy: Policy,
    episodes: int,
    seed: int,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Episode]:
    """Play `episodes` episodes; episode k has the map of seed `seed + k`.

    `progress` is told the number of steps played after each step of a batch.
    """
    maps = build_pool(mission, episodes, seed, threads)
    finished: list[Episode] = []
    steps = 0
    for start in range(0, episodes, BATCH):
        batch_maps = maps[start : start + BATCH]
        envs = len(batch_maps)
        batch = EnvBatch(mission, envs, maps=batch_maps, seed=seed + start, threads=threads, auto_reset=False)
        shape = (envs, batch.num_agents)
        observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
        rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
        batch.reset(observations)
        policy.reset(envs, batch.num_agents, seed + start)
        for _ in range(mission.max_steps):
            batch.step(policy.step(observations), observations, rewards, terminals, truncations)
            steps += 1
            if progress:
                progress(steps)
        finished += sorted(batch.take_episodes(), key=lambda episode: episode.env)
        batch.close()
    return finished


def episode_metrics(episode: Episode) -> dict[str, float]:
    """Metrics of one episode under the names that training reports: means over agents, team and game counters."""
    return {"reward": float(episode.returns.mean()), **episode_means(episode)}


def metrics_by_name(episodes: list[Episode]) -> dict[str, list[float]]:
    """Per-episode values of every metric that any episode has; one that an episode lacks is 0 there."""
    rows = [episode_metrics(episode) for episode in episodes]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, 0.0) for row in rows] for name in names}
