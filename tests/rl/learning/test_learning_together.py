"""Learning from one batch by one, two and three processes: the same weights and the same metrics."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metta.rl.build import make_losses
from metta.rl.experience.labels import NO_LABEL, Labels, choose_slices
from metta.rl.experience.rollout import Experience
from metta.rl.experience.teacher_settings import TeacherSettings, Teaching, find_teaching
from metta.rl.learning.divergence import DivergedError
from metta.rl.learning.optim import make_optimizer
from metta.rl.learning.sampling import Shares, make_sampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.learning.update import Updater
from metta.rl.run.timing import Stopwatch
from metta.rl.sizes import BatchShape
from metta.rl.world import ALONE, World
from tests.rl.learning.batches import CPU, INFO, settings_of, small_net, weights
from tests.rl.ranks import run_ranks

# Twelve segments in each of two rounds; a minibatch of three may leave a process nothing.
SHAPE = BatchShape(envs=6, agents=2, rounds=2, horizon=6, minibatch_segments=3, minibatches=8)
TEACHER = {"policy_uri": "noop", "teacher_led_proportion": 0.3, "student_led_proportion": 0.3}
PPO = {"sampling": {"method": "sequential"}}
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "ppo": (PPO, None),
    "prioritised": ({}, None),
    "in parts": ({"accumulate": 2}, None),
    "until target_kl": ({"losses": {"ppo_actor": {"target_kl": 1e-3}}, "optimizer": {"learning_rate": 0.03}}, None),
    "gtd_lambda": ({"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}}, None),
    "sliced_cloner": ({}, {"mode": "sliced_cloner"}),
    "gtd_lambda beside a teacher": (
        {"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}},
        {"mode": "sliced_cloner", "kwargs": {"restrict_ppo_to_ppo_mask": False}},
    ),
    "no_ppo": (PPO, {"mode": "sliced_cloner_no_ppo", "teacher_led_proportion": 0.05}),
    "kickstarter": ({}, {"mode": "kickstarter", "student_led_proportion": 0.0}),
    "eer_cloner": ({}, {"mode": "eer_cloner", "student_led_proportion": 0.0}),
}


def teaching_of(teacher: dict[str, Any] | None) -> Teaching | None:
    settings = TeacherSettings.model_validate({**TEACHER, **teacher}) if teacher else None
    return find_teaching(settings, settings_of().losses.sliced_scripted_cloner, None)


def batch(settings: TrainerSettings, teaching: Teaching | None, seed: int) -> Experience:
    """The whole batch of all processes, as if a net had collected it."""
    torch.manual_seed(seed)
    net, count = small_net(settings), SHAPE.segments
    torch.manual_seed(seed)
    experience = Experience.allocate(SHAPE.horizon, count, INFO, net.initial_state(1), CPU)
    for part in (experience.observations, experience.rewards, experience.values, experience.next_values):
        part.normal_()
    experience.actions.random_(3)
    experience.log_probs.fill_(-1.1)
    experience.dones.bernoulli_(0.1)
    experience.resets[1:] = experience.dones[:-1]
    if teaching is None:
        return experience
    labels = Labels.allocate(SHAPE.horizon, count, 3, teaching.mode.neural, CPU)
    labels.slices.copy_(choose_slices(torch.rand(count), *teaching.shares(0)))
    labels.actions.random_(NO_LABEL, 3)
    labels.ratios[:, labels.teacher_led_mask] = 0.4
    if labels.log_probs is not None and labels.values is not None:
        labels.log_probs.copy_(torch.randn(*labels.log_probs.shape).log_softmax(-1))
        labels.values.normal_()
    return replace(experience, labels=labels)


def own(whole: Experience, world: World) -> Experience:
    """The part of a batch that is a process's: a range of each round's segments."""
    rows = torch.arange(SHAPE.segments).view(SHAPE.rounds, -1)[:, world.own(SHAPE.envs * SHAPE.agents)].flatten()
    parts = {name: part for name, part in vars(whole).items() if isinstance(part, Tensor)}
    picked = {name: part.index_select(min(1, part.dim() - 1), rows) for name, part in parts.items()}
    labels = whole.labels and whole.labels.pick(rows)
    return Experience(**picked, state=tuple(part[rows] for part in whole.state), labels=labels)


def learn(
    world: World, settings: TrainerSettings, teacher: dict[str, Any] | None, spoiled: int | None = None
) -> tuple[list[dict[str, float]], list[Tensor]]:
    """Metrics of three updates, and the weights after them; a reward of segment `spoiled` is no number."""
    torch.manual_seed(3)
    net, teaching = small_net(settings), teaching_of(teacher)
    sampler = make_sampler(settings.sampling, torch.Generator().manual_seed(5), Shares(world, SHAPE.rounds))
    losses, optimizer = make_losses(settings, net, teaching), make_optimizer(net, settings.optimizer)
    updater = Updater(net, optimizer, losses, sampler, settings, SHAPE, world=world)
    told = []
    for seed in range(3):
        whole = batch(settings, teaching, seed)
        if spoiled is not None and seed == 2:
            whole.rewards[1, spoiled] = torch.nan
        metrics = updater.update(own(whole, world), 0.5, Stopwatch(), lambda: False)
        assert metrics is not None
        told.append(metrics)
    return told, weights(net)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_learn_together_what_one_learns(size: int) -> None:
    for (told, learned), results in zip(everything(ALONE), zip(*run_ranks(size, everything), strict=True), strict=True):
        for its_told, its_learned in results:
            torch.testing.assert_close(its_learned, learned, rtol=0, atol=1e-6)
            for own_metrics, metrics in zip(its_told, told, strict=True):
                assert own_metrics == pytest.approx(metrics, rel=1e-5, abs=1e-6)


def everything(world: World) -> list[tuple[list[dict[str, float]], list[Tensor]]]:
    return [learn(world, settings_of(**changes), teacher) for changes, teacher in WAYS.values()]


def test_what_is_no_number_on_one_process_ends_learning_on_all_with_the_same_words() -> None:
    with pytest.raises(DivergedError) as error:
        learn(ALONE, settings_of(), None, spoiled=7)
    assert run_ranks(2, words_of_failure) == [str(error.value)] * 2


def words_of_failure(world: World) -> str:
    try:
        learn(world, settings_of(), None, spoiled=7)
    except DivergedError as error:
        return str(error)
    return ""
