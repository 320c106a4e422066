"""Optimisers: their steps, which weights play, and what of them is kept."""

from typing import Any

import pytest
import torch
from torch import nn

from metta.policy.nets.interface import PolicyNet
from metta.rl.learning.divergence import DivergedError
from metta.rl.learning.muon import hidden_matrices
from metta.rl.learning.optim import STATES, learning, make_optimizer, set_learning_rate
from metta.rl.learning.schedule_free import ScheduleFreeAdamW
from metta.rl.learning.settings import OptimizerSettings
from metta.rl.run.resume import load_optimizer, optimizer_tensors
from tests.rl.learning.batches import random_experience, settings_of, small_net, update, updater_of, weights

TYPES = tuple(STATES)


def steps(net: PolicyNet, optimizer: torch.optim.Optimizer, count: int, seed: int = 0) -> None:
    """An update of so many steps along gradients drawn from a seed."""
    draws = torch.Generator().manual_seed(seed)
    with learning(optimizer):
        for _ in range(count):
            for parameter in net.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=draws)
            optimizer.step()


def built(kind: str, **changes: Any) -> tuple[PolicyNet, torch.optim.Optimizer]:
    settings = OptimizerSettings.model_validate({"type": kind, "learning_rate": 0.01, **changes})
    net = small_net(settings_of())
    return net, make_optimizer(net, settings)


def test_schedule_free_steps_equal_their_definition() -> None:
    beta1, beta2, eps, decay = 0.9, 0.99, 1e-3, 0.1
    rates = [0.0, 0.1, 0.3, 0.2]
    gradients = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = ScheduleFreeAdamW([parameter], 0.1, (beta1, beta2), eps, decay)
    x = z = parameter.detach().double()
    v, largest, total = torch.zeros(3, dtype=torch.float64), 0.0, 0.0
    for turn, (rate, gradient) in enumerate(zip(rates, gradients, strict=True), start=1):
        y = beta1 * x + (1 - beta1) * z
        v = beta2 * v + (1 - beta2) * gradient.double() ** 2
        z = z - rate * (gradient / ((v / (1 - beta2**turn)).sqrt() + eps) + decay * y)
        largest = max(largest, rate)
        total += largest**2
        x = x + (largest**2 / total if total else 0.0) * (z - x)
        set_learning_rate(optimizer, rate)
        with optimizer.at_gradients():
            torch.testing.assert_close(parameter.detach().double(), y, rtol=1e-5, atol=1e-6)
            parameter.grad = gradient.clone()
            optimizer.step()
        torch.testing.assert_close(parameter.detach().double(), x, rtol=1e-5, atol=1e-6)


def test_several_schedule_free_steps_in_one_update_equal_updates_of_one_step() -> None:
    (one, first), (other, second) = built("schedulefree_adamw"), built("schedulefree_adamw")
    gradients = torch.Generator().manual_seed(0)
    steps(one, first, 3)
    for _ in range(3):
        with learning(second):
            for parameter in other.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=gradients)
            second.step()
    assert all(map(torch.equal, weights(one), weights(other)))


def test_what_plays_with_schedule_free_is_the_mean_and_gradients_are_taken_elsewhere() -> None:
    net, optimizer = built("schedulefree_adamw", beta1=0.5)
    steps(net, optimizer, 5)
    mean = weights(net)
    with learning(optimizer):
        assert not any(map(torch.equal, weights(net), mean))
    assert all(map(torch.equal, weights(net), mean))


def test_muon_takes_the_matrices_between_layers_and_adamw_the_others() -> None:
    net, optimizer = built("muon", weight_decay=0.1)
    reference, adamw = built("adamw", weight_decay=0.1)
    matrices = set(hidden_matrices(net))
    names = {name for name, parameter in net.named_parameters() if parameter in matrices}
    assert names == {"encoder.weight", "core.weight"}  # not those of the heads
    steps(net, optimizer, 3)
    steps(reference, adamw, 3)
    for (name, one), other in zip(net.named_parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6) is (name not in names), name


def test_a_step_of_muon_is_as_large_in_every_direction_and_as_large_as_one_of_adamw() -> None:
    net, optimizer = built("muon")
    matrices = hidden_matrices(net)
    before = [matrix.detach().clone() for matrix in matrices]
    steps(net, optimizer, 1)
    for matrix, start in zip(matrices, before, strict=True):
        singular = torch.linalg.svdvals((matrix.detach() - start) / 0.01) / (0.2 * max(start.shape) ** 0.5)
        assert float(singular.min()) > 0.5 and float(singular.max()) < 1.5


@pytest.mark.parametrize("kind", TYPES)
def test_an_optimiser_goes_on_from_its_tensors_bit_for_bit(kind: str) -> None:
    whole, optimizer = built(kind)
    steps(whole, optimizer, 3)
    resumed, fresh = built(kind)
    resumed.load_state_dict(whole.state_dict())
    kept = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()}
    assert {name.split(".", 2)[2] for name in kept} == STATES[kind]
    assert load_optimizer(fresh, kept, STATES[kind])
    for net, one in ((whole, optimizer), (resumed, fresh)):
        set_learning_rate(one, 0.003)
        steps(net, one, 3, seed=1)
    assert all(map(torch.equal, weights(whole), weights(resumed)))


@pytest.mark.parametrize(("before", "now"), [("adam", "schedulefree_adamw"), ("muon", "adam")])
def test_the_state_of_another_optimiser_is_left_alone(before: str, now: str) -> None:
    net, optimizer = built(before)
    steps(net, optimizer, 1)
    fresh, other = built(now)
    assert not load_optimizer(other, optimizer_tensors(optimizer), STATES[now])
    steps(fresh, other, 1)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("later", [False, True])
def test_gradients_that_are_not_finite_leave_every_weight_as_it_was(kind: str, later: bool) -> None:
    settings = settings_of(optimizer={"type": kind, "learning_rate": 0.01})
    net = small_net(settings)
    updater = updater_of(net, settings, check_later=later)
    experience = random_experience(net)
    with learning(updater.optimizer):
        update(updater, experience)
    before = weights(net)
    with torch.no_grad():
        experience.rewards.fill_(3e38)
    with pytest.raises(DivergedError), learning(updater.optimizer):
        update(updater, experience)
    assert all(map(torch.equal, weights(net), before))


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_are_clipped_before_a_step(kind: str) -> None:
    settings = settings_of(optimizer={"type": kind, "learning_rate": 0.01}, max_grad_norm=1e-3)
    net = small_net(settings)
    updater = updater_of(net, settings)
    norms: list[float] = []
    step = updater.optimizer.step

    def seen() -> None:
        norms.append(float(nn.utils.get_total_norm([part.grad for part in net.parameters() if part.grad is not None])))
        step()

    updater.optimizer.step = seen  # pyright: ignore[reportAttributeAccessIssue]
    with learning(updater.optimizer):
        update(updater, random_experience(net))
    assert norms and max(norms) <= 1e-3 * (1 + 1e-5)
