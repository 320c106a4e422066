"""What an environment plays depends on the seed and its number alone."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.game.engine.batch import EnvBatch, Episode
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from tests.game.play import draw
from tests.game.reference.twin import Buffers

ROOT = Path(__file__).parents[2]
POOL = np.stack([draw(rows) for rows in (["@J.@C", "a.H.x"], ["C@.J.", "H.x@a"], ["..@.J", "J@.a."])])
AGENTS, STEPS, LENGTH = 2, 40, 15
Film = list[tuple[bytes, ...]]  # per step: observations, rewards, terminals, truncations of the environments asked for


def film(seed: int, envs: int, threads: int = 1, count: int = 1, first: int = 0) -> tuple[Film, list[Episode]]:
    """Play environments first … first+count-1, the first ones of a batch of those from `first` on, by actions that
    depend on their numbers only."""
    mission = build_mission(MissionSettings(cogs=AGENTS, max_steps=LENGTH, variants=["clips_hard"]))
    batch = EnvBatch(mission, envs, maps=POOL, seed=seed, threads=threads, desync=True, first=first)
    buffers = Buffers.of(envs, AGENTS)
    batch.reset(buffers.observations)
    rngs = [np.random.default_rng(first + e) for e in range(envs)]
    frames: Film = []
    for _ in range(STEPS):
        actions = np.array([rng.integers(0, 12, AGENTS) for rng in rngs], np.int32)
        buffers.step(batch, actions)
        shown = (buffers.observations, buffers.rewards, buffers.terminals, buffers.truncations)
        frames.append(tuple(array[:count].tobytes() for array in shown))
    batch.close()
    episodes = [episode for episode in batch.take_episodes() if first <= episode.env < first + count]
    return frames, sorted(episodes, key=lambda episode: episode.env)


def told(episodes: list[Episode]) -> list[str]:
    """Episodes as text, arrays as lists."""
    plain = [
        replace(episode, returns=episode.returns.tolist(), agent={k: v.tolist() for k, v in episode.agent.items()})  # type: ignore[arg-type]
        for episode in episodes
    ]
    return [str(episode) for episode in plain]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**63), few=st.integers(1, 4), more=st.integers(0, 40), threads=st.integers(1, 4))
def test_an_environment_plays_the_same_in_any_batch_on_any_threads(seed: int, few: int, more: int, threads: int):
    alone, episodes = film(seed, few, count=few)
    crowd, others = film(seed, few + more, threads, count=few)
    assert alone == crowd
    assert told(episodes) == told(others) and len(episodes) >= few


@settings(max_examples=15)
@given(seed=st.integers(0, 2**63), sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_parts_of_a_batch_play_what_the_whole_plays(seed: int, sizes: list[int]):
    """Over several episodes: first maps, later ones, and where desynchronised episodes end."""
    whole, episodes = film(seed, sum(sizes), count=sum(sizes))
    parts = [film(seed, size, count=size, first=sum(sizes[:k])) for k, size in enumerate(sizes)]
    steps = zip(*(frames for frames, _ in parts), strict=True)
    assert [tuple(map(b"".join, zip(*frames, strict=True))) for frames in steps] == whole
    assert told([episode for part in parts for episode in part[1]]) == told(episodes)
    assert {episode.number for episode in episodes} > {0, 1}


def digest(seed: int) -> str:
    frames, episodes = film(seed, 3, count=3)
    return hashlib.sha256(repr((frames, told(episodes))).encode()).hexdigest()


def test_another_process_plays_the_same():
    code = "from tests.game.test_seeds import digest; print(digest(11))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(11)


def test_no_environment_of_one_seed_plays_as_one_of_another():
    """Else runs that differ only in their seeds would share most of their luck."""
    orders = {(seed, e): first_movers(seed)[e] for seed in range(4) for e in range(8)}
    assert len(set(orders.values())) == len(orders)


def first_movers(seed: int) -> list[str]:
    """Who of two got the cell between them, step by step, in each of eight environments."""
    mission = build_mission(MissionSettings(cogs=2, max_steps=200, cog={"action_cost": {}}))
    batch = EnvBatch(mission, 8, maps=draw(["@.@"])[None], seed=seed)
    buffers = Buffers.of(8, 2)
    batch.reset(buffers.observations)
    won = []
    for _ in range(60):
        buffers.step(batch, np.tile(np.array([4, 3], np.int32), (8, 1)))
        won.append(batch.successes()[:, 0])
        buffers.step(batch, np.where(batch.successes(), [3, 4], 0).astype(np.int32))
    return ["".join(map(str, row.astype(int))) for row in np.array(won).T]


def of_seeds(seeds: Sequence[int], threads: int = 1) -> list[str]:
    """What each environment of a batch with these seeds plays on one map, whatever its place."""
    mission = build_mission(MissionSettings(cogs=AGENTS, max_steps=LENGTH, variants=["clips_hard"]))
    batch = EnvBatch(mission, len(seeds), maps=POOL[:1], seed=seeds, threads=threads, auto_reset=False, desync=True)
    buffers = Buffers.of(len(seeds), AGENTS)
    batch.reset(buffers.observations)
    films = [hashlib.sha256() for _ in seeds]
    rng = np.random.default_rng(3)
    for _ in range(LENGTH):
        buffers.step(batch, np.tile(rng.integers(0, 12, AGENTS).astype(np.int32), (len(seeds), 1)))
        for env, found in enumerate(films):
            shown = (buffers.observations, buffers.rewards, buffers.terminals, buffers.truncations)
            found.update(b"".join(array[env].tobytes() for array in shown))
    batch.close()
    return [found.hexdigest() for found in films]


def test_an_environment_of_a_seed_of_its_own_plays_as_alone_wherever_it_stands():
    seeds = [909, 3, 2**63 + 5, 911, 910, *range(30)]
    together = of_seeds(seeds, threads=3)
    assert together == of_seeds(seeds[::-1])[::-1] == [of_seeds([seed])[0] for seed in seeds]
    assert len(set(together)) > 8


def test_a_batch_is_reset_to_other_seeds_and_refuses_too_few():
    mission = build_mission(MissionSettings(cogs=AGENTS, max_steps=LENGTH))
    batch, buffers = EnvBatch(mission, 2, maps=POOL[:1], seed=[4, 5]), Buffers.of(2, AGENTS)
    states = []
    for seeds in ([4, 5], [6, 4], [5, 6]):
        batch.reset(buffers.observations, seeds)
        states.append(batch.state_dict()["rng"].tolist())
    assert states[0] == [states[1][1], states[2][0]] and states[1][0] == states[2][1]
    with pytest.raises(ValueError, match="3 seeds for 2 environments"):
        batch.reset(buffers.observations, [1, 2, 3])
