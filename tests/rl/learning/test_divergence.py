"""Numbers that are not finite: the metric and the place are named, whoever picks the minibatches."""

import re
from collections.abc import Callable

import pytest
import torch

from metta.common.errors import UserError
from metta.policy.interface import SpaceInfo
from metta.policy.stored.uri import find_bundle
from metta.rl.experience.rollout import Experience
from metta.rl.learning.divergence import DivergedError, check_advantages, check_experience
from metta.rl.learning.sampling import PrioritizedSampler
from metta.rl.learning.settings import SamplingSettings
from metta.rl.settings import RunConfig
from metta.rl.sizes import BatchShape
from metta.rl.trainer import train

pytest.importorskip("pufferlib", reason="the extra 'puffer' is not installed")

Config = Callable[..., RunConfig]
SHAPE = BatchShape(envs=3, agents=2, rounds=2, horizon=4, minibatch_segments=4, minibatches=3)
INFO = SpaceInfo((2,), "float32", (2,), 2)


def poisoned(config: Config, what: str, value: float, first: int, method: str) -> RunConfig:
    """Two environments of 32 steps in each epoch of 64."""
    return config(
        mission={"name": "cogsguard_arena.basic"},
        env={
            "kind": "gymnasium",
            "name": "tests.rl.experience.foreign_envs:Poisoned-v0",
            "kwargs": {"what": what, "value": value, "first": first},
        },
        agent={"name": "mlp", "hidden_size": 16},
        trainer={"batch_size": 64, "minibatch_size": 32, "sampling": {"method": method}},
        training_env={"num_envs": 2},
    )


@pytest.mark.parametrize("method", ["sequential", "prioritized"])
@pytest.mark.parametrize(
    ("what", "value", "expected"),
    [
        ("reward", float("nan"), r"experience/rewards is nan \(environment 0, agent 0, step 6 of 32"),
        ("reward", float("-inf"), r"experience/rewards is -inf \(environment 0, agent 0, step 6 of 32"),
        ("reward", 1e39, r"experience/rewards is inf \(environment 0, agent 0, step 6 of 32"),  # in float32
        ("observation", float("nan"), r"experience/observations is nan \(environment 0, agent 0, step 7 of 32"),
        ("observation", float("inf"), r"experience/observations is inf \(environment 0, agent 0, step 7 of 32"),
    ],
)
def test_what_an_environment_spoils_is_named_with_its_place_and_the_checkpoint_kept(
    config: Config, what: str, value: float, expected: str, method: str
) -> None:
    settings = poisoned(config, what, value, 2 * 32 + 6, method)
    with pytest.raises(UserError, match=rf"diverged in epoch 3: {expected}.*checkpoint is v2; the environment gave it"):
        train(settings)
    bundle = find_bundle("tiny", settings.system.data_dir)
    assert bundle.epoch == 2 and all(torch.isfinite(tensor).all() for tensor in bundle.weights.values())


@pytest.mark.parametrize("method", ["sequential", "prioritized"])
def test_rewards_whose_sum_is_beyond_all_numbers_are_named_too(config: Config, method: str) -> None:
    with pytest.raises(UserError, match=r"experience/advantages is .* \(environment \d, agent 0, step \d+ of 32"):
        train(poisoned(config, "reward", 3e38, 70, method))


def test_an_observation_after_the_last_step_is_named_by_its_value(config: Config) -> None:
    with pytest.raises(UserError, match=r"values is nan \(environment 0, agent 0, after step 32, .* observed"):
        train(poisoned(config, "observation", float("nan"), 64, "prioritized"))


def test_the_last_observation_of_an_episode_that_was_cut_short_may_be_to_blame(config: Config) -> None:
    with pytest.raises(UserError, match=r"rewards is nan \(environment 0, agent 0, step 16 of 32.* or as the last obs"):
        train(poisoned(config, "last", float("nan"), 65, "sequential"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e25, 1e39])
def test_rewards_too_large_for_the_loss_are_to_blame_and_the_only_line(
    config: Config, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    blame = r"value_loss is inf.* rewards of up to 1e\+25 are too large, or " if value < 1e38 else "rewards is inf"
    with pytest.raises(UserError, match=blame):
        train(poisoned(config, "reward", value, 70, "sequential"))
    assert capsys.readouterr().err == ""


@pytest.fixture
def experience() -> Experience:
    return Experience.allocate(SHAPE.horizon, SHAPE.segments, INFO, (), torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "at", "where"),
    [
        ("rewards", (2, 3), "environment 1, agent 1, step 3 of 8"),
        ("values", (0, 6), "environment 0, agent 0, step 5 of 8"),
        ("log_probs", (3, 11), "environment 2, agent 1, step 8 of 8"),
    ],
)
def test_a_place_is_environment_agent_and_step(experience: Experience, name: str, at: tuple, where: str) -> None:
    getattr(experience, name)[at] = torch.nan
    with pytest.raises(DivergedError, match=re.escape(f"experience/{name} is nan ({where}")):
        check_experience(experience, SHAPE, num_agents=2)


def test_of_several_the_first_in_time_is_named_and_what_a_step_has_first(experience: Experience) -> None:
    experience.rewards[1, 7] = torch.inf  # in the second round
    experience.rewards[3, 0] = torch.inf
    experience.observations[3, 2, 1] = torch.nan
    with pytest.raises(DivergedError, match=r"observations is nan \(environment 1, learning agent 0, step 4 of 8"):
        check_experience(experience, SHAPE, num_agents=8)


def test_finite_numbers_pass(experience: Experience) -> None:
    experience.rewards.fill_(3e38)
    check_experience(experience, SHAPE, num_agents=2)
    check_advantages(torch.full((4, 12), -1e30), SHAPE, num_agents=2)


def test_advantages_that_no_number_can_sum_are_named_by_the_largest() -> None:
    advantages = torch.full((4, 12), 1e38)
    advantages[2, 9] = -3e38
    with pytest.raises(DivergedError, match=r"advantages is -3.*e\+38 \(environment 1, agent 1, step 7 of 8"):
        check_advantages(advantages, SHAPE, num_agents=2)


def test_priorities_beyond_all_numbers_are_said_to_be_so() -> None:
    sampler = PrioritizedSampler(SamplingSettings(prio_alpha=30.0, prio_beta0=0.5), torch.Generator())
    sampler.start(6, 0.0)
    with pytest.raises(DivergedError, match=r"power of 30\.0"):
        sampler.draw(2, torch.full((4, 6), 100.0))
