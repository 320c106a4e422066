"""A policy that plays a part of a batch does there what it does in the whole, as far as it can."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import Policy, Separate, reset_part
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import make_policy
from tests.nets import build_net

INFO = env_info(Mission())
ENVS, AGENTS, STEPS = 5, 8, 6
WALKER, CROWD = (f"class=tests.policy.hosted.user_policies.{name}" for name in ("Walker", "Crowd"))


def play(policy: Policy, part: slice) -> np.ndarray:
    """Actions, int32 [steps, envs, agents], in environments `part` after a reset; episodes end in some of them."""
    random, actions = np.random.default_rng(2), []
    for _ in range(STEPS):
        seen = random.integers(0, 256, (ENVS, AGENTS, 200, 3), dtype=np.uint8)
        actions.append(policy.step(seen[part]).copy())
        policy.end_episodes(random.random(ENVS)[part] < 0.3)
    return np.stack(actions)


@pytest.mark.parametrize("uri", ["random", "noop", "metta://policy/cogsguard", "NET", WALKER])
def test_parts_act_as_the_whole(uri: str, tmp_path: Path) -> None:
    if uri == "NET":
        torch.manual_seed(1)
        save_bundle(tmp_path / "net", build_net("lstm", {"hidden_size": 8}, INFO), "net", 1, 0)
    policy = make_policy(str(tmp_path / "net") if uri == "NET" else uri, INFO)
    policy.reset(ENVS, AGENTS, seed=11)
    whole = play(policy, slice(0, ENVS))
    for part in (slice(0, ENVS), slice(0, 2), slice(2, 3), slice(3, 5)):
        reset_part(policy, part, ENVS, AGENTS, seed=11)
        assert np.array_equal(play(policy, part), whole[:, part])


def test_one_that_plays_a_batch_only_as_one_has_a_seed_for_each_part() -> None:
    policy = make_policy(CROWD, INFO)
    assert not isinstance(policy, Separate)
    answers, seen = [], np.zeros((2, AGENTS, 200, 3), np.uint8)
    for part in (slice(0, 2), slice(2, 4), slice(0, 2)):
        reset_part(policy, part, ENVS, AGENTS, seed=11)
        answers.append(policy.step(seen).tolist())
    assert answers[0] == answers[2] != answers[1]
