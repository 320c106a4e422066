"""AGaLiTe: approximate gated linear transformer (Pramanik et al. 2023)."""

import math

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.agalite_loop import attend
from metta.policy.nets.modules.cells.base import Cell, Product
from metta.policy.nets.modules.numeric import runs_compiled
from metta.policy.nets.modules.scan import scan

LEAST = 1e-3  # added to what attention is divided by


class Agalite(Cell):
    """Linear attention whose keys and values fade at learned rates, number by number.

    Keys, queries and rates are outer products with `eta` further numbers. The matrix that sums up outer products of
    keys and values is approximated: vectors of keys and of values are kept for each of `r` oscillators, of distinct
    frequencies from 0 to π per step. State: keys [r, heads, eta, head], values [r, heads, head], steps so far [1].
    """

    def __init__(self, width: int, heads: int, eta: int, r: int) -> None:
        super().__init__()
        self.heads, self.eta, self.r, self.head = heads, eta, r, width // heads
        self.project = Product(width, 5 * width, bias=False)  # keys, queries, values, rates of values and of keys
        self.expand = Product(width, 3 * heads * eta, bias=False)  # of keys, queries, rates of keys
        self.leave = Product(width, width)
        for layer in (self.project, self.expand, self.leave):
            nn.init.orthogonal_(layer.weight, math.sqrt(2))
        nn.init.zeros_(self.leave.bias)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.r, self.heads, self.eta, self.head), (self.r, self.heads, self.head), (1,)

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        projected, expanded = self.project(x).float(), self.expand(x).float()
        steps = _steps(state[2].squeeze(1), resets)
        angles = torch.linspace(0, math.pi, self.r, device=x.device) if self.r > 1 else x.new_zeros(1)
        waves = (steps.unsqueeze(-1) * angles).cos()
        if runs_compiled(projected, expanded, *state):
            output, keys, values = attend(projected, expanded, waves, state, resets, LEAST)
        else:
            output, keys, values = self.attend_plainly(projected, expanded, waves, state, resets)
        return self.leave(output), (keys, values, steps[-1].unsqueeze(1) + 1)

    def attend_plainly(
        self, projected: Tensor, expanded: Tensor, waves: Tensor, state: State, resets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """waves [time, batch, r] -> attention [time, batch, width], and keys and values of the state after it."""
        key, query, value, value_rate, rate = projected.unflatten(-1, (5, self.heads, 1, self.head)).unbind(2)
        more_key, more_query, more_rate = expanded.unflatten(-1, (3, self.heads, self.eta, 1)).unbind(2)
        key, query = key.relu() * more_key.relu(), query.relu() * more_query.relu()
        rate = rate.sigmoid() * more_rate.sigmoid()
        value, value_rate = value.squeeze(3), value_rate.squeeze(3).sigmoid()
        keys = self._fade(rate, rate * key, waves, state[0], resets)
        values = self._fade(value_rate, value_rate * value, waves, state[1], resets)
        found = (keys * query.unsqueeze(2)).sum((-1, -2))  # [time, batch, r, heads]
        # The first oscillator stands still: its keys are the plain sum.
        attention = (values * found.unsqueeze(-1)).sum(2) / (self.r * found[:, :, 0].unsqueeze(-1) + LEAST)
        return attention.flatten(2), keys[-1], values[-1]

    def _fade(self, rate: Tensor, added: Tensor, waves: Tensor, start: Tensor, resets: Tensor) -> Tensor:
        """Fading sums for each oscillator: rate, added [time, batch, ...] -> [time, batch, r, ...]."""
        added = added.unsqueeze(2) * waves.view(*waves.shape, *[1] * (added.dim() - 2))
        decay = (1 - rate).unsqueeze(2).expand_as(added)
        return scan(decay.flatten(2), added.flatten(2), start.flatten(1), resets).view(added.shape)


def _steps(before: Tensor, resets: Tensor) -> Tensor:
    """Steps of its episode before each step: `before` the segment float32 [batch], resets bool -> [time, batch]."""
    times = torch.arange(len(resets), device=resets.device, dtype=before.dtype).unsqueeze(1)
    begins = torch.where(resets, times, -before).cummax(0).values
    return times - begins
