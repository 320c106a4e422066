"""mLSTM: the LSTM of matrix memories (Beck et al. 2024, "xLSTM"), in parallel over chunks of a segment."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, Product, episodes
from metta.policy.nets.modules.cells.conv import CausalConv

CHUNK = 64  # steps
NEVER = -1e30  # logarithm of a weight of 0


class Mlstm(Cell):
    """Outer products of keys and values, summed up with exponential input and sigmoid forget gates per head.

    Keys, queries and gates read a causal convolution, values the input itself. State: memory [heads, head, head] (keys
    first), normaliser [heads, head], both divided by e^stabiliser, the stabiliser [heads], and the convolution's.
    """

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.conv = CausalConv(width, kernel)
        self.keys = Product(width, 2 * width, bias=False)  # and queries
        self.values = Product(width, width, bias=False)
        self.gates = Product(width, 2 * heads)
        self.norm = nn.Parameter(torch.ones(heads, self.head))
        nn.init.normal_(self.gates.weight, std=0.1 * width**-0.5)
        with torch.no_grad():
            self.gates.bias.copy_(torch.cat([torch.zeros(heads), torch.linspace(3, 6, heads)]))

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        heads, head = self.heads, self.head
        return (heads, head, head), (heads, head), (heads,), *self.conv.state_shapes()

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        *inner, seen = state
        near, conv_state = self.conv.run(x, (seen,), resets)
        near = nn.functional.silu(near)
        key, query = self._by_head(self.keys(near)).chunk(2, dim=-1)
        value = self._by_head(self.values(x))
        enter, keep = (part.permute(1, 2, 0) for part in self.gates(near).float().chunk(2, dim=-1))
        outputs = []
        with torch.autocast(x.device.type, enabled=False):
            parts = (key / math.sqrt(self.head), query, value, enter, logsigmoid(keep))
            for chunk in zip(*(part.split(CHUNK, dim=2) for part in parts), resets.split(CHUNK), strict=True):
                output, inner = _chunk(chunk[:-1], tuple(inner), chunk[-1])
                outputs.append(output)
        output = nn.functional.layer_norm(torch.cat(outputs, dim=2).permute(2, 0, 1, 3), (self.head,)) * self.norm
        return output.flatten(2), (*inner, *conv_state)

    def _by_head(self, x: Tensor) -> Tensor:
        """[time, batch, n x width] -> [batch, heads, time, n x head]."""
        return x.float().unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)


def _chunk(parts: tuple[Tensor, ...], state: State, resets: Tensor) -> tuple[Tensor, State]:
    """Parts: key, query, value [batch, heads, time, head], input gate and logarithm of the forget gate [batch, heads,
    time]; resets bool [time, batch] -> output [batch, heads, time, head] and the state after it."""
    key, query, value, enter, log_keep = parts
    memory, normaliser, stabiliser = state
    episode = episodes(resets).t().unsqueeze(1)  # [batch, 1, time]
    faded = log_keep.cumsum(-1)
    same = (episode.unsqueeze(-1) == episode.unsqueeze(-2)).tril()
    weights = (faded.unsqueeze(-1) - faded.unsqueeze(-2) + enter.unsqueeze(-2)).masked_fill(~same, NEVER)
    # What is carried on fades since the segment began, or since the episode did: sums fall from step to step.
    before = torch.where(resets.t().unsqueeze(1), faded - log_keep, 0).cummin(-1).values
    carried = faded - before + stabiliser.unsqueeze(-1).masked_fill(episode > 0, 0)
    # What weights are divided by does not change the output: no gradient passes through it.
    scale = torch.maximum(weights.amax(-1), carried).detach()
    weights = (weights - scale.unsqueeze(-1)).exp()
    carried = (carried - scale).exp().masked_fill(episode > 0, 0)
    found = query @ key.transpose(-1, -2) * weights
    total = found @ value + carried.unsqueeze(-1) * (query @ memory)
    norm = found.sum(-1) + carried * (query @ normaliser.unsqueeze(-1)).squeeze(-1)
    output = total / torch.maximum(norm.abs(), (-scale).exp()).unsqueeze(-1)
    last, left = weights[:, :, -1], carried[:, :, -1]
    weighted = key * last.unsqueeze(-1)
    memory = left[..., None, None] * memory + weighted.transpose(-1, -2) @ value
    normaliser = left.unsqueeze(-1) * normaliser + weighted.sum(-2)
    return output, (memory, normaliser, scale[:, :, -1])
