"""minGRU's gates, recurrence and highway in one compiled loop over time."""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.policy.nets.modules.numeric import HALF, ONE, ZERO, arrays, sigmoid
from metta.policy.nets.modules.threads import in_threads


def recur(projected: Tensor, x: Tensor, start: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
    """projected [time, batch, 3 x width] (candidate, gate, highway), x [time, batch, width], start [batch, width],
    resets bool [time, batch] -> output [time, batch, width] and the state after it [batch, width]."""
    given = [part.contiguous() for part in (projected, x, start, resets)]
    return _Recurrence.apply(*given)  # pyright: ignore[reportReturnType]


@njit(inline="always")
def _candidate(new: Any) -> Any:
    """Positive, 0.5 at 0 and as steep from either side."""
    return new + HALF if new >= ZERO else sigmoid(new)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _forward(begin, end, projected, x, start, resets, h, output) -> None:
    width = x.shape[2]
    for t in range(len(x)):
        for b in range(begin, end):
            kept = np.float32(not resets[t, b])
            given, seen, now, out = projected[t, b], x[t, b], h[t, b], output[t, b]
            before = h[t - 1, b] if t else start[b]
            new, gate, way = given[:width], given[width : 2 * width], given[2 * width :]
            for w in range(width):
                old = kept * before[w]
                now[w] = old + sigmoid(gate[w]) * (_candidate(new[w]) - old)
            for w in range(width):
                out[w] = seen[w] + sigmoid(way[w]) * (now[w] - seen[w])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _backward(begin, end, projected, x, start, resets, h, d_output, d_projected, d_x, d_h) -> None:
    """d_h [batch, width]: gradient of the state after the segment; in the end, of that before it."""
    width = x.shape[2]
    for t in range(len(x) - 1, -1, -1):
        for b in range(begin, end):
            kept = np.float32(not resets[t, b])
            given, seen, now, of_out = projected[t, b], x[t, b], h[t, b], d_output[t, b]
            before = h[t - 1, b] if t else start[b]
            new, gate, way = given[:width], given[width : 2 * width], given[2 * width :]
            of_seen, of_given, of_now = d_x[t, b], d_projected[t, b], d_h[b]
            of_new, of_gate, of_way = of_given[:width], of_given[width : 2 * width], of_given[2 * width :]
            for w in range(width):
                open_way = sigmoid(way[w])
                of_way[w] = of_out[w] * (now[w] - seen[w]) * open_way * (ONE - open_way)
            for w in range(width):
                open_way = sigmoid(way[w])
                of_seen[w] = of_out[w] * (ONE - open_way)
                of_now[w] += of_out[w] * open_way
            for w in range(width):
                moved = sigmoid(gate[w])
                of_gate[w] = of_now[w] * (_candidate(new[w]) - kept * before[w]) * moved * (ONE - moved)
            for w in range(width):
                low = sigmoid(new[w])
                of_new[w] = of_now[w] * sigmoid(gate[w]) * (ONE if new[w] >= ZERO else low * (ONE - low))
            for w in range(width):
                of_now[w] *= kept * (ONE - sigmoid(gate[w]))


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, x: Tensor, start: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
        h, output = torch.empty_like(x), torch.empty_like(x)
        args = arrays(projected, x, start, resets, h, output)
        in_threads(x.shape[1], lambda share, begin, end: _forward(begin, end, *args))
        ctx.save_for_backward(projected, x, start, resets, h)
        return output, h[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        projected, x = ctx.saved_tensors[:2]
        d_projected, d_x, d_h = torch.empty_like(projected), torch.empty_like(x), gradients[1].clone()
        args = arrays(*ctx.saved_tensors, gradients[0].contiguous(), d_projected, d_x, d_h)
        in_threads(x.shape[1], lambda share, begin, end: _backward(begin, end, *args))
        return d_projected, d_x, d_h, None
