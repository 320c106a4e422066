"""Losses, advantages, sampling and schedules on batches made by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from metta.common.errors import UserError
from metta.policy.nets.interface import NetOutput
from metta.policy.sampling import sample_actions
from metta.rl.learning import advantage
from metta.rl.learning.advantage import compute_advantages
from metta.rl.learning.losses.base import Minibatch, predict
from metta.rl.learning.losses.gtd_critic import GtdCritic, lambda_errors
from metta.rl.learning.losses.ppo_actor import PpoActor
from metta.rl.learning.losses.ppo_critic import PpoCritic
from metta.rl.learning.optim import learning_rate
from metta.rl.learning.sampling import PrioritizedSampler, SequentialSampler, draw_distinct
from metta.rl.learning.settings import (
    AdvantageSettings,
    OptimizerSettings,
    PpoActorSettings,
    PpoCriticSettings,
    SamplingSettings,
    TrainerSettings,
)
from metta.rl.sizes import batch_shape


def minibatch(**changes: torch.Tensor) -> Minibatch:
    """One segment of two steps: actions 0 and 1, each of probability one half when taken."""
    fields = {
        "actions": torch.tensor([[0], [1]]),
        "log_probs": torch.full((2, 1), math.log(0.5)),
        "values": torch.tensor([[1.0], [2.0]]),
        "advantages": torch.tensor([[1.0], [-2.0]]),
        "rewards": torch.zeros(2, 1),
        "dones": torch.zeros(2, 1, dtype=torch.bool),
        "weights": torch.ones(1),
    }
    return Minibatch(**{**fields, **changes})


def output(probabilities: list[float], values: list[float]) -> NetOutput:
    """Probability of action 0 at each step, and values."""
    first = torch.tensor(probabilities)
    logits = torch.stack([first, 1 - first], dim=-1).log().unsqueeze(1).requires_grad_()
    return NetOutput(logits, torch.tensor(values, dtype=torch.float32).unsqueeze(1).requires_grad_())


def test_actor_loss_of_a_batch_computed_by_hand() -> None:
    actor = PpoActor(PpoActorSettings(clip_coef=0.2, ent_coef=0.1, norm_adv=False))
    # Ratios 0.8 / 0.5 = 1.6 (clipped to 1.2, advantage 1) and 0.3 / 0.5 = 0.6 (clipped to 0.8, advantage -2).
    result = actor(minibatch(), predict(output([0.8, 0.7], [0, 0]), minibatch()))
    policy = (-1.2 + 1.6) / 2
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2) + 0.7 * math.log(0.7) + 0.3 * math.log(0.3)) / 2
    assert float(result.metrics["policy_loss"]) == pytest.approx(policy, rel=1e-5)
    assert float(result.metrics["entropy"]) == pytest.approx(entropy, rel=1e-5)
    assert float(result.loss.detach()) == pytest.approx(policy - 0.1 * entropy, rel=1e-5)
    assert float(result.metrics["clipfrac"]) == 1.0
    assert float(result.metrics["importance"]) == pytest.approx(1.1, rel=1e-5)
    kl = ((0.6 - math.log(1.6)) + (-0.4 - math.log(0.6))) / 2
    assert float(result.metrics["approx_kl"]) == pytest.approx(kl, rel=1e-5)


def test_clipped_steps_carry_no_gradient_and_others_do() -> None:
    actor = PpoActor(PpoActorSettings(clip_coef=0.2, ent_coef=0.0, norm_adv=False))
    # Step 0 is beyond the clip in the direction of its advantage; step 1 is within it.
    given = output([0.8, 0.45], [0, 0])
    actor(minibatch(), predict(given, minibatch())).loss.backward()
    assert given.logits.grad is not None
    assert not given.logits.grad[0].any() and given.logits.grad[1].any()


def test_actor_normalises_advantages_and_applies_sampling_weights() -> None:
    batch = minibatch(
        advantages=torch.tensor([[3.0, 5.0], [1.0, 7.0]]),
        weights=torch.tensor([2.0, 0.5]),
        actions=torch.zeros(2, 2, dtype=torch.int64),
        log_probs=torch.full((2, 2), math.log(0.5)),
    )
    given = NetOutput(torch.zeros(2, 2, 2), torch.zeros(2, 2))
    result = PpoActor(PpoActorSettings(ent_coef=0.0))(batch, predict(given, batch))
    normal = (np.array([[3, 5], [1, 7]]) - 4) / np.std([3, 5, 1, 7], ddof=1)
    assert float(result.loss) == pytest.approx(-np.mean(normal * [2, 0.5]), rel=1e-5)


def test_a_policy_that_moved_very_far_still_gives_finite_numbers() -> None:
    batch = minibatch(log_probs=torch.full((2, 1), -80.0))
    result = PpoActor(PpoActorSettings())(batch, predict(output([0.9, 0.1], [0, 0]), batch))
    assert all(torch.isfinite(value) for value in (result.loss, *result.metrics.values()))


@pytest.mark.parametrize(("clip", "expected"), [(False, (0.2**2 + 0.5**2) / 4), (True, (0.5**2 + 1.5**2) / 4)])
def test_critic_loss_of_a_batch_computed_by_hand(clip: bool, expected: float) -> None:
    critic = PpoCritic(PpoCriticSettings(vf_coef=3.0, clip_vloss=clip, vf_clip_coef=0.5))
    # Returns 2 and 0; values 1.8 (kept near 1: at most 1.5) and 0.5 (kept near 2: at least 1.5).
    result = critic(minibatch(), predict(output([0.5, 0.5], [1.8, 0.5]), minibatch()))
    assert float(result.metrics["value_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(result.loss.detach()) == pytest.approx(3 * expected, rel=1e-5)


def plain_advantages(rewards, values, next_values, dones, ratios, settings):
    """The definition, one number at a time."""
    time, segments = rewards.shape
    out = np.zeros((time, segments))
    for s in range(segments):
        later = 0.0
        for t in reversed(range(time)):
            going_on = 0.0 if dones[t, s] else 1.0
            following = next_values[s] if t == time - 1 else values[t + 1, s]
            rho, c = min(ratios[t, s], settings.vtrace_rho_clip), min(ratios[t, s], settings.vtrace_c_clip)
            delta = rho * (rewards[t, s] + settings.gamma * following * going_on - values[t, s])
            later = delta + settings.gamma * settings.gae_lambda * c * going_on * later
            out[t, s] = later
    return out


@pytest.mark.parametrize("clips", [(1.0, 1.0), (0.7, 1.3)])
def test_advantages_equal_their_definition_on_both_paths(clips: tuple[float, float]) -> None:
    torch.manual_seed(0)
    settings = AdvantageSettings(gamma=0.97, gae_lambda=0.8, vtrace_rho_clip=clips[0], vtrace_c_clip=clips[1])
    rewards, values, ratios = torch.randn(13, 7), torch.randn(13, 7), torch.rand(13, 7) * 2
    next_values, dones = torch.randn(7), torch.rand(13, 7) < 0.2
    given = (rewards, values, next_values, dones, ratios)
    expected = plain_advantages(*(part.numpy() for part in given), settings)
    fast = compute_advantages(*given, settings, torch.empty(13, 7))
    np.testing.assert_allclose(fast.numpy(), expected, atol=1e-5)
    other = torch.empty(13, 7)
    advantage._on_device(*given, other, 0.97, 0.8, *clips)
    np.testing.assert_allclose(other.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("time", [1, 2, 7, 64])
def test_sums_backwards_and_their_gradients_equal_their_definition(time: int) -> None:
    draws = torch.Generator().manual_seed(time)
    terms, factors = (torch.randn(time, 3, dtype=torch.float64, generator=draws).requires_grad_() for _ in range(2))
    expected = [terms[-1]]
    for term, factor in zip(terms[:-1].flip(0), factors[:-1].flip(0), strict=True):
        expected.append(term + factor * expected[-1])
    found = advantage.sums_backwards(terms, factors)
    torch.testing.assert_close(found, torch.stack(expected[::-1]))
    weights = torch.randn(time, 3, dtype=torch.float64, generator=draws)
    gradients = [
        torch.autograd.grad((sums * weights).sum(), (terms, factors), allow_unused=True, materialize_grads=True)
        for sums in (found, torch.stack(expected[::-1]))
    ]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_with_ratios_of_one_advantages_are_plain_gae() -> None:
    settings = AdvantageSettings(gamma=0.9, gae_lambda=1.0)
    rewards = torch.tensor([[1.0], [0.0], [2.0]])
    zeros = torch.zeros(3, 1)
    out = compute_advantages(rewards, zeros, torch.tensor([10.0]), zeros.bool(), zeros + 1, settings, torch.empty(3, 1))
    assert out.flatten().tolist() == pytest.approx([1 + 0.81 * 2 + 0.729 * 10, 0.9 * 2 + 0.81 * 10, 2 + 9], rel=1e-6)


def test_sequential_sampling_visits_every_segment_once_per_pass() -> None:
    sampler = SequentialSampler(torch.Generator().manual_seed(0))
    sampler.start(12, 0.0)
    drawn = torch.cat([sampler.draw(4, torch.zeros(2, 12)).segments for _ in range(6)])
    assert sorted(drawn[:12].tolist()) == sorted(drawn[12:].tolist()) == list(range(12))
    assert drawn[:12].tolist() != list(range(12))


def test_prioritised_sampling_follows_the_advantages_and_weighs_back() -> None:
    advantages = torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 1.0, 0.0, -2.0]])
    sampler = PrioritizedSampler(SamplingSettings(prio_alpha=1.0, prio_beta0=0.0), torch.Generator().manual_seed(0))
    sampler.start(4, 1.0)  # at the end of training beta is 1
    counts = torch.zeros(4)
    for _ in range(4000):
        draw = sampler.draw(1, advantages)
        counts[draw.segments] += 1
        assert float(draw.weights) == pytest.approx(1 / (4 * [1 / 9, 4 / 9, 0, 4 / 9][int(draw.segments)]), rel=1e-4)
    np.testing.assert_allclose(counts / 4000, [1 / 9, 4 / 9, 0, 4 / 9], atol=0.03)
    sampler.start(4, 0.0)
    assert float(sampler.draw(1, advantages).weights) == 1.0


def test_prioritised_sampling_equals_its_definition() -> None:
    advantages = torch.randn(16, 6, generator=torch.Generator().manual_seed(0)).numpy()
    priorities = [sum(abs(float(number)) for number in segment) ** 0.8 for segment in advantages.T]
    probabilities = np.array(priorities) / sum(priorities)
    sampler = PrioritizedSampler(SamplingSettings(prio_alpha=0.8, prio_beta0=0.2), torch.Generator().manual_seed(0))
    sampler.start(6, 0.25)  # a quarter of the way from 0.2 to 1: 0.4
    counts = np.zeros(6)
    for _ in range(6000):
        draw = sampler.draw(1, torch.from_numpy(advantages))
        counts[draw.segments] += 1
        assert float(draw.weights) == pytest.approx((6 * probabilities[int(draw.segments)]) ** -0.4, rel=1e-4)
    np.testing.assert_allclose(counts / 6000, probabilities, atol=0.02)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), st.data())
def test_a_draw_has_so_many_different_segments(priorities: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(priorities)))
    probabilities = torch.tensor(priorities) / sum(priorities)
    drawn = draw_distinct(probabilities, count, torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    assert len(set(drawn.tolist())) == count
    assert set(drawn.tolist()) <= set(range(len(priorities)))


def test_segments_come_in_proportion_and_the_largest_for_certain() -> None:
    """Of 4 drawn, two have more than a quarter of what is left; the other 2 are shared out in proportion."""
    weights, generator = [1.0, 3.0, 60.0, 2.0, 2.0, 90.0], torch.Generator().manual_seed(0)
    counts = torch.zeros(6)
    for _ in range(4000):
        counts[draw_distinct(torch.tensor(weights) / sum(weights), 4, generator)] += 1
    np.testing.assert_allclose(counts / 4000, [2 / 8, 6 / 8, 1, 4 / 8, 4 / 8, 1], atol=0.03)


def test_ranges_of_segments_have_nearly_their_due_of_a_draw() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(512, generator=generator)
    for _ in range(20):
        drawn = draw_distinct(weights / weights.sum(), 64, generator)
        due = 64 * float(weights[:256].sum() / weights.sum())
        assert abs(int((drawn < 256).sum()) - due) < 1


def test_actions_are_drawn_in_proportion_to_their_probabilities() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(20000, 4)
    actions, log_probs = sample_actions(logits, torch.rand(len(logits), generator=torch.Generator().manual_seed(0)))
    shares = torch.bincount(actions, minlength=4) / 20000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.015)
    torch.testing.assert_close(log_probs, logits.gather(1, actions.unsqueeze(1)).squeeze(1))


def test_learning_rate_falls_along_a_cosine() -> None:
    settings = OptimizerSettings(learning_rate=2.0, min_lr_ratio=0.5)
    rates = [learning_rate(settings, progress) for progress in (0, 0.5, 1, 2)]
    assert rates == pytest.approx([2.0, 1.5, 1.0, 1.0])
    assert learning_rate(OptimizerSettings(learning_rate=2.0, anneal_lr=False), 0.7) == 2.0


def test_a_batch_divides_into_environments_rounds_and_minibatches() -> None:
    shape = batch_shape(TrainerSettings(batch_size=2_097_152, minibatch_size=16_384), agents=8, envs=None)
    assert (shape.envs, shape.rounds, shape.segments, shape.minibatches) == (1024, 4, 32768, 128)
    assert shape.agent_steps == 2_097_152
    small = batch_shape(TrainerSettings(batch_size=8192, minibatch_size=16_384), agents=8, envs=None)
    assert (small.envs, small.rounds, small.minibatches) == (16, 1, 1)


def test_sizes_that_do_not_divide_name_the_nearest() -> None:
    with pytest.raises(UserError, match="nearest: 8192 or 8704"):
        batch_shape(TrainerSettings(batch_size=8256, minibatch_size=8256), agents=8, envs=None)
    with pytest.raises(UserError, match="the smallest is 16384"):
        batch_shape(TrainerSettings(batch_size=8192, minibatch_size=8192), agents=8, envs=32)


def test_environments_are_shared_evenly_by_the_processes_of_a_run() -> None:
    settings = TrainerSettings(batch_size=24_576, minibatch_size=8192)
    shape = batch_shape(settings, agents=8, envs=None, ranks=3)
    assert (shape.envs, shape.own_envs, shape.segments, shape.own_segments) == (48, 16, 384, 128)
    assert batch_shape(settings, agents=8, envs=None).envs == 48
    most = TrainerSettings(batch_size=3 * 2**20, minibatch_size=2**14)
    assert [batch_shape(most, agents=8, envs=None, ranks=ranks).envs for ranks in (1, 2, 3)] == [1024, 1024, 768]
    with pytest.raises(UserError, match=r"num_envs=16 cannot be shared evenly by 3 processes; nearest: 15 or 18"):
        batch_shape(settings, agents=8, envs=16, ranks=3)
    with pytest.raises(UserError, match=r"batch_size=24576 .* x 5 processes = 2560; nearest: 23040 or 25600"):
        batch_shape(settings, agents=8, envs=None, ranks=5)


def test_lambda_errors_follow_their_definition_and_stop_at_episode_ends() -> None:
    settings = AdvantageSettings(gamma=0.9, gae_lambda=0.5)
    batch = minibatch(
        rewards=torch.tensor([[1.0], [2.0], [3.0], [9.0]]), dones=torch.tensor([[0], [1], [0], [0]]).bool()
    )
    values = torch.tensor([[0.5], [1.0], [1.5], [2.0]])
    first, second, third = 1 + 0.9 * 1.0 - 0.5, 2 - 1.0, 3 + 0.9 * 2.0 - 1.5
    expected = [first + 0.45 * second, second, third]
    assert lambda_errors(batch, values, settings).flatten().tolist() == pytest.approx(expected)


def test_gtd_critic_of_a_batch_computed_by_hand() -> None:
    head = nn.Parameter(torch.tensor([3.0, 1.0]))
    settings = PpoCriticSettings(critic_update="gtd_lambda", vf_coef=2.0, aux_coef=3.0, beta=0.5)
    critic = GtdCritic(settings, AdvantageSettings(gamma=0.9), lambda: [head])
    batch = minibatch(rewards=torch.tensor([[1.0], [7.0]]))
    values = torch.tensor([[0.5], [2.0]], requires_grad=True)
    auxiliary = torch.tensor([[0.3], [5.0]], requires_grad=True)
    prediction = predict(NetOutput(torch.zeros(2, 1, 2), values, auxiliary), batch)
    assert critic.prepare(batch, prediction).advantages.flatten().tolist() == pytest.approx([2.3, 0])
    loss, metrics = critic(batch, prediction)
    error = 1 + 0.9 * 2.0 - 0.5
    assert float(metrics["gtd_critic_loss"]) == pytest.approx(0.3 * error - (error - 0.3) * 0.5)
    assert float(metrics["gtd_aux_loss"]) == pytest.approx(0.5 * (error - 0.3) ** 2 + 0.25 * 5.0)
    loss.backward()
    assert values.grad is not None and auxiliary.grad is not None and head.grad is not None
    assert values.grad.flatten().tolist() == pytest.approx([2 * (-0.3 - (error - 0.3)), 2 * 0.3 * 0.9])
    assert auxiliary.grad.flatten().tolist() == pytest.approx([3 * (0.3 - error), 0])
    assert head.grad.tolist() == pytest.approx([3 * 0.5 * 3.0 / 2, 3 * 0.5 * 1.0 / 2])
