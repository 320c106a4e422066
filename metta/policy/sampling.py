"""Drawing actions from logits."""

import torch
from torch import Tensor


def sample_actions(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw one action per row by inverting the cumulative distribution: logits [batch, actions] ->
    actions int64 [batch] and their log-probabilities [batch]."""
    log_probs = torch.log_softmax(logits, dim=-1)
    cumulative = log_probs.exp().cumsum_(dim=-1)
    draws = torch.rand(len(logits), 1, generator=generator, device=logits.device)
    # The total may round to just below 1, so a draw can pass even the last bound.
    actions = (cumulative < draws).sum(dim=-1).clamp_(max=logits.shape[-1] - 1)
    return actions, log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
