"""A map read by convolutions: what is around the agent, near by and far away.

The map is that of `MapMemory`. Around the agent it is cut into patches of cells, at several scales. Of a patch is kept
which codes there are in it, a bit each, what share of it is unknown, and how fresh it is. A table tells each code's
numbers; two convolutions read the patches of a scale, and a linear layer reads all scales.

Gradients reach tables and convolutions, not what was written. What convolutions make is worked out again for the
backward pass, so a segment takes no more memory than its patches' bits.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from metta.game.observation import EnvInfo
from metta.policy.nets.interface import State
from metta.policy.nets.landmarks import SHARES, code_bytes
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.linear import Linear
from metta.policy.nets.modules.map_kernels import UNKNOWN, Sizes
from metta.policy.nets.modules.map_memory import empty_maps, names_of, sizes_of
from metta.policy.nets.modules.map_torch import MapWriter, ages, stamps

ROWS = 1024  # agent-steps that are read at once
CELLS, CACHED = 2**24, 2**18  # of maps that are cut into patches at once, and what a CPU's caches hold


class MapConvolution(Memory):
    """Observations of the game [batch, tokens, 3] -> what the map tells [batch, width], on any device.

    State: cells int16 [batch, side * side] and steps int32 [batch].
    """

    def __init__(
        self,
        info: EnvInfo,
        width: int,
        side: int,
        forget: int,
        scales: Sequence[tuple[int, int]],
        embedding: int,
        channels: Sequence[int],
    ) -> None:
        """Each scale: patches of a side, and cells of a patch's side."""
        super().__init__()
        self._sizes = sizes_of(side, forget)
        self._writer = MapWriter(names_of(info), self._sizes)
        self._scales = nn.ModuleList(
            Scale(self._sizes, patches, cells, code_bytes(info), embedding, channels) for patches, cells in scales
        )
        ends = (-(-patches // 4) for patches, _ in scales)
        self._layer = Linear(channels[1] * sum(end * end for end in ends), width)

    def initial_state(self, batch: int) -> State:
        return empty_maps(batch, self._sizes.side, self._layer.weight)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        patches, state = self._walk(x.unsqueeze(0), state, None)
        return self._read(patches), state

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        return self._read(self._walk(x, state, resets)[0]).unflatten(0, x.shape[:2])

    @torch.no_grad()
    def _walk(self, x: Tensor, state: State, resets: Tensor | None) -> tuple[list[Tensor], State]:
        """Write each step: the patches of each scale uint8 [time * batch, bytes, patches], and the state after it."""
        cells, clocks = (part.clone() for part in state)
        codes, here = (part.unflatten(0, x.shape[:2]) for part in self._writer.see(x.flatten(0, 1)))
        rows = (CACHED if x.device.type == "cpu" else CELLS) // cells.shape[1]
        cut: list[list[Tensor]] = [[] for _ in self._scales]
        for time in range(len(x)):
            if resets is not None:
                cells *= ~resets[time].unsqueeze(1)  # UNKNOWN is 0; several times as fast as a masked fill
                clocks *= ~resets[time]
            self._writer.write(cells, clocks, codes[time], here[time])
            for scale, patches in zip(self._scales, cut, strict=True):
                parts = (part.split(rows) for part in (cells, here[time], stamps(clocks, self._sizes)))
                patches += [scale.cut(*part) for part in zip(*parts, strict=True)]  # pyright: ignore
            clocks += 1
        return [torch.cat(patches) for patches in cut], (cells, clocks)

    def _read(self, patches: list[Tensor]) -> Tensor:
        parts = zip(*(part.split(ROWS) for part in patches), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([self._convolve(*part) for part in parts])
        # There is nothing random in it whose state would have to be kept.
        again = partial(checkpoint, self._convolve, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(*part) for part in parts])

    def _convolve(self, *patches: Tensor) -> Tensor:
        read = [scale(part) for scale, part in zip(self._scales, patches, strict=True)]
        return torch.relu_(self._layer(torch.cat(read, 1)))


class Scale(nn.Module):
    """Patches around the agent, and what two convolutions read of them."""

    _offsets: Tensor  # int64 [cells of a patch * patches]: numbers of cells less that of the agent's
    _bits: Tensor  # uint8 [8, 1, 1]: of a byte

    def __init__(
        self, sizes: Sizes, patches: int, cells: int, code_bytes: int, embedding: int, channels: Sequence[int]
    ) -> None:
        """Square patches of cells x cells, patches x patches of them."""
        super().__init__()
        self._sizes, self._patches, self._code_bytes = sizes, patches, code_bytes
        line = torch.arange(patches * cells) - patches * cells // 2
        offsets = (line.unsqueeze(1) * sizes.side + line).view(patches, cells, patches, cells).permute(1, 3, 0, 2)
        self.register_buffer("_offsets", offsets.flatten(), persistent=False)
        self.register_buffer("_bits", 2 ** torch.arange(8, dtype=torch.uint8).view(8, 1, 1), persistent=False)
        self.table = nn.Conv2d(8 * code_bytes + SHARES, embedding, kernel_size=1, bias=False)
        nn.init.normal_(self.table.weight)
        self.near = nn.Conv2d(embedding, channels[0], kernel_size=3, stride=2, padding=1)
        self.far = nn.Conv2d(channels[0], channels[1], kernel_size=3, stride=2, padding=1)

    def cut(self, cells: Tensor, here: Tensor, stamp: Tensor) -> Tensor:
        """Maps int16 [n, side * side] and where the agents are [n] -> patches uint8 [n, bytes, patches].

        Bytes: bits of the codes there are, then shares as 255ths.
        """
        around = (here.unsqueeze(1) + self._offsets) & (cells.shape[1] - 1)
        seen = cells.gather(1, around).unflatten(1, (-1, self._patches**2))
        code = seen & 255
        there = seen.new_zeros(len(seen), 8 * self._code_bytes, self._patches**2, dtype=torch.uint8)
        there.scatter_(1, code.long(), 1)
        codes = (there.unflatten(1, (8, -1)) * self._bits).sum(1, dtype=torch.uint8)
        known = self._sizes.forget // self._sizes.unit + 1  # units of time
        fresh = (known - ages(seen, stamp.unsqueeze(1))).clamp_(min=0)
        unknown = code == UNKNOWN
        fresh = torch.where(unknown, 0, fresh).float().mean(1) / known
        shares = torch.stack([unknown.float().mean(1), fresh], 1)
        return torch.cat([codes, shares.mul_(255).round_().to(torch.uint8)], 1)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches uint8 [n, bytes, patches] -> [n, numbers]."""
        codes, shares = patches.split([self._code_bytes, SHARES], 1)
        there = (codes.unsqueeze(1) & self._bits).ne(0).flatten(1, 2)
        dtype = self.table.weight.dtype
        planes = torch.cat([there.to(dtype), shares.to(dtype) / 255], 1)
        grid = self.table(planes.unflatten(2, (self._patches, self._patches)))
        return torch.relu_(self.far(torch.relu_(self.near(grid)))).flatten(1)
