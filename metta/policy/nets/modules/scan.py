"""Linear recurrences, element by element, that restart where an episode ended.

One loop over time for each number: with segments of 64 to 256 steps and many rows it is as fast as scans in chunks.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.policy.nets.modules.numeric import arrays, runs_compiled
from metta.policy.nets.modules.threads import in_threads


def scan(decay: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
    """h[t] = decay[t] * h[t-1] + added[t], where h[t-1] is 0 if resets[t].

    decay, added float32 [time, batch, width], start [batch, width] (h before the segment), resets bool [time, batch]
    -> h [time, batch, width].
    """
    if runs_compiled(decay, added, start):
        h = _Scan.apply(decay.contiguous(), added.contiguous(), start.contiguous(), resets.contiguous())
        return h  # pyright: ignore[reportReturnType]
    if added.device.type == "cuda" and not torch.compiler.is_compiling():
        from metta.policy.nets.modules import scan_triton

        if scan_triton.AVAILABLE:
            return scan_triton.scan(decay.float(), added.float(), start.float(), resets)
    return scan_by_steps(decay, added, start, resets)


def scan_by_steps(decay: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
    """`scan` in plain torch: what the fast ones are tested against."""
    keep = decay.masked_fill(resets.unsqueeze(-1), 0)
    h, outputs = start, []
    for factor, new in zip(keep, added, strict=True):
        h = factor * h + new
        outputs.append(h)
    return torch.stack(outputs)


def turning_scan(decay: tuple[Tensor, Tensor], added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
    """The same of complex numbers with one decay for all steps: radius and angle [units], the angle in radians.

    added [time, batch, 2 x units], start [batch, 2 x units]: real parts, then imaginary ones; resets bool [time, batch]
    -> h [time, batch, 2 x units].
    """
    radius, angle = decay
    if runs_compiled(radius, angle, added, start):
        across, along = radius * angle.sin(), radius * angle.cos()
        h = _TurningScan.apply(along, across, added.contiguous(), start.contiguous(), resets.contiguous())
        return h  # pyright: ignore[reportReturnType]
    # Seen from axes that turn along with it, a number only decays.
    steps = torch.arange(1, len(added) + 1, device=added.device, dtype=added.dtype)
    angles = (steps.unsqueeze(1) * angle).unsqueeze(1)
    still = scan(torch.cat([radius, radius]).expand_as(added), _turned(added, -angles), start, resets)
    return _turned(still, angles)


def _turned(numbers: Tensor, angle: Tensor) -> Tensor:
    real, imaginary = numbers.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos * real - sin * imaginary, sin * real + cos * imaginary], dim=-1)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _forward(begin, end, decay, added, start, resets, h) -> None:
    for t in range(added.shape[0]):
        for b in range(begin, end):
            before = h[t - 1, b] if t else start[b]
            factor, new, now = decay[t, b], added[t, b], h[t, b]
            if resets[t, b]:
                for w in range(added.shape[2]):
                    now[w] = new[w]
            else:
                for w in range(added.shape[2]):
                    now[w] = factor[w] * before[w] + new[w]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _backward(begin, end, decay, start, resets, h, gradient, d_decay, d_added, d_start) -> None:
    last = h.shape[0] - 1
    for t in range(last, -1, -1):
        for b in range(begin, end):
            before = h[t - 1, b] if t else start[b]
            given, factor, of_decay, now = gradient[t, b], decay[t, b], d_decay[t, b], d_added[t, b]
            if t == last or resets[t + 1, b]:
                for w in range(h.shape[2]):
                    now[w] = given[w]
            else:
                later, later_factor = d_added[t + 1, b], decay[t + 1, b]
                for w in range(h.shape[2]):
                    now[w] = given[w] + later_factor[w] * later[w]
            kept = np.float32(not resets[t, b])
            for w in range(h.shape[2]):
                of_decay[w] = kept * now[w] * before[w]
            if t == 0:
                for w in range(h.shape[2]):
                    d_start[b, w] = kept * now[w] * factor[w]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
        h = torch.empty_like(added)
        args = arrays(decay, added, start, resets, h)
        in_threads(added.shape[1], lambda share, begin, end: _forward(begin, end, *args))
        ctx.save_for_backward(decay, start, resets, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        decay, start, resets, h = ctx.saved_tensors
        grown = torch.empty_like(h), torch.empty_like(h), torch.empty_like(start)
        args = arrays(decay, start, resets, h, gradients[0].contiguous(), *grown)
        in_threads(h.shape[1], lambda share, begin, end: _backward(begin, end, *args))
        return *grown, None


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _turn(begin, end, along, across, added, start, resets, h) -> None:
    units = along.shape[0]
    for t in range(added.shape[0]):
        for b in range(begin, end):
            before = h[t - 1, b] if t else start[b]
            new, now = added[t, b], h[t, b]
            if resets[t, b]:
                for w in range(2 * units):
                    now[w] = new[w]
            else:
                real, imaginary = before[:units], before[units:]
                now_real, now_imaginary, new_real, new_imaginary = now[:units], now[units:], new[:units], new[units:]
                for w in range(units):
                    now_real[w] = along[w] * real[w] - across[w] * imaginary[w] + new_real[w]
                for w in range(units):
                    now_imaginary[w] = across[w] * real[w] + along[w] * imaginary[w] + new_imaginary[w]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _turn_back(begin, end, along, across, start, resets, h, gradient, d_along, d_across, d_added, d_start) -> None:
    units, last = along.shape[0], h.shape[0] - 1
    for t in range(last, -1, -1):
        for b in range(begin, end):
            before = h[t - 1, b] if t else start[b]
            given, now = gradient[t, b], d_added[t, b]
            real, imaginary = now[:units], now[units:]
            if t == last or resets[t + 1, b]:
                for w in range(2 * units):
                    now[w] = given[w]
            else:
                later_real, later_imaginary = d_added[t + 1, b, :units], d_added[t + 1, b, units:]
                given_real, given_imaginary = given[:units], given[units:]
                for w in range(units):
                    real[w] = given_real[w] + along[w] * later_real[w] + across[w] * later_imaginary[w]
                for w in range(units):
                    imaginary[w] = given_imaginary[w] - across[w] * later_real[w] + along[w] * later_imaginary[w]
            kept = np.float32(not resets[t, b])
            real_before, imaginary_before = before[:units], before[units:]
            for w in range(units):
                d_along[w] += kept * (real[w] * real_before[w] + imaginary[w] * imaginary_before[w])
            for w in range(units):
                d_across[w] += kept * (imaginary[w] * real_before[w] - real[w] * imaginary_before[w])
            if t == 0:
                for w in range(units):
                    d_start[b, w] = kept * (along[w] * real[w] + across[w] * imaginary[w])
                    d_start[b, units + w] = kept * (along[w] * imaginary[w] - across[w] * real[w])


class _TurningScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, along: Tensor, across: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
        h = torch.empty_like(added)
        args = arrays(along, across, added, start, resets, h)
        in_threads(added.shape[1], lambda share, begin, end: _turn(begin, end, *args))
        ctx.save_for_backward(along, across, start, resets, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        along, across, start, resets, h = ctx.saved_tensors
        sums = h.new_zeros(2, torch.get_num_threads(), len(along))
        d_added, d_start = torch.empty_like(h), torch.empty_like(start)
        reads = arrays(along, across, start, resets, h, gradients[0].contiguous())
        writes, (d_along, d_across) = arrays(d_added, d_start), sums.numpy()
        in_threads(
            h.shape[1],
            lambda share, begin, end: _turn_back(begin, end, *reads, d_along[share], d_across[share], *writes),
        )
        return *sums.sum(1), d_added, d_start, None
