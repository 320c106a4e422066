"""minGRU: a gated recurrence whose gates see the input alone (Feng et al. 2024, "Were RNNs all we needed?")."""

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, Product
from metta.policy.nets.modules.cells.mingru_loop import recur
from metta.policy.nets.modules.numeric import runs_compiled
from metta.policy.nets.modules.scan import scan


class MinGru(Cell):
    """h = (1 - z) h + z candidate; then a highway gate, as in PufferLib: output = p h + (1 - p) x. State: h."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.project = Product(width, 3 * width, bias=False)
        nn.init.orthogonal_(self.project.weight)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.width,),)

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        projected, x = self.project(x).float(), x.float()
        if runs_compiled(projected, x, *state):
            output, h = recur(projected, x, state[0], resets)
            return output, (h,)
        return self.run_by_scan(projected, x, state, resets)

    def run_by_scan(self, projected: Tensor, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        new, gate, way = projected.chunk(3, dim=-1)
        gate = gate.sigmoid()
        candidate = torch.where(new >= 0, new + 0.5, new.sigmoid())
        h = scan(1 - gate, gate * candidate, state[0], resets)
        return torch.lerp(x, h, way.sigmoid()), (h[-1],)
