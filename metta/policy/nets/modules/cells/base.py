"""What recurrent cells share."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.linear import linear


class Cell(Memory):
    """A memory whose steps and segments are one and the same computation. Its initial state is all zeros."""

    @abstractmethod
    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """x [time, batch, width], the state before it, resets bool [time, batch] -> output [time, batch, width] and the
        state after it."""

    @abstractmethod
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each part of the state of one row."""

    def initial_state(self, batch: int) -> State:
        device = next(self.parameters()).device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self.state_shapes())

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        output, state = self.run(x.unsqueeze(0), state, torch.zeros(1, len(x), dtype=torch.bool, device=x.device))
        return output[0], state

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        return self.run(x, state, resets)[0]


class Product(nn.Linear):
    """torch.nn.Linear by the fastest product at hand; inputs [..., in]."""

    def forward(self, input: Tensor) -> Tensor:
        return self.over(input, self.weight)

    def over(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product with a changed weight."""
        bias = self.bias if self.bias is not None else x.new_zeros(len(weight))
        return linear(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])


def episodes(resets: Tensor) -> Tensor:
    """Number of the episode that each step belongs to, 0 being the one that was going on: int64 [time, batch]."""
    return resets.long().cumsum(0)
