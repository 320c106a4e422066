"""Axon: recurrent trace units (Elelimy et al. 2024, "Real-time recurrent learning using recurrent trace units")."""

import math

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, Product
from metta.policy.nets.modules.scan import turning_scan

SHORTEST, LONGEST = 0.5, 0.999  # radii at the start: memories of about 1 to 1,000 steps


class Axon(Cell):
    """Complex units that turn and decay, each at a rate of its own: c = r e^(iθ) c + sqrt(1 - r²) W x.

    Output: a product of SiLU(real and imaginary parts). State: c, real parts first.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.enter = Product(width, 2 * units, bias=False)
        self.leave = Product(2 * units, width)
        squared = torch.empty(units).uniform_(SHORTEST**2, LONGEST**2)
        self.log_rate = nn.Parameter((-0.5 * squared.log()).log())  # r = exp(-exp(log_rate)) < 1
        self.log_angle = nn.Parameter((math.pi / 10 * torch.rand(units).clamp(min=1e-3)).log())

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((2 * self.units,),)

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        radius = (-self.log_rate.exp()).exp()
        scale = (1 - radius**2).sqrt()  # what a steady input of variance 1 adds up to has variance about 1
        entered = self.enter.over(x, torch.cat([scale, scale]).unsqueeze(1) * self.enter.weight).float()
        h = turning_scan((radius, self.log_angle.exp()), entered, state[0], resets)
        return self.leave(nn.functional.silu(h)), (h[-1],)
