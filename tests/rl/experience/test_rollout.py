"""Collected experience: what is stored is what happened."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metta.game.engine.batch import Batch
from metta.rl.build import Parts, build, build_environments, plan
from metta.rl.experience.rollout import Rollout
from metta.rl.learning.update import gather
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig

Config = Callable[..., RunConfig]
NO_DEVICE = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def collected(config: RunConfig, batches: int = 1) -> tuple[Parts, Batch]:
    """Parts after some batches, and the same environments afresh."""
    planned = plan(config)
    parts = build(planned)
    parts.rollout.start()
    for _ in range(batches):
        assert parts.rollout.collect(Stopwatch(), lambda: False)
    return parts, build_environments(planned)


@pytest.mark.parametrize("backend", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_DEVICE])])
def test_replaying_the_stored_actions_gives_the_stored_experience(config: Config, backend: str) -> None:
    """Two rounds of eight steps: observations, rewards and ends in their places, rewards after their actions. What
    counts in place of what a cut episode would have brought: test_cut.py."""
    settings = {"training_env": {"num_envs": 4}, "env": {"backend": backend}, "system": {"device": backend}}
    parts, _ = collected(config(**settings))
    env = build_environments(plan(config(training_env={"num_envs": 4})))
    experience = parts.rollout.experience
    envs, agents = env.num_envs, env.num_agents
    seen = np.zeros((envs, agents, 200, 3), np.uint8)
    rewards, ends = np.zeros((envs, agents), np.float32), np.zeros((2, envs, agents), bool)
    env.reset(seen)
    ended = np.ones(envs * agents, bool)
    for step in range(16):
        columns = slice(32 * (step // 8), 32 * (step // 8) + 32)
        stored = {
            name: getattr(experience, name)[step % 8, columns].cpu().numpy()
            for name in ("observations", "actions", "rewards", "dones", "resets")
        }
        np.testing.assert_array_equal(stored["observations"], seen.reshape(-1, 200, 3))
        np.testing.assert_array_equal(stored["resets"], ended)
        env.step(stored["actions"].astype(np.int32).reshape(envs, agents), seen, rewards, ends[0], ends[1])
        ended = ends.any(0).ravel()
        whole = ~ends[1].ravel()
        np.testing.assert_array_equal(stored["rewards"][whole], rewards.ravel()[whole])
        np.testing.assert_array_equal(stored["dones"], ended)


def test_unrolling_the_stored_segments_gives_the_stored_values_and_probabilities(config: Config) -> None:
    """Episodes of 5 steps end inside segments; recurrent state carries over from the batch before."""
    parts, _ = collected(config(mission={"max_steps": 5}), batches=3)
    experience = parts.rollout.experience
    assert experience.dones.any() and any(part.any() for part in experience.state)
    with torch.no_grad():
        output = parts.net.unroll(experience.observations, experience.state, experience.resets)
    torch.testing.assert_close(output.values, experience.values, atol=1e-5, rtol=1e-5)
    log_probs = output.logits.log_softmax(-1).gather(-1, experience.actions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(log_probs, experience.log_probs, atol=1e-5, rtol=1e-5)


def test_values_after_the_last_step_are_those_of_the_next_segment(config: Config) -> None:
    parts, _ = collected(config(training_env={"num_envs": 4}, mission={"max_steps": 1000}))
    experience = parts.rollout.experience
    torch.testing.assert_close(experience.next_values[:32], experience.values[0, 32:], atol=1e-5, rtol=1e-5)


def test_a_minibatch_holds_the_chosen_segments(config: Config) -> None:
    parts, _ = collected(config())
    experience = parts.rollout.experience
    chosen = torch.tensor([5, 0, 63])
    values = torch.arange(512.0).view(8, 64)
    batch = gather(experience, chosen, values, -values, torch.ones(3))
    assert torch.equal(batch.actions, experience.actions[:, chosen])
    assert torch.equal(batch.values[:, 2], values[:, 63]) and torch.equal(batch.advantages[0], -values[0, chosen])


def test_centring_subtracts_each_agents_moving_mean(config: Config) -> None:
    parts, _ = collected(config(trainer={"advantage": {"reward_centering": {"enabled": True, "beta": 0.5}}}))
    rollout: Rollout = parts.rollout
    start = rollout._reward_mean.clone()
    first = rollout._centre(start + 1)
    second = rollout._centre(start + 1)
    torch.testing.assert_close(first, torch.ones(64))
    torch.testing.assert_close(second, torch.full((64,), 0.5))


def test_collecting_stops_between_two_steps_when_asked(config: Config) -> None:
    parts, _ = collected(config())
    answers = iter([False, False, True])
    assert not parts.rollout.collect(Stopwatch(), lambda: next(answers))
