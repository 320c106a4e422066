"""Causal convolution over the last steps of an episode."""

import math

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, episodes


class CausalConv(Cell):
    """Each number's weighted sum over the last `kernel` steps; what came before the episode counts as 0.

    State: the last kernel - 1 inputs, the latest last.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.width, self.kernel = width, kernel
        self.weight = nn.Parameter(torch.empty(kernel, width).uniform_(-1, 1) / math.sqrt(kernel))  # by lag
        self.bias = nn.Parameter(torch.zeros(width))

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.kernel - 1, self.width),)

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        time, lags = len(x), self.kernel - 1
        past = torch.cat([state[0].transpose(0, 1), x.float()])
        episode = nn.functional.pad(episodes(resets), (0, 0, lags, 0))
        output = self.bias + self.weight[0] * past[lags:]
        for lag in range(1, self.kernel):
            begin = lags - lag
            same = (episode[begin : begin + time] == episode[lags:]).unsqueeze(-1)
            output = output + self.weight[lag] * past[begin : begin + time] * same
        left = past[time:] * (episode[time:] == episode[-1]).unsqueeze(-1)
        return output, (left.transpose(0, 1).contiguous(),)
