"""Minibatches that go through the network in parts: the same gradients, in less memory."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.policy.nets.interface import NetOutput, State
from metta.rl.build import build, plan
from metta.rl.learning.update import Updater, gather
from metta.rl.machine import enough_memory
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.learning.batches import (
    SHAPE,
    SmallNet,
    random_experience,
    settings_of,
    small_net,
    update,
    updater_of,
    weights,
)

Config = Callable[..., RunConfig]
GTD = {"ppo_critic": {"critic_update": "gtd_lambda"}}
TEACHERS = ("sliced_cloner", "sliced_cloner_no_ppo", "supervisor", "eer_cloner")
TEACHER = {"policy_uri": "metta://policy/cogsguard?gear=10", "teacher_led_proportion": 0.3}
SLICED = {"student_led_proportion": 0.3}
LOSSES: dict[str, dict[str, Any]] = {
    "ppo": {},
    "actor": {"trainer": {"losses": {"ppo_critic": {"enabled": False}}}},
    "critic": {"trainer": {"losses": {"ppo_actor": {"enabled": False}}}},
    "gtd": {"trainer": {"losses": GTD}},
    **{
        name: {"teacher": {**TEACHER, **(SLICED if name.startswith("sliced") else {}), "mode": name}}
        for name in TEACHERS
    },
    "gtd on what a teacher led": {
        "trainer": {"losses": GTD},
        "teacher": {**TEACHER, **SLICED, "mode": "sliced_cloner", "kwargs": {"restrict_ppo_to_ppo_mask": False}},
    },
}


@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_any_number_give_the_gradients_and_metrics_of_the_whole(config: Config, name: str) -> None:
    """Of every loss, whatever it averages over: episodes end in the midst of segments, of which a part has few."""
    parts = build(plan(config(**LOSSES[name], mission={"max_steps": 5})))
    rollout, whole = parts.rollout, parts.updater
    rollout.start()
    rollout.begin(0, 0)
    assert rollout.collect(Stopwatch(), lambda: False)
    experience, segments = rollout.experience, torch.randperm(64)[:40]
    advantages = torch.randn(experience.values.shape, generator=torch.Generator().manual_seed(0))
    batch = gather(experience, segments, experience.values, advantages, torch.rand(40))
    found = []
    for accumulate in (1, 2, 3, 40, 1000):
        settings = whole.settings.model_copy(update={"accumulate": accumulate})
        updater = Updater(parts.net, parts.optimizer, whole.losses, whole.sampler, settings, whole.shape)
        prediction, metrics = updater.differentiate(experience, segments, batch, Stopwatch())
        gradients = {name: part.grad for name, part in parts.net.named_parameters() if part.grad is not None}
        found.append((gradients, metrics, prediction.values.detach(), prediction.log_ratios.detach()))
        parts.optimizer.zero_grad()
    rollout.close()
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-6)


class Hungry(SmallNet):
    """Takes more memory than there is for sequences of more than so many segments, there or back."""

    most, when, calls = 2, "forward", 0

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        output = super().unroll(observations, state, resets)
        if observations.shape[1] <= self.most:
            return output
        if self.when == "forward":
            torch.empty(2**55)
        if self.when == "on a device":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return NetOutput(Devouring.apply(output.logits), output.values, output.auxiliary)  # pyright: ignore


class Devouring(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return torch.empty(2**55)


@pytest.mark.parametrize("when", ["forward", "backward", "on a device"])
@pytest.mark.parametrize("losses", [{}, GTD])
def test_out_of_memory_a_minibatch_is_done_again_in_more_parts_from_then_on(
    when: str, losses: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, found = settings_of(losses=losses), []
    for kind in (SmallNet, type("Kind", (Hungry,), {"when": when})):
        net = small_net(settings, kind)
        updater = updater_of(net, settings)
        metrics = [update(updater, random_experience(net, seed)) for seed in range(3)]
        found.append((metrics, weights(net)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-5)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"warning: not enough memory for a minibatch at once: from now on in {parts} parts (trainer.accumulate)"
        for parts in (2, 4)
    ]


def test_where_not_even_a_segment_fits_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of()
    net = small_net(settings, type("Kind", (Hungry,), {"most": 0}))
    line = r"run=x: not enough memory for the batch .*can't allocate memory"
    with pytest.raises(UserError, match=line), enough_memory("run=x"):
        update(updater_of(net, settings), random_experience(net))
    assert f"in {SHAPE.minibatch_segments} parts" in capsys.readouterr().err


def test_other_errors_are_no_lack_of_memory() -> None:
    class Broken(SmallNet):
        def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
            raise RuntimeError("broken")

    settings = settings_of()
    net = small_net(settings, Broken)
    with pytest.raises(RuntimeError, match="broken"):
        update(updater_of(net, settings), random_experience(net))


def test_a_rollout_that_does_not_fit_is_one_line(config: Config) -> None:
    class Large(SmallNet):
        def reset(self, state: State, ended: Tensor) -> State:
            return state

        def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    parts = build(plan(config()))
    parts.rollout.net = Large(parts.net.heads)
    parts.rollout.start()
    line = r"run=tiny: not enough memory for the batch .*CUDA out of memory"
    with pytest.raises(UserError, match=line), enough_memory("run=tiny"):
        parts.rollout.collect(Stopwatch(), lambda: False)
    parts.rollout.close()


def test_a_run_in_parts_learns_what_a_run_at_once_does(config: Config) -> None:
    found = []
    for run, accumulate in (("once", 1), ("parts", 4)):
        given = config(run=run, trainer={"accumulate": accumulate, "total_timesteps": 512})
        found.append({name: value for name, value in train(given).metrics.items() if name.startswith("losses/")})
    assert found[1] == pytest.approx(found[0], rel=1e-3, abs=1e-5)
