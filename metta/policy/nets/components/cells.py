"""Settings of recurrent cells and of the block around each. No torch here: what is built is imported when it is built."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from metta.common.settings import Settings

if TYPE_CHECKING:
    from metta.policy.nets.modules.cells.base import Cell

Block = Literal["pass", "post", "pre", "gated"]

Heads = Annotated[int, Field(ge=1, description="heads, each with its own share of the width")]
Kernel = Annotated[int, Field(ge=1, le=64, description="steps that the causal convolution before it looks over")]
Factor = Annotated[float, Field(gt=0, le=16, description="inner width of the block's projections, times d_hidden")]


class CellSettings(Settings, ABC):
    """A cell from [batch, width] to [batch, width] and the block around it. A subclass has a field `cell`, its name.

    Blocks, n being the normalised x: pass: x + cell(n). post: y = x + cell(n), then y + down(SiLU(up(norm(y)))).
    pre: x + down(cell(up(n)) * SiLU(gate(n))). gated: as post, with a GRU's gate in place of each sum.
    """

    title: ClassVar[str]  # what lists call it

    block: Block = Field(default="pass", description="what is around the cell: pass, post, pre or gated")
    factor: Factor = 1.5
    gate_bias: float = Field(default=2.0, description="gated: the higher, the more a fresh gate lets x pass unchanged")

    def width(self, d_hidden: int) -> int:
        """Numbers that the cell reads and gives."""
        return self.inner(d_hidden) if self.block == "pre" else d_hidden

    def inner(self, d_hidden: int) -> int:
        """Numbers between the block's projections."""
        return max(1, round(self.factor * d_hidden))

    def check(self, d_hidden: int) -> None:
        """Raise ValueError if it does not fit the width."""
        heads = getattr(self, "heads", 1)
        width = self.width(d_hidden)
        if width % heads:
            raise ValueError(f"heads={heads} does not divide its width {width}")

    def block_work(self, d_hidden: int) -> int:
        """Floating-point operations per agent-step of cell and block."""
        inner = self.inner(d_hidden)
        gates = 2 * 6 * d_hidden**2 if self.block == "gated" else 0
        projections = {"pass": 0, "post": 2, "pre": 3, "gated": 2}[self.block] * d_hidden * inner
        return self.work(self.width(d_hidden)) + 2 * (gates + projections)

    @abstractmethod
    def build(self, width: int) -> "Cell":
        """The cell with fresh weights."""

    @abstractmethod
    def work(self, width: int) -> int:
        """Floating-point operations per agent-step of the cell's matrix products."""


class LstmCell(CellSettings):
    """LSTM (Hochreiter and Schmidhuber 1997): nonlinear, all numbers see all others."""

    title = "LSTM"
    cell: Literal["lstm"] = "lstm"

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.lstm import Lstm

        return Lstm(width, width)

    def work(self, width: int) -> int:
        return 16 * width**2


class MinGruCell(CellSettings):
    """minGRU (Feng et al. 2024) with a highway gate, as in PufferLib: gates see the input alone; the fastest."""

    title = "minGRU"
    cell: Literal["mingru"] = "mingru"

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.mingru import MinGru

        return MinGru(width)

    def work(self, width: int) -> int:
        return 6 * width**2


class SlstmCell(CellSettings):
    """sLSTM (Beck et al. 2024, xLSTM): scalar memories, exponential gates that see the last output; nonlinear."""

    title = "sLSTM"
    cell: Literal["slstm"] = "slstm"
    block: Block = "post"
    heads: Heads = 4
    kernel: Kernel = 4

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.slstm import Slstm

        return Slstm(width, self.heads, self.kernel)

    def work(self, width: int) -> int:
        return 8 * width**2 + 8 * width**2 // self.heads


class MlstmCell(CellSettings):
    """mLSTM (Beck et al. 2024, xLSTM): a matrix memory per head; linear, in parallel over chunks of 64 steps."""

    title = "mLSTM"
    cell: Literal["mlstm"] = "mlstm"
    block: Block = "pre"
    factor: Factor = 2.0
    heads: Heads = 4
    kernel: Kernel = 4

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.mlstm import Mlstm

        return Mlstm(width, self.heads, self.kernel)

    def work(self, width: int) -> int:
        return 6 * width**2 + 4 * width * self.heads + 2 * width**2 // self.heads


class AttentionCell(CellSettings):
    """Attention over the last steps of the episode, with relative positions (Dai et al. 2019, Transformer-XL)."""

    title = "Transformer-XL attention"
    cell: Literal["attention"] = "attention"
    block: Block = "gated"
    factor: Factor = 4.0
    heads: Heads = 4
    memory: int = Field(default=128, ge=1, le=4096, description="steps before the present one that it attends to")

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.attention import Attention

        return Attention(width, self.heads, self.memory)

    def work(self, width: int) -> int:
        return 8 * width**2 + 6 * width * (self.memory + 1)


class AxonCell(CellSettings):
    """Axon: recurrent trace units (Elelimy et al. 2024), complex numbers that turn and decay at learned rates."""

    title = "Axon"
    cell: Literal["axon"] = "axon"
    block: Block = "post"
    units: float = Field(default=1.5, gt=0, le=16, description="complex units, times its width")

    def units_of(self, width: int) -> int:
        return max(1, round(self.units * width))

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.axon import Axon

        return Axon(width, self.units_of(width))

    def work(self, width: int) -> int:
        return 8 * width * self.units_of(width)


class AgaliteCell(CellSettings):
    """AGaLiTe (Pramanik et al. 2023): approximate gated linear transformer."""

    title = "AGaLiTe"
    cell: Literal["agalite"] = "agalite"
    block: Block = "gated"
    factor: Factor = 4.0
    heads: Heads = 8
    eta: int = Field(default=6, ge=1, le=64, description="numbers that each key and query is multiplied out with")
    r: int = Field(default=2, ge=1, le=64, description="oscillators, of frequencies evenly from 0 to π per step")

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.agalite import Agalite

        return Agalite(width, self.heads, self.eta, self.r)

    def work(self, width: int) -> int:
        return 12 * width**2 + 6 * width * self.heads * self.eta


class ConvCell(CellSettings):
    """Causal convolution over the last steps, each number by itself; it remembers no further."""

    title = "causal convolution"
    cell: Literal["conv"] = "conv"
    kernel: Kernel = 4

    def build(self, width: int) -> "Cell":
        from metta.policy.nets.modules.cells.conv import CausalConv

        return CausalConv(width, self.kernel)

    def work(self, width: int) -> int:
        return 0  # no matrix product


AnyCell = LstmCell | MinGruCell | SlstmCell | MlstmCell | AttentionCell | AxonCell | AgaliteCell | ConvCell

# Letters of a pattern and what each stands for.
TOKENS: dict[str, type[AnyCell]] = {
    "L": LstmCell,
    "G": MinGruCell,
    "S": SlstmCell,
    "M": MlstmCell,
    "X": AttentionCell,
    "A": AxonCell,
    "Ag": AgaliteCell,
    "C": ConvCell,
}
CELLS: dict[str, type[AnyCell]] = {cell.model_fields["cell"].default: cell for cell in TOKENS.values()}
