"""The PufferLib view: native, alone and inside PufferLib's own vectors."""

import gymnasium
import numpy as np
import pytest

pytest.importorskip("pufferlib")

import pufferlib.vector

from metta.adapters import gymnasium as gym_view
from metta.adapters.puffer import make

SETTINGS = {"num_envs": 2, "map_pool": 4, "cogs": 3, "max_steps": 10}


def play(env, steps: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [env.step(random.integers(0, 5, 6).astype(np.int32))[0].copy() for _ in range(steps)]


def test_it_plays_as_the_gymnasium_view_does():
    puffer, gym = make(**SETTINGS), gym_view.make(**SETTINGS)
    puffer.reset(seed=7)
    gym.reset(seed=7)
    for mine, other in zip(play(puffer, 25), play(gym, 25), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_pufferlibs_vector_owns_the_buffers_that_the_engine_writes():
    vector = pufferlib.vector.make(make, env_kwargs=SETTINGS, num_envs=2, backend=pufferlib.vector.Serial)
    observations, _ = vector.reset(seed=1)
    assert observations.shape == (12, 200, 3) and observations[0].any() and observations[11].any()
    assert vector.envs[1].observations.base is not None
    observations, _, terminals, truncations, infos = vector.step(np.zeros(12, np.int32))
    assert not (terminals | truncations).any() and infos == []
    for _ in range(9):
        *_, infos = vector.step(np.zeros(12, np.int32))
    assert len(infos) == 4 and infos[0]["episode_length"] == 10 and "env_agent/heart.gained" in infos[0]
    vector.close()


def test_a_wrong_number_of_actions_is_refused():
    env = make(**SETTINGS)
    env.reset()
    with pytest.raises(ValueError, match=r"\(6,\)"):
        env.step(np.zeros(5, np.int32))


@pytest.mark.parametrize("actions", [np.zeros(6), np.full(6, 12), np.full(6, -1), np.full(6, 0.5, np.float32)])
def test_what_is_no_action_is_refused(actions: np.ndarray):
    env = make(**SETTINGS)
    env.reset()
    with pytest.raises(ValueError, match="0 to 11"):
        env.step(actions)


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        make(num_envs=2, map_pool=4, cogs=3, max_steps=10).step(np.zeros(6, np.int32))
