"""Drawing actions from logits."""

import torch
from torch import Tensor


def sample_actions(logits: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Sample one action per row by inverting the cumulative distribution: logits [batch, actions] and uniform numbers
    in [0, 1), [batch] -> actions int64 [batch] and their log-probabilities [batch]."""
    log_probs = torch.log_softmax(logits, dim=-1)
    actions = choose(log_probs, draws.unsqueeze(-1))
    return actions, log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def choose(log_probs: Tensor, draws: Tensor) -> Tensor:
    """The actions int64 [batch] that uniform numbers in [0, 1), [batch, 1], choose from log-probabilities
    [batch, actions]."""
    cumulative = log_probs.exp().cumsum_(dim=-1)
    # The total may round to just below 1, so a draw can pass even the last bound.
    return (cumulative < draws).sum(dim=-1).clamp_(max=log_probs.shape[-1] - 1)
