"""A small net that remembers, batches of random experience, and what learns from them, without environments."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from metta.policy.interface import NetHeads, SpaceInfo
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.policy.ranges import component
from metta.rl.build import make_losses
from metta.rl.experience.rollout import Experience
from metta.rl.learning.losses.base import Loss
from metta.rl.learning.optim import make_optimizer
from metta.rl.learning.precision import FLOAT32, Precision
from metta.rl.learning.sampling import make_sampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.learning.update import Updater
from metta.rl.run.timing import Stopwatch
from metta.rl.sizes import BatchShape

CPU = torch.device("cpu")
SHAPE = BatchShape(envs=5, agents=2, rounds=1, horizon=6, minibatch_segments=5, minibatches=4)
INFO = SpaceInfo((6,), "float32", (3,), 2)
HIDDEN = 16


class SmallNet(PolicyNet):
    """A layer, a recurrent one and heads. It asks no device for a number."""

    name = "small"

    def __init__(self, heads: NetHeads) -> None:
        super().__init__(INFO, heads)
        self.encoder, self.core = nn.Linear(6, HIDDEN), nn.Linear(2 * HIDDEN, HIDDEN)
        self.actor, self.critic = nn.Linear(HIDDEN, 3), nn.Linear(HIDDEN, 1)
        self.auxiliary = nn.Linear(HIDDEN, 1) if heads.auxiliary else None

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        return () if self.auxiliary is None else self.auxiliary.parameters()

    def initial_state(self, batch: int) -> State:
        return torch.zeros(batch, HIDDEN), torch.zeros(batch, dtype=torch.int32)

    def reset(self, state: State, ended: Tensor) -> State:
        return tuple(part.masked_fill(ended.view(-1, *[1] * (part.dim() - 1)), 0) for part in state)

    def encode(self, observations: Tensor) -> Tensor:
        with component("encoder"):
            return torch.tanh(self.encoder(observations))

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        hidden, steps = state
        hidden = self._step(self.encode(observations), hidden)
        return self._decode(hidden), (hidden, steps.long() + 1)

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        hidden, outputs = state[0], []
        for encoded, ended in zip(self.encode(observations), resets, strict=True):
            hidden = self._step(encoded, hidden.masked_fill(ended.unsqueeze(-1), 0))
            outputs.append(hidden)
        return self._decode(torch.stack(outputs))

    def _step(self, encoded: Tensor, hidden: Tensor) -> Tensor:
        with component("core"):
            return torch.tanh(self.core(torch.cat([encoded, hidden.to(encoded.dtype)], dim=-1)))

    def _decode(self, hidden: Tensor) -> NetOutput:
        auxiliary = None if self.auxiliary is None else self.auxiliary(hidden).squeeze(-1)
        return NetOutput(self.actor(hidden), self.critic(hidden).squeeze(-1), auxiliary)


def settings_of(**changes: Any) -> TrainerSettings:
    return TrainerSettings.model_validate({"optimizer": {"learning_rate": 0.01}, "divergence": {"skips": 0}, **changes})


def small_net(settings: TrainerSettings, kind: type[SmallNet] = SmallNet) -> SmallNet:
    """The same weights each time."""
    torch.manual_seed(3)
    return kind(NetHeads(settings.auxiliary))


def random_experience(net: PolicyNet, seed: int = 1) -> Experience:
    """As if the net had collected it, with ends of episodes."""
    torch.manual_seed(seed)
    experience = Experience.allocate(SHAPE.horizon, SHAPE.segments, INFO, net.initial_state(1), CPU)
    for part in (experience.observations, experience.rewards, experience.values, experience.next_values):
        part.normal_()
    experience.state[0].normal_()
    experience.actions.random_(3)
    experience.log_probs.fill_(-1.1)
    experience.dones.bernoulli_(0.1)
    experience.resets[1:] = experience.dones[:-1]
    return experience


def updater_of(
    net: PolicyNet,
    settings: TrainerSettings,
    precision: Precision = FLOAT32,
    check_later: bool | None = None,
    wrap: Callable[[dict[str, Loss]], dict[str, Loss]] = lambda losses: losses,
) -> Updater:
    """What learns with the losses of the settings, or with what `wrap` makes of them."""
    sampler = make_sampler(settings.sampling, torch.Generator().manual_seed(5))
    optimizer, losses = make_optimizer(net, settings.optimizer), wrap(make_losses(settings, net))
    return Updater(net, optimizer, losses, sampler, settings, SHAPE, precision, check_later)


def update(updater: Updater, experience: Experience) -> dict[str, float]:
    metrics = updater.update(experience, 0.5, Stopwatch(), lambda: False)
    assert metrics is not None
    return metrics


def weights(net: PolicyNet) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]
