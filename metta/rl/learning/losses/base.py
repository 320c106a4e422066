"""What a loss is and what it reads.

A minibatch may lie on several processes, a part on each. Losses and metrics are then parts of the numbers of the whole,
which add up to them: a mean is the sum of a process's part over the count of the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metta.policy.nets.interface import NetOutput
from metta.rl.experience.labels import Labels
from metta.rl.learning.moments import Moments, moments
from metta.rl.world import ALONE, World


@dataclass(frozen=True)
class Minibatch:
    """Segments as collected, all [time, segments] but `weights` [segments]: this process's part of a minibatch."""

    actions: Tensor  # int64
    log_probs: Tensor  # of the actions when they were taken
    values: Tensor  # predicted before this update
    advantages: Tensor
    rewards: Tensor
    dones: Tensor  # bool: the action ended the episode
    weights: Tensor  # [segments]: correction for prioritised sampling
    labels: Labels | None = None  # of a teacher
    total: int | None = None  # segments over all processes; None: these are all
    world: World = ALONE

    def pick(self, segments: Tensor, total: int | None = None) -> "Minibatch":
        """The chosen segments, int64 [n], of `total` over all processes."""
        labels = self.labels.pick(segments) if self.labels else None
        return replace(self, **_picked(self, segments), labels=labels, total=total)

    def count(self, chosen: Tensor) -> int:
        """How many of the marked segments, bool [segments], there are over all processes."""
        return int(self.world.sum(chosen.sum()))

    def mean(self, values: Tensor) -> Tensor:
        """The part of the mean of values [time, segments] over the whole minibatch."""
        return values.mean() if self.total is None else mean_part(values, self.total)

    def moments(self, values: Tensor) -> Moments:
        """Of values over the whole minibatch."""
        return moments(values, self.world)

    def share(self, value: Tensor) -> Tensor:
        """The part of a number that all processes have alike."""
        return value / self.world.size


@dataclass(frozen=True)
class Prediction:
    """What the present network says of a minibatch, all [time, segments] but `all_log_probs`."""

    log_probs: Tensor  # of the actions taken
    log_ratios: Tensor  # log(present probability / probability when taken)
    entropy: Tensor
    values: Tensor
    auxiliary: Tensor | None
    all_log_probs: Tensor  # [time, segments, actions]

    def pick(self, segments: Tensor) -> "Prediction":
        """The chosen segments, int64 [n]."""
        return Prediction(**{"auxiliary": None, **_picked(self, segments)})


def mean_part(values: Tensor, total: int) -> Tensor:
    """The part of the mean of values [time, segments] where there are `total` segments over all processes."""
    return values.sum() / (len(values) * total)


def _picked(batch: Minibatch | Prediction, segments: Tensor) -> dict[str, Tensor]:
    """Fields that are tensors, at the chosen segments."""
    parts = {name: part for name, part in vars(batch).items() if isinstance(part, Tensor)}
    return {name: part.index_select(min(1, part.dim() - 1), segments) for name, part in parts.items()}


class LossResult(NamedTuple):
    """A scalar to minimise and named scalars to report, the latter detached."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Loss(Protocol):
    """A term of the training objective."""

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        """The minibatch as all losses shall read it; most leave it as it is."""
        ...

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult: ...


class Within:
    """A loss that sees some segments of a minibatch only, and is left out where there are none."""

    def __init__(self, loss: Loss, chosen: Callable[[Labels], Tensor]) -> None:
        """`chosen` tells which segments, bool [segments]."""
        self.loss, self._chosen = loss, chosen

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return self.loss.prepare(batch, prediction)

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert batch.labels is not None
        chosen = self._chosen(batch.labels)
        segments, total = chosen.nonzero().squeeze(-1), batch.count(chosen)
        if not total:
            return LossResult(0 * prediction.log_probs.sum(), {})
        if total == (batch.total or len(batch.weights)):
            return self.loss(batch, prediction)
        whole = None if batch.total is None else total
        return self.loss(batch.pick(segments, whole), prediction.pick(segments))


LOG_RATIO_LIMIT = 10.0  # keeps exp() finite however far the policy moved


def predict(output: NetOutput, batch: Minibatch) -> Prediction:
    """Evaluate the taken actions under the network's output."""
    all_log_probs = torch.log_softmax(output.logits, dim=-1)
    log_probs = all_log_probs.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    return Prediction(
        log_probs=log_probs,
        log_ratios=(log_probs - batch.log_probs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT),
        entropy=-(all_log_probs.exp() * all_log_probs).sum(dim=-1),
        values=output.values,
        auxiliary=output.auxiliary,
        all_log_probs=all_log_probs,
    )
