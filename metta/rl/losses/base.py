"""What a loss is and what it reads."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metta.policy.interface import NetOutput


@dataclass(frozen=True)
class Minibatch:
    """Segments as collected, all [time, segments] but `weights` [segments]."""

    actions: Tensor  # int64
    log_probs: Tensor  # of the actions when they were taken
    values: Tensor  # predicted before this update
    advantages: Tensor
    rewards: Tensor
    dones: Tensor  # bool: the action ended the episode
    weights: Tensor  # [segments]: correction for prioritised sampling


@dataclass(frozen=True)
class Prediction:
    """What the present network says of a minibatch, all [time, segments]."""

    log_probs: Tensor  # of the actions taken
    log_ratios: Tensor  # log(present probability / probability when taken)
    entropy: Tensor
    values: Tensor
    auxiliary: Tensor | None


class LossResult(NamedTuple):
    """A scalar to minimise and named scalars to report, the latter detached."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Loss(Protocol):
    """A term of the training objective.

    `needs` names the fields of Minibatch and Prediction that it reads; `sees` says in words which transitions count.
    """

    needs: tuple[str, ...]
    sees: str

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        """The minibatch as all losses shall read it; most leave it as it is."""
        ...

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult: ...


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
    )
