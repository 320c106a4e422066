"""Properties of the batched engine."""

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.game.engine import layout as L
from metta.game.engine.batch import EnvBatch
from metta.game.engine.cpu import step_range
from metta.game.maps import ascii as ascii_maps
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.resources import RESOURCES, move_and_vibe

PICTURE = """
##################################
##################################
##################################
##################################
##################################
#####...........................##
#####..J....C.......O....J......##
#####...........................##
#####.....@....@................##
#####........a.x.m.s............##
#####...@....@....@.....@.......##
#####............H..............##
#####..G....S.......@......J....##
#####......@....................##
#####..J..............C......O..##
#####...........................##
##################################
##################################
##################################
##################################
##################################
"""
ITEM = {name: index for index, name in enumerate(RESOURCES)}


def small_mission(**settings: object) -> Mission:
    return build_mission(MissionSettings.model_validate({"max_steps": 60, **settings}))


class Play:
    """A batch with its buffers."""

    def __init__(self, mission: Mission, envs: int, **options: object):
        self.batch = EnvBatch(mission, envs, maps=ascii_maps.parse(PICTURE)[None], **options)  # type: ignore[arg-type]
        shape = (envs, self.batch.num_agents)
        self.observations = np.zeros((*shape, L.TOKENS, 3), np.uint8)
        self.rewards = np.zeros(shape, np.float32)
        self.terminals = np.zeros(shape, bool)
        self.truncations = np.zeros(shape, bool)
        self.batch.reset(self.observations)

    def step(self, actions: np.ndarray) -> None:
        self.batch.step(actions, self.observations, self.rewards, self.terminals, self.truncations)

    def bits(self) -> list[bytes]:
        arrays = [self.observations, self.rewards, self.terminals, self.truncations]
        return [a.tobytes() for a in (*arrays, *self.batch.state_dict().values())]


def random_actions(seed: int, steps: int, envs: int, agents: int, choices: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, choices, (steps, envs, agents)).astype(np.int32)


def test_the_same_seed_gives_the_same_bits_whatever_the_threads():
    actions = random_actions(0, 130, 40, 8)
    plays = [Play(small_mission(), 40, seed=7, threads=threads, desync=True) for threads in (1, 2, 3)]
    for step in actions:
        for play in plays:
            play.step(step)
        assert plays[0].bits() == plays[1].bits() == plays[2].bits()


def test_a_saved_state_continues_bit_by_bit():
    actions = random_actions(2, 100, 3, 8)
    play, other = Play(small_mission(), 3, seed=5), Play(small_mission(), 3, seed=99)
    for step in actions[:50]:
        play.step(step)
    other.batch.load_state_dict(play.batch.state_dict())
    for step in actions[50:]:
        play.step(step)
        other.step(step)
        assert (play.observations == other.observations).all()
        assert (play.rewards == other.rewards).all()


def test_actions_out_of_range_are_counted_and_do_nothing():
    play = Play(small_mission(variants=["no_vibes"]), 1, auto_reset=False)
    before = play.batch.positions()
    for value in (-1, 5, 12, move_and_vibe(1, 0), 2**31 - 1, -(2**31)):
        play.step(np.full((1, 8), value, np.int32))
    assert (play.batch.positions() == before).all()
    assert (play.batch.statistics(0).agent["action.invalid_index"] == 6).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_actions_of_any_integer_type_are_played_by_the_code_that_is_there(dtype: type):
    plays, actions = [Play(small_mission(), 2) for _ in range(2)], np.arange(16).reshape(2, 8) % 5
    plays[0].step(actions.astype(np.int32))
    compiled = len(step_range.signatures)
    plays[1].step(actions.astype(dtype))
    assert plays[0].bits() == plays[1].bits() and len(step_range.signatures) == compiled


def test_a_move_and_a_vibe_in_one_step_are_both_done():
    both, moves = (Play(small_mission(), 1, seed=3, auto_reset=False) for _ in range(2))
    for step in random_actions(1, 20, 1, 8, choices=5):
        moves.step(step)
        both.step(move_and_vibe(step, 2).astype(np.int32))
        assert (both.batch.positions() == moves.batch.positions()).all() and (both.batch.vibes() == 2).all()
    stats = both.batch.statistics(0).agent
    assert (stats["action.change_vibe.success"] == 20).all() and (stats["action.invalid_index"] == 0).all()
    both.step(np.full((1, 8), move_and_vibe(5, 0), np.int32))  # there is no such move
    assert (both.batch.statistics(0).agent["action.invalid_index"] == 1).all()


def test_an_episode_that_ends_is_handed_out_and_the_next_begins_in_the_same_step():
    play = Play(small_mission(max_steps=10), 3, seed=2)
    returns = np.zeros((3, 8), np.float32)
    for step in random_actions(4, 10, 3, 8):
        play.step(step)
        returns += play.rewards
    assert play.terminals.all() and not play.truncations.any()
    episodes = play.batch.take_episodes()
    assert [episode.env for episode in episodes] == [0, 1, 2] and not play.batch.take_episodes()
    np.testing.assert_allclose([episode.returns for episode in episodes], returns, atol=1e-6)
    assert all(episode.steps == 10 for episode in episodes)
    assert (play.observations[:, :, 0, 2] == 0).all(), "the observation is the first of the next episode"
    assert (play.batch.inventories()[..., ITEM["energy"]] == 100).all()


def test_desynchronised_first_episodes_end_at_different_steps_by_truncation():
    play = Play(small_mission(max_steps=50), 30, seed=1, desync=True)
    ends: list[int] = []
    for step in random_actions(5, 50, 30, 8):
        play.step(step)
        ends += [episode.steps for episode in play.batch.take_episodes()]
    assert len(set(ends)) > 10 and max(ends) <= 50


def test_the_objective_pays_the_mean_number_of_junctions_held():
    mission = small_mission(max_steps=40, variants=["no_clips"], quirks={"objective_weight_frozen": False})
    play = Play(mission, 1, auto_reset=False)
    for step in random_actions(3, 40, 1, 8, choices=5):
        play.step(step)
    episode = play.batch.statistics(0)
    held = episode.collective["cogs"].get("aligned.junction.held", 0.0)
    np.testing.assert_allclose(episode.returns, held / 40, atol=1e-5)


def test_maps_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(UserError, match="8 agents, map 0 has only 2 pads"):
        EnvBatch(Mission(), 1, maps=ascii_maps.parse("####\n#@@#\n####")[None])
    grid = ascii_maps.parse("####\n#@@#\n####")[None].copy()
    grid[0, 1, 1] = 31
    with pytest.raises(UserError, match="unknown cell code 31"):
        EnvBatch(Mission(), 1, maps=grid)
