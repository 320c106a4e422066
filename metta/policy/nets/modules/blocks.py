"""What is around each cell of the core."""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from metta.policy.nets.components.cells import AnyCell
from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Product
from metta.policy.nets.modules.gates import gru_gate


class Block(nn.Module):
    """x + cell(normalised x): the simplest; the others extend it."""

    def __init__(self, settings: AnyCell, width: int) -> None:
        super().__init__()
        self.cell = settings.build(settings.width(width))

    def run(self, x: Tensor, normal: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """x and its normalised numbers [time, batch, width], and the rest as `Cell.run`."""
        output, state = self.cell.run(normal, state, resets)
        return x + output, state


class PostUpBlock(Block):
    """After the cell two projections, up and down, with a residual sum of their own."""

    def __init__(self, settings: AnyCell, width: int) -> None:
        super().__init__(settings, width)
        self.norm = nn.LayerNorm(width)
        self.up = Product(width, settings.inner(width))
        self.down = Product(settings.inner(width), width)

    def run(self, x: Tensor, normal: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        y, state = super().run(x, normal, state, resets)
        return y + self.projected(y), state

    def projected(self, y: Tensor) -> Tensor:
        return self.down(silu(self.up(self.norm(y))))


class GatedBlock(PostUpBlock):
    """The same with gates in place of the two sums (Parisotto et al. 2020, "Stabilizing transformers for RL")."""

    def __init__(self, settings: AnyCell, width: int) -> None:
        super().__init__(settings, width)
        self.cell_gate = GruGate(width, settings.gate_bias)
        self.projection_gate = GruGate(width, settings.gate_bias)

    def run(self, x: Tensor, normal: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        output, state = self.cell.run(normal, state, resets)
        y = self.cell_gate(x, output)
        return self.projection_gate(y, self.projected(y)), state


class GruGate(nn.Module):
    """x moved towards what a sublayer says of it: x and update [..., width] -> [..., width]."""

    def __init__(self, width: int, bias: float) -> None:
        super().__init__()
        # Of what the sublayer says: how much of x is seen, how far it moves, where to; of x: the first two.
        self.of_update = Product(width, 3 * width)
        self.of_x = Product(width, 2 * width, bias=False)
        self.of_seen = Product(width, width, bias=False)
        with torch.no_grad():
            self.of_update.bias.copy_(torch.cat([torch.zeros(width), torch.full((width,), -bias), torch.zeros(width)]))

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        given = [part.flatten(0, -2).float() for part in (x, self.of_update(update), self.of_x(x))]
        return gru_gate(given[0], given[1], given[2], self.of_seen.weight).view(x.shape)


class PreUpBlock(Block):
    """The cell works between an up- and a down-projection, beside a gate."""

    def __init__(self, settings: AnyCell, width: int) -> None:
        super().__init__(settings, width)
        self.up = Product(width, 2 * settings.inner(width))
        self.down = Product(settings.inner(width), width)

    def run(self, x: Tensor, normal: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        inner, gate = self.up(normal).chunk(2, dim=-1)
        output, state = self.cell.run(inner, state, resets)
        return x + self.down(output * silu(gate)), state


BLOCKS: dict[str, type[Block]] = {"pass": Block, "post": PostUpBlock, "pre": PreUpBlock, "gated": GatedBlock}
