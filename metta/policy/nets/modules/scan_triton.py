"""The scan on CUDA: one kernel forward and one backward, each a loop over time."""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AVAILABLE = find_spec("triton") is not None
BLOCK = 128  # numbers of one row that a program carries through time

if AVAILABLE:
    import triton
    import triton.language as tl

    @triton.jit
    def _forward(decay, added, start, resets, h, time, batch, width, block: tl.constexpr) -> None:
        row, column = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
        inside = column < width
        at = row * width + column
        state = tl.load(start + at, mask=inside, other=0.0)
        for _ in range(time):
            factor = tl.load(decay + at, mask=inside, other=0.0)
            factor = tl.where(tl.load(resets + row) != 0, 0.0, factor)
            state = factor * state + tl.load(added + at, mask=inside, other=0.0)
            tl.store(h + at, state, mask=inside)
            decay += batch * width
            added += batch * width
            h += batch * width
            resets += batch

    @triton.jit
    def _backward(
        decay, start, resets, h, gradient, d_decay, d_added, d_start, time, batch, width, block: tl.constexpr
    ) -> None:
        """All that has a time points to its last step."""
        row, column = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
        inside = column < width
        at = row * width + column
        now = tl.load(gradient + at, mask=inside, other=0.0)
        for _ in range(time - 1):
            h -= batch * width
            kept = tl.where(tl.load(resets + row) != 0, 0.0, now)
            tl.store(d_added + at, now, mask=inside)
            tl.store(d_decay + at, kept * tl.load(h + at, mask=inside, other=0.0), mask=inside)
            gradient -= batch * width
            now = kept * tl.load(decay + at, mask=inside, other=0.0)
            now += tl.load(gradient + at, mask=inside, other=0.0)
            decay -= batch * width
            d_decay -= batch * width
            d_added -= batch * width
            resets -= batch
        kept = tl.where(tl.load(resets + row) != 0, 0.0, now)
        tl.store(d_added + at, now, mask=inside)
        tl.store(d_decay + at, kept * tl.load(start + at, mask=inside, other=0.0), mask=inside)
        tl.store(d_start + at, kept * tl.load(decay + at, mask=inside, other=0.0), mask=inside)


def scan(decay: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
    """As metta.policy.nets.modules.scan.scan; needs Triton (`AVAILABLE`)."""
    given = (decay.contiguous(), added.contiguous(), start.contiguous(), resets.contiguous().view(torch.uint8))
    return _Scan.apply(*given)  # pyright: ignore[reportReturnType]


def _grid(h: Tensor) -> tuple[int, int]:
    return h.shape[1], -(-h.shape[2] // BLOCK)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
        h = torch.empty_like(added)
        _forward[_grid(h)](decay, added, start, resets, h, *h.shape, block=BLOCK)
        ctx.save_for_backward(decay, start, resets, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        decay, start, resets, h = ctx.saved_tensors
        grown = torch.empty_like(h), torch.empty_like(h), torch.empty_like(start)
        d_decay, d_added, d_start = grown
        last = decay[-1], start, resets[-1], h[-1], gradients[0].contiguous()[-1], d_decay[-1], d_added[-1], d_start
        _backward[_grid(h)](*last, *h.shape, block=BLOCK)
        return *grown, None
