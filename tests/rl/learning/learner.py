"""Rollout, losses and optimiser on a task of a test's own, without files."""

from collections.abc import Iterator

import torch

from metta.policy.nets.interface import PolicyNet
from metta.rl.build import make_losses
from metta.rl.experience.environments import Environments
from metta.rl.experience.rollout import Experience, Rollout
from metta.rl.learning.optim import learning, make_optimizer
from metta.rl.learning.sampling import make_sampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.learning.update import Updater
from metta.rl.run.timing import Stopwatch
from metta.rl.sizes import batch_shape


def learn(task: Environments, net: PolicyNet, settings: TrainerSettings, epochs: int) -> Iterator[float]:
    """Learn epoch by epoch; yields the mean reward that each collected."""
    shape = batch_shape(settings, agents=task.num_agents, envs=task.num_envs)
    generator = torch.Generator().manual_seed(1)
    state = net.initial_state(1)
    experience = Experience.allocate(shape.horizon, shape.segments, net.info, state, torch.device("cpu"))
    rollout = Rollout(task, net, experience, generator, settings.advantage)
    sampler = make_sampler(settings.sampling, generator)
    optimizer = make_optimizer(net, settings.optimizer)
    updater = Updater(net, optimizer, make_losses(settings, net), sampler, settings, shape)
    clock = Stopwatch()
    rollout.start()
    for epoch in range(epochs):
        rollout.collect(clock, lambda: False)
        with learning(optimizer):
            updater.update(experience, epoch / epochs, clock, lambda: False)
        yield rollout.mean_reward
