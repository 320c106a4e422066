"""A match is the same for every viewer: it plays as the policy would, but for the agents that somebody else moves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metta.eval.replay.file import read_replay
from metta.eval.replay.header import AGENT_COLUMNS
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission, mission_names
from metta.game.observation import env_info
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.uri import make_policy
from metta.view.match import Match
from tests.nets import build_net
from tests.view.conftest import make_match


def rows(path: Path, step: int) -> np.ndarray:
    """Agents of a replay's state, int64 [A, columns]."""
    replay = read_replay(path)
    agents, width = len(replay.header.agents), replay.header.agent_width
    return replay.state(step)[: agents * width].reshape(agents, width)


def test_it_ends_with_the_episode():
    match = make_match("noop", steps=3)
    steps = []
    while not match.ended:
        match.advance()
        steps.append(match.step)
    assert steps == [1, 2, 3] and len(match.recording.deltas) == 4


def test_agents_that_somebody_else_moves_do_not_change_what_the_policy_does_with_the_others(tmp_path: Path):
    match = make_match("cogsguard?gear=10", steps=20)
    match.advance({3: 0, 5: 0})
    match.recording.save(tmp_path / "a.replay")
    alone = make_match("cogsguard?gear=10", steps=20)
    alone.advance()
    alone.recording.save(tmp_path / "b.replay")
    action = AGENT_COLUMNS.index("action")
    moved, own = rows(tmp_path / "a.replay", 1)[:, action], rows(tmp_path / "b.replay", 1)[:, action]
    others = [0, 1, 2, 4, 6, 7]
    assert moved[[3, 5]].tolist() == [0, 0] and own[[3, 5]].all()
    np.testing.assert_array_equal(moved[others], own[others])


def test_a_trained_policys_value_estimates_are_recorded(tmp_path: Path):
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=4))
    torch.manual_seed(0)
    policy = NeuralPolicy(build_net("lstm", {"hidden_size": 8}, env_info(mission)))
    match = Match(mission, policy, 1)
    seen = match.observations.copy()
    match.recording.grow(tmp_path / "net.replay")
    match.advance()
    policy.reset(1, mission.agents, 1)
    expected = policy.advise(seen[None]).values.numpy()
    assert read_replay(tmp_path / "net.replay").header.values
    recorded = rows(tmp_path / "net.replay", 1)[:, AGENT_COLUMNS.index("value")] / 1000
    assert expected.any()
    np.testing.assert_allclose(recorded, expected.ravel(), atol=6e-4)
    match.recording.close()


@pytest.mark.parametrize("name", mission_names())
def test_every_mission_can_be_watched_and_recorded(name: str, tmp_path: Path):
    mission = build_mission(MissionSettings(name=name, max_steps=2))
    match = Match(mission, make_policy("random", env_info(mission)), 1)
    match.advance()
    match.recording.save(tmp_path / "some.replay")
    np.testing.assert_array_equal(read_replay(tmp_path / "some.replay").state(1), match.recording.state)
