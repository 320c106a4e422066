"""Attention over a bounded memory with relative positions (Dai et al. 2019, "Transformer-XL")."""

import math

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, Product, episodes


class Attention(Cell):
    """Each step attends to itself and to up to `memory` steps of its episode before it.

    State: keys and values of the last steps [memory, 2 x width], the latest last, and how many there are [1].
    """

    def __init__(self, width: int, heads: int, memory: int) -> None:
        super().__init__()
        self.heads, self.head, self.memory, self.width = heads, width // heads, memory, width
        self.query = Product(width, width, bias=False)
        self.keys = Product(width, 2 * width, bias=False)  # and values
        self.places = Product(width, width, bias=False)
        self.leave = Product(width, width)
        self.key_bias = nn.Parameter(torch.zeros(heads, self.head))
        self.place_bias = nn.Parameter(torch.zeros(heads, self.head))

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.memory, 2 * self.width), (1,)

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        time, kept = len(x), self.memory
        query = self.query(x).float().unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)
        past = torch.cat([state[0], self.keys(x).float().transpose(0, 1)], dim=1)  # [batch, memory + time, 2 x width]
        key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in past.chunk(2, dim=-1))
        allowed, there = self._allowed(state[1], resets)
        with torch.autocast(x.device.type, enabled=False):
            places = self.places(self._waves(x.device)).unflatten(-1, (self.heads, -1))  # [memory + 1, heads, head]
            near = (query + self.place_bias.unsqueeze(1)) @ places.permute(1, 2, 0)  # by distance
            steps = torch.arange(kept, kept + time, device=x.device).unsqueeze(1)
            distance = (steps - torch.arange(kept + time, device=x.device)).clamp(0, kept)
            near = near.gather(-1, distance.expand(*near.shape[:2], -1, -1))
            scores = (query + self.key_bias.unsqueeze(1)) @ key.transpose(-1, -2) + near
            scores = scores.div(math.sqrt(self.head)).masked_fill(~allowed.unsqueeze(1), -math.inf)
            output = (scores.softmax(-1) @ value).permute(2, 0, 1, 3).flatten(2)
        left = past[:, time:] * there[:, time:].unsqueeze(-1)
        return self.leave(output), (left, there[:, time:].sum(1, keepdim=True, dtype=torch.float32))

    def _allowed(self, count: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the steps [memory + time] each step attends to, bool [batch, time, memory + time], and which are of
        the last step's episode, bool [batch, memory + time]."""
        time, kept = len(resets), self.memory
        index = torch.arange(kept + time, device=resets.device)
        remembered = index[:kept] >= kept - count  # [batch, memory]
        episode = nn.functional.pad(episodes(resets).t(), (kept, 0))
        there = torch.cat([remembered, resets.new_ones(len(count), time)], dim=1)
        ago = index[kept:].unsqueeze(1) - index
        same = episode[:, kept:].unsqueeze(-1) == episode.unsqueeze(1)
        allowed = same & there.unsqueeze(1) & ((ago >= 0) & (ago <= kept))
        return allowed, there & (episode == episode[:, -1:])

    def _waves(self, device: torch.device) -> Tensor:
        """Sines and cosines of each distance 0 … memory, float32 [memory + 1, width]."""
        rates = torch.exp(torch.arange(0, self.width, 2, device=device) * (-math.log(10_000) / self.width))
        angles = torch.arange(self.memory + 1, device=device).unsqueeze(1) * rates
        return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : self.width]
