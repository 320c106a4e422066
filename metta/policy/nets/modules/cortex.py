"""The recurrent core: layers of cells side by side."""

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor, nn

from metta.policy.nets.components.cells import AnyCell
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.interface import State
from metta.policy.nets.modules.blocks import BLOCKS, Block
from metta.policy.nets.modules.cells.base import Cell, Product
from metta.policy.nets.modules.gates import mix

ACTIVATIONS = {"none": nn.Identity, "silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}


class Column(nn.Module):
    """Blocks that read the same x, normalised once. A router, the softmax of a product of that, weighs what they give.

    A fresh router weighs all alike: its weights are 0, but what they are multiplied with is not, so they learn.
    """

    def __init__(self, cells: Sequence[AnyCell], width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(BLOCKS[settings.block](settings, width) for settings in cells)
        self.router = Product(width, len(cells)) if len(cells) > 1 else None
        if self.router is not None:
            nn.init.zeros_(self.router.weight)
            nn.init.zeros_(self.router.bias)
        ends = list(accumulate(len(block.cell.state_shapes()) for block in self._blocks()))
        self._parts = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]

    def _blocks(self) -> list[Block]:
        return list(self.blocks)  # pyright: ignore[reportReturnType]

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(shape for block in self._blocks() for shape in block.cell.state_shapes())

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        normal = self.norm(x)
        ran = [
            block.run(x, normal, state[part], resets) for block, part in zip(self._blocks(), self._parts, strict=True)
        ]
        outputs = [output for output, _ in ran]
        after = tuple(tensor for _, part in ran for tensor in part)
        if self.router is None:
            return outputs[0], after
        weights = self.router(normal).float().softmax(-1)
        mixed = mix(weights.flatten(0, -2), [output.flatten(0, -2).float() for output in outputs])
        return mixed.view(x.shape), after


class Cortex(Cell):
    """Columns one after the other. State: their cells' states, joined."""

    def __init__(self, given: int, settings: CortexSettings) -> None:
        super().__init__()
        width = settings.d_hidden
        self.enter = Product(given, width) if given != width else nn.Identity()
        self.columns = nn.ModuleList(Column(cells, width) for cells in settings.columns)
        self.norm = nn.LayerNorm(width) if settings.post_norm else nn.Identity()
        self.leave = nn.Identity()
        if settings.out:
            self.leave = nn.Sequential(Product(width, settings.out), ACTIVATIONS[settings.activation]())

    def _columns(self) -> list[Column]:
        return list(self.columns)  # pyright: ignore[reportReturnType]

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(shape for column in self._columns() for shape in column.state_shapes())

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        x, after = self.enter(x), []
        for column in self._columns():
            parts = len(column.state_shapes())
            x, left = column.run(x, state[:parts], resets)
            state = state[parts:]
            after += left
        return self.leave(self.norm(x)), tuple(after)
