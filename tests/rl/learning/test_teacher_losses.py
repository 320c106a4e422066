"""Losses of teachers, and what PPO sees beside them, on batches made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from metta.policy.nets.interface import NetOutput
from metta.rl.experience.labels import NO_LABEL, PPO, STUDENT_LED, TEACHER_LED, Labels, choose_slices
from metta.rl.experience.teacher_settings import ClonerSettings, EerClonerSettings, EerSettings, KickstarterSettings
from metta.rl.learning.losses.base import Loss, Minibatch, Within, predict
from metta.rl.learning.losses.cloner import Cloner
from metta.rl.learning.losses.eer import Eer, teacher_rewards
from metta.rl.learning.losses.gtd_critic import lambda_errors
from metta.rl.learning.losses.kickstarter import Kickstarter
from metta.rl.learning.losses.ppo_actor import PpoActor
from metta.rl.learning.losses.ppo_critic import PpoCritic
from metta.rl.learning.sampling import PrioritizedSampler
from metta.rl.learning.settings import AdvantageSettings, PpoActorSettings, PpoCriticSettings, SamplingSettings

# Three segments of two steps, a slice each; two actions. The teacher's last action is one the student has not.
SLICES = torch.tensor([PPO, STUDENT_LED, TEACHER_LED])
LABELS = torch.tensor([[0, 1, 1], [0, 0, NO_LABEL]])
STUDENT = [[0.5, 0.6, 0.7], [0.5, 0.8, 0.9]]  # probability of action 0
TEACHER = [[0.5, 0.9, 0.2], [0.5, 0.4, 0.3]]
VALUES = [[0.0, 1.0, 2.0], [0.0, 3.0, 5.0]]


def distribution(first: list[list[float]]) -> Tensor:
    shares = torch.tensor(first)
    return torch.stack([shares, 1 - shares], dim=-1).log()


def minibatch(strength: float = 1.0, **changes: Tensor) -> Minibatch:
    zeros = torch.zeros(2, 3)
    labels = Labels(
        SLICES, SLICES == PPO, LABELS.clone(), zeros + 1, distribution(TEACHER), zeros.clone(), torch.tensor(strength)
    )
    fields = {
        "actions": torch.zeros(2, 3, dtype=torch.int64), "log_probs": zeros + math.log(0.5), "values": zeros,
        "advantages": zeros, "rewards": zeros, "dones": zeros.bool(), "weights": torch.ones(3),
    }  # fmt: skip
    return Minibatch(**{**fields, **changes}, labels=labels)


def output() -> NetOutput:
    return NetOutput(distribution(STUDENT).requires_grad_(), torch.tensor(VALUES).requires_grad_())


def taught(loss: Loss) -> Within:
    return Within(loss, lambda labels: labels.distill_mask)


def seen(loss: Loss) -> Within:
    return Within(loss, lambda labels: labels.ppo_mask)


def test_cloning_is_the_mean_over_the_labels_of_both_slices() -> None:
    given = output()
    result = taught(Cloner(ClonerSettings(action_loss_coef=3.0)))(minibatch(), predict(given, minibatch()))
    student, teacher = [-math.log(0.4), -math.log(0.8)], [-math.log(0.3)]
    assert float(result.loss.detach()) == pytest.approx(3 * np.mean(student + teacher), rel=1e-5)
    assert {name: float(value) for name, value in result.metrics.items()} == pytest.approx(
        {
            "supervised_action_loss": np.mean(student + teacher),
            "supervised_action_loss_student_led": np.mean(student),
            "supervised_action_loss_teacher_led": np.mean(teacher),
            "teacher_agreement": 1 / 3,
            "teacher_agreement_student_led": 1 / 2,
            "teacher_agreement_teacher_led": 0.0,
        },
        rel=1e-5,
    )
    result.loss.backward()
    assert given.logits.grad is not None
    touched = given.logits.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[False, True, True], [False, True, False]]


def test_a_student_that_is_compared_softened_is_taught_to_play_sharper() -> None:
    sharp = output()._replace(logits=distribution(STUDENT) * 2.5)
    result = taught(Cloner(ClonerSettings(temperature=2.5)))(minibatch(), predict(sharp, minibatch()))
    plain = taught(Cloner(ClonerSettings()))(minibatch(), predict(output(), minibatch()))
    assert float(result.loss.detach()) == pytest.approx(float(plain.loss.detach()), rel=1e-5)


def test_kickstarting_is_the_softened_divergence_and_the_error_of_the_values() -> None:
    settings = KickstarterSettings(action_loss_coef=2.0, value_loss_coef=3.0, temperature=2.0)
    result = taught(Kickstarter(settings))(minibatch(0.5), predict(output(), minibatch()))
    divergences = []
    for time, segment in [(0, 1), (0, 2), (1, 1), (1, 2)]:
        p, q = (np.sqrt([share[time][segment], 1 - share[time][segment]]) for share in (TEACHER, STUDENT))
        p, q = p / p.sum(), q / q.sum()
        divergences.append(4 * (p * np.log(p / q)).sum())
    expected = 0.5 * (2 * np.mean(divergences) + 3 * np.mean([1, 4, 9, 25]))
    assert float(result.loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(result.metrics["supervised_action_loss"]) == pytest.approx(np.mean(divergences), rel=1e-4)
    assert float(result.metrics["supervised_value_loss"]) == pytest.approx(39 / 4)
    assert float(result.metrics["teacher_agreement"]) == pytest.approx(1 / 4)


def test_a_student_equal_to_its_teacher_is_left_alone() -> None:
    given = NetOutput(distribution(TEACHER).requires_grad_(), torch.zeros(2, 3))
    result = taught(Kickstarter(KickstarterSettings()))(minibatch(), predict(given, minibatch()))
    result.loss.backward()
    assert given.logits.grad is not None
    assert float(result.loss.detach()) == pytest.approx(0, abs=1e-6) and float(given.logits.grad.abs().max()) < 1e-6


def test_entropy_regularised_distillation_is_the_cross_entropy_to_the_teacher() -> None:
    result = taught(Eer(EerSettings(action_loss_coef=2.0)))(minibatch(), predict(output(), minibatch()))
    cells = [(0, 1), (0, 2), (1, 1)]
    losses = [
        -TEACHER[t][s] * math.log(STUDENT[t][s]) - (1 - TEACHER[t][s]) * math.log(1 - STUDENT[t][s]) for t, s in cells
    ]
    assert float(result.loss.detach()) == pytest.approx(2 * np.mean(losses), rel=1e-5)


def test_the_teachers_reward_is_its_log_probability_of_the_action_taken() -> None:
    labels = minibatch(0.5).labels
    assert labels is not None
    taken = torch.tensor([[0, 0, 1], [0, 1, 0]])
    rewards = teacher_rewards(labels, taken, 2, EerSettings(r_lambda=0.1))
    expected = [[0, math.log(0.9), math.log(0.8)], [0, math.log(0.6), 0]]
    np.testing.assert_allclose(rewards, 0.05 * np.array(expected), rtol=1e-5)


def test_a_teacher_that_only_acts_rewards_its_own_action() -> None:
    labels = replace(minibatch().labels, log_probs=None)  # pyright: ignore
    taken = torch.tensor([[0, 1, 0], [0, 1, 0]])
    rewards = teacher_rewards(labels, taken, 2, EerClonerSettings(r_lambda=1.0, epsilon=0.1))
    expected = [[0, math.log(0.9), math.log(0.1)], [0, math.log(0.1), 0]]
    np.testing.assert_allclose(rewards, expected, rtol=1e-5)


def test_what_the_teacher_rules_out_costs_a_bounded_reward() -> None:
    labels = minibatch().labels
    assert labels is not None and labels.log_probs is not None
    labels.log_probs[0, 1] = torch.tensor([0.0, -1e4])
    rewards = teacher_rewards(labels, torch.ones(2, 3, dtype=torch.int64), 2, EerSettings(r_lambda=1.0))
    assert float(rewards[0, 1]) == -10


def test_ppo_normalises_and_learns_only_over_its_own_slice() -> None:
    """Whatever lies in the other segments, the loss is that of a batch of the PPO segment alone."""
    advantages = torch.tensor([[1.0, 1e6, -1e6], [3.0, 1e6, 0.0]])
    batch, given = minibatch(advantages=advantages), output()
    for loss in (PpoActor(PpoActorSettings()), PpoCritic(PpoCriticSettings())):
        prediction = predict(given, batch)
        result = seen(loss)(batch, prediction)
        alone = loss(batch.pick(torch.tensor([0])), prediction.pick(torch.tensor([0])))
        assert torch.equal(result.loss, alone.loss)
        assert result.metrics.keys() == alone.metrics.keys()
        gradients = torch.autograd.grad(result.loss, [given.logits, given.values], allow_unused=True)
        assert all(not part[:, 1:].any() for part in gradients if part is not None)


def test_a_loss_without_segments_is_left_out_without_breaking_the_step() -> None:
    batch = minibatch().pick(torch.tensor([0]))
    given = NetOutput(distribution(STUDENT)[:, :1].requires_grad_(), torch.zeros(2, 1))
    result = taught(Cloner(ClonerSettings()))(batch, predict(given, batch))
    result.loss.backward()
    assert float(result.loss.detach()) == 0 and result.metrics == {}


def test_labels_that_are_all_unknown_give_no_loss_and_no_metrics() -> None:
    batch = minibatch()
    assert batch.labels is not None
    batch.labels.actions.fill_(NO_LABEL)
    result = taught(Cloner(ClonerSettings()))(batch, predict(output(), batch))
    assert float(result.loss.detach()) == 0 and result.metrics == {}


def test_the_reported_drift_is_that_of_the_students_own_actions() -> None:
    """Where the teacher led, the stored log-probability 0 says nothing of how far the student has moved."""
    log_probs = torch.tensor([[math.log(0.5), math.log(0.6), 0.0], [math.log(0.5), math.log(0.8), 0.0]])
    batch = minibatch(log_probs=log_probs)
    metrics = PpoActor(PpoActorSettings())(batch, predict(output(), batch)).metrics
    assert float(metrics["approx_kl"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["importance"]) == pytest.approx(1)


def test_lambda_errors_weigh_each_error_by_the_ratios_on_its_way() -> None:
    settings = AdvantageSettings(gamma=0.9, gae_lambda=0.5)
    ones = torch.ones(4, 1)
    batch = Minibatch(ones.long(), ones, ones, ones, 2 * ones, torch.zeros(4, 1).bool(), torch.ones(1))
    ratios = torch.tensor([[0.5], [0.2], [1.0], [7.0]])
    error = 2 + 0.9 - 1
    last = error
    middle = 0.2 * (error + 0.45 * last)
    expected = [0.5 * (error + 0.45 * middle), middle, last]
    assert lambda_errors(batch, ones, settings, ratios).flatten().tolist() == pytest.approx(expected)


def test_slices_are_drawn_in_proportion_and_follow_the_seed() -> None:
    def draw(seed: int, led: float, labelled: float) -> Tensor:
        return choose_slices(torch.rand(20_000, generator=torch.Generator().manual_seed(seed)), led, labelled)

    counts = torch.bincount(draw(1, 0.2, 0.5), minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.3, 0.5, 0.2], atol=0.015)
    assert torch.equal(draw(1, 0.2, 0.5), draw(1, 0.2, 0.5)) and not torch.equal(draw(1, 0.2, 0.5), draw(2, 0.2, 0.5))
    assert not (draw(1, 0.5, 0.5) == PPO).any() and (draw(1, 0, 0) == PPO).all()


def test_segments_that_ppo_does_not_see_are_drawn_as_often_as_its_own() -> None:
    advantages = torch.tensor([[1.0, 3.0, 1000.0, 0.0]])
    sampler = PrioritizedSampler(SamplingSettings(prio_alpha=1.0, prio_beta0=0.0), torch.Generator().manual_seed(0))
    sampler.start(4, 0.0, torch.tensor([True, True, False, False]))
    drawn = torch.cat([sampler.draw(1, advantages).segments for _ in range(4000)])
    np.testing.assert_allclose(torch.bincount(drawn, minlength=4) / 4000, [1 / 8, 3 / 8, 2 / 8, 2 / 8], atol=0.03)
    sampler.start(4, 0.0, torch.zeros(4, dtype=torch.bool))
    assert sampler.draw(4, advantages).segments.shape == (4,)
