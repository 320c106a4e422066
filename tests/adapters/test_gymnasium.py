"""The Gymnasium view: what the engine does, slot by slot, in Gymnasium's words."""

import numpy as np
import pytest

from metta.adapters.gymnasium import MettaVectorEnv, make
from metta.common.errors import UserError
from metta.game.build import build_batch
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

gymnasium = pytest.importorskip("gymnasium")
ENVS, AGENTS, STEPS = 3, 4, 12


@pytest.fixture
def env():
    made = make(num_envs=ENVS, seed=5, map_pool=4, cogs=AGENTS, max_steps=STEPS, rewards=["credit"])
    yield made
    made.close()


def play(env: MettaVectorEnv, steps: int, seed: int = 0) -> list[tuple]:
    """Steps with random actions; copies, as buffers are used again."""
    random = np.random.default_rng(seed)
    played = []
    for _ in range(steps):
        *arrays, infos = env.step(random.integers(0, 5, env.num_envs))
        played.append((*(array.copy() for array in arrays), infos))
    return played


def test_every_agent_has_a_slot_and_the_spaces_describe_what_comes(env: MettaVectorEnv):
    observations, infos = env.reset()
    assert env.num_envs == ENVS * AGENTS and infos == {}
    assert observations in env.observation_space
    observations, rewards, terminals, truncations, _ = env.step(env.action_space.sample())
    assert observations in env.observation_space
    assert rewards.shape == terminals.shape == truncations.shape == (ENVS * AGENTS,)
    assert (rewards.dtype, terminals.dtype, truncations.dtype) == (np.float32, bool, bool)


def test_steps_are_those_of_the_engine(env: MettaVectorEnv):
    mission = build_mission(MissionSettings(cogs=AGENTS, max_steps=STEPS, rewards=["credit"]))
    batch = build_batch(mission, ENVS, seed=5, map_pool=4)
    expected = np.zeros((ENVS, AGENTS, 200, 3), np.uint8)
    rewards, ends = np.zeros((ENVS, AGENTS), np.float32), np.zeros((2, ENVS, AGENTS), bool)
    batch.reset(expected)
    np.testing.assert_array_equal(env.reset()[0], expected.reshape(-1, 200, 3))
    random = np.random.default_rng(0)
    for step in play(env, 3 * STEPS):
        actions = random.integers(0, 5, ENVS * AGENTS).astype(np.int32)
        batch.step(actions, expected, rewards, *ends)
        for mine, reference in zip(step, (expected, rewards, *ends), strict=False):
            np.testing.assert_array_equal(mine.ravel(), reference.ravel())


def test_an_episode_ends_with_its_last_observation_and_its_statistics(env: MettaVectorEnv):
    env.reset()
    *_, before, end = play(env, STEPS)
    assert before[4] == {}
    observations, _, terminals, truncations, infos = end
    assert env.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    assert (terminals | truncations).all() and infos["_final_obs"].all()
    assert not np.array_equal(infos["final_obs"][0], observations[0])
    assert infos["final_obs"][0].shape == (200, 3)
    info = infos["final_info"]
    assert info["episode"]["l"].tolist() == [STEPS] * env.num_envs
    assert info["agent"]["action.move.success"].sum() > 0
    env.reset(seed=1)
    played = play(env, STEPS)
    summed = np.sum([step[1] for step in played], axis=0)
    np.testing.assert_allclose(played[-1][4]["final_info"]["episode"]["r"], summed, atol=1e-4)


def test_gymnasiums_own_statistics_agree(env: MettaVectorEnv):
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    wrapped.reset(seed=3)
    for _ in range(2 * STEPS):
        *_, infos = wrapped.step(wrapped.action_space.sample())
    np.testing.assert_allclose(infos["episode"]["r"], infos["final_info"]["episode"]["r"], atol=1e-4)
    assert infos["episode"]["l"].tolist() == [STEPS] * env.num_envs


def test_a_seed_repeats_episodes_and_no_seed_goes_on(env: MettaVectorEnv):
    first, _ = env.reset(seed=1)
    first, steps = first.copy(), play(env, 5)
    again, _ = env.reset(seed=1)
    np.testing.assert_array_equal(first, again)
    for mine, other in zip(play(env, 5), steps, strict=True):
        np.testing.assert_array_equal(mine[0], other[0])
    starts = [first, env.reset()[0].copy(), env.reset(seed=2)[0].copy()]
    assert len({start.tobytes() for start in starts}) == 3


def test_what_a_step_returned_outlives_the_next_step(env: MettaVectorEnv):
    env.reset()
    now = env.step(env.action_space.sample())[0]
    kept = now.copy()
    following = env.step(env.action_space.sample())[0]
    assert not np.shares_memory(now, following)
    np.testing.assert_array_equal(now, kept)


def test_a_wrong_number_of_actions_is_refused(env: MettaVectorEnv):
    env.reset()
    with pytest.raises(ValueError, match=r"\(12,\)"):
        env.step(np.zeros(11, np.int32))


@pytest.mark.parametrize(
    ("actions", "problem"),
    [
        (np.zeros(12), "float64"),
        (np.full(12, 0.5, np.float32), "float32"),
        (np.ones(12, bool), "bool"),
        ([0] * 11 + [True], "bool"),
        (np.array(["0"] * 12), "<U1"),
        ([0] * 11 + [-1], "action -1 of agent 11 is not one of 0 to 11"),
        ([0, 0, 12] + [0] * 9, "action 12 of agent 2"),
        (np.full(12, 2**32, np.int64), "action 4294967296 of agent 0"),
        (np.zeros((3, 4), int), r"\(3, 4\)"),
        (None, "shape"),
    ],
)
def test_what_is_no_action_is_refused(env: MettaVectorEnv, actions: object, problem: str):
    env.reset()
    with pytest.raises(ValueError, match=problem):
        env.step(actions)  # pyright: ignore[reportArgumentType]
    env.step(np.full(12, 11, np.uint8))


def test_a_step_before_the_first_reset_is_refused(env: MettaVectorEnv):
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(12, np.int32))


def test_the_next_episode_may_begin_with_the_step_after_the_end():
    options = {"num_envs": ENVS, "seed": 5, "map_pool": 4, "cogs": AGENTS, "max_steps": STEPS, "rewards": ["credit"]}
    same, following = make(**options), make(**options, autoreset_mode=gymnasium.vector.AutoresetMode.NEXT_STEP)
    np.testing.assert_array_equal(same.reset(seed=2)[0], following.reset(seed=2)[0])
    random = np.random.default_rng(1)
    for _ in range(3):
        for step in range(STEPS):
            actions = random.integers(0, 5, same.num_envs)
            expected, found = same.step(actions), following.step(actions)
            for mine, other in zip(expected[1:4], found[1:4], strict=True):
                np.testing.assert_array_equal(mine, other)
            if step < STEPS - 1:
                np.testing.assert_array_equal(expected[0], found[0])
                assert found[4] == {}
        np.testing.assert_array_equal(np.stack(expected[4]["final_obs"]), found[0])
        assert found[4]["_final_info"].all() and "final_obs" not in found[4]
        for name, values in expected[4]["final_info"]["agent"].items():
            np.testing.assert_array_equal(values, found[4]["final_info"]["agent"][name])
        first = expected[0].copy()
        observations, rewards, terminals, truncations, infos = following.step(random.integers(0, 5, same.num_envs))
        np.testing.assert_array_equal(observations, first)
        assert not rewards.any() and not (terminals | truncations).any() and infos == {}


def test_gymnasiums_wrappers_for_that_mode_take_it():
    env = make(num_envs=2, map_pool=4, cogs=2, max_steps=6, autoreset_mode="NextStep")
    wrappers = gymnasium.wrappers.vector
    wrapped = wrappers.NormalizeObservation(wrappers.RecordEpisodeStatistics(env))
    wrapped.reset(seed=3)
    lengths = []
    for _ in range(21):
        observations, *_, infos = wrapped.step(wrapped.action_space.sample())
        lengths += infos["episode"]["l"].tolist() if "episode" in infos else []
    assert lengths == [6] * 12 and np.isfinite(observations).all()


def test_a_reset_in_between_forgets_that_episodes_were_over():
    env = make(num_envs=2, map_pool=4, cogs=2, max_steps=6, autoreset_mode="NextStep")
    env.reset(seed=3)
    first = play(env, 5)[0][0]
    env.step(np.zeros(4, int))
    env.reset(seed=3)
    np.testing.assert_array_equal(play(env, 5)[0][0], first)


def test_other_modes_are_refused():
    for mode in ("Disabled", "never"):
        with pytest.raises(ValueError, match=mode):
            make(map_pool=4, autoreset_mode=mode)


@pytest.mark.parametrize("wrong", [{"num_envs": 0}, {"num_envs": 1.5}, {"threads": 0}, {"map_pool": 0}, {"seed": "a"}])
def test_a_number_that_makes_no_batch_is_named(wrong: dict):
    with pytest.raises(UserError, match=next(iter(wrong))):
        make(**wrong)


def test_a_wrong_setting_names_the_nearest():
    with pytest.raises(UserError, match="did you mean max_steps"):
        make(max_step=3)
