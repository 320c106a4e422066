"""What the core does number by number between its products, in compiled loops: memory is what it costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.policy.nets.modules.linear import linear, weight_gradient
from metta.policy.nets.modules.numeric import ONE, arrays, runs_compiled, sigmoid, tanh
from metta.policy.nets.modules.threads import in_threads


def gru_gate(x: Tensor, of_update: Tensor, of_x: Tensor, weight: Tensor) -> Tensor:
    """x moved towards a target: x, of_update [n, 3 x width] (how much of x is seen, how far it moves, the target), of_x
    [n, 2 x width] (added to the first two), weight [width, width] of the seen x in the target -> [n, width]."""
    if runs_compiled(x, of_update, of_x, weight):
        given = [part.contiguous() for part in (x, of_update, of_x)]
        return _GruGate.apply(*given, weight)  # pyright: ignore[reportReturnType]
    seen, moved, target = of_update.chunk(3, dim=-1)
    more_seen, more_moved = of_x.chunk(2, dim=-1)
    seen_x = (seen + more_seen).sigmoid() * x
    target = (target + torch.nn.functional.linear(seen_x, weight)).tanh()
    return x + (moved + more_moved).sigmoid() * (target - x)


def mix(weights: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    """Sum of outputs [n, width], each times its column of weights [n, outputs]."""
    if runs_compiled(weights, *outputs):
        return _Mix.apply(weights.contiguous(), *(output.contiguous() for output in outputs))  # pyright: ignore
    return (weights.unsqueeze(-1) * torch.stack(tuple(outputs), dim=1)).sum(1)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _see(begin, end, x, of_update, of_x, seen_x) -> None:
    width = x.shape[1]
    for n in range(begin, end):
        row, update, own, out = x[n], of_update[n, :width], of_x[n, :width], seen_x[n]
        for w in range(width):
            out[w] = sigmoid(update[w] + own[w]) * row[w]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _move(begin, end, x, of_update, of_x, fed, output) -> None:
    width = x.shape[1]
    for n in range(begin, end):
        row, out, more, own = x[n], output[n], fed[n], of_x[n, width:]
        moved, target = of_update[n, width : 2 * width], of_update[n, 2 * width :]
        for w in range(width):
            out[w] = row[w] + sigmoid(moved[w] + own[w]) * (tanh(target[w] + more[w]) - row[w])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _move_back(begin, end, x, of_update, of_x, fed, gradient, d_x, d_update, d_of_x, d_fed) -> None:
    width = x.shape[1]
    moves, targets = np.empty(width, np.float32), np.empty(width, np.float32)
    for n in range(begin, end):
        row, given, more, own = x[n], gradient[n], fed[n], of_x[n, width:]
        moved, target = of_update[n, width : 2 * width], of_update[n, 2 * width :]
        of_row, of_moved, of_fed = d_x[n], d_update[n, width : 2 * width], d_fed[n]
        for w in range(width):
            moves[w] = sigmoid(moved[w] + own[w])
        for w in range(width):
            targets[w] = tanh(target[w] + more[w])
        for w in range(width):
            of_row[w] = given[w] * (ONE - moves[w])
        for w in range(width):
            of_moved[w] = given[w] * (targets[w] - row[w]) * moves[w] * (ONE - moves[w])
        for w in range(width):
            of_fed[w] = given[w] * moves[w] * (ONE - targets[w] * targets[w])
        d_of_x[n, width:] = of_moved
        d_update[n, 2 * width :] = of_fed


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _see_back(begin, end, x, of_update, of_x, d_seen_x, d_x, d_update, d_of_x) -> None:
    width = x.shape[1]
    seen = np.empty(width, np.float32)
    for n in range(begin, end):
        row, update, own, given = x[n], of_update[n, :width], of_x[n, :width], d_seen_x[n]
        of_row, of_update_row = d_x[n], d_update[n, :width]
        for w in range(width):
            seen[w] = sigmoid(update[w] + own[w])
        for w in range(width):
            of_update_row[w] = given[w] * row[w] * seen[w] * (ONE - seen[w])
        for w in range(width):
            of_row[w] += given[w] * seen[w]
        d_of_x[n, :width] = of_update_row


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """In float32, which the loops take, whatever autocast says."""
    with torch.autocast("cpu", enabled=False):
        return linear(x, weight, weight.new_zeros(len(weight)))


class _GruGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, of_update: Tensor, of_x: Tensor, weight: Tensor) -> Tensor:
        seen_x, output = torch.empty_like(x), torch.empty_like(x)
        given = arrays(x, of_update, of_x)
        see: list[Any] = [*given, seen_x.numpy()]
        in_threads(len(x), lambda share, begin, end: _see(begin, end, *see))
        fed = _product(seen_x, weight)
        move: list[Any] = [*given, *arrays(fed, output)]
        in_threads(len(x), lambda share, begin, end: _move(begin, end, *move))
        ctx.save_for_backward(x, of_update, of_x, weight, seen_x, fed)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore
        x, of_update, of_x, weight, seen_x, fed = ctx.saved_tensors
        d_x, d_update, d_of_x, d_fed = (torch.empty_like(part) for part in (x, of_update, of_x, fed))
        given, writes = arrays(x, of_update, of_x), arrays(d_x, d_update, d_of_x)
        move: list[Any] = [*given, *arrays(fed, gradients[0].contiguous()), *writes, d_fed.numpy()]
        in_threads(len(x), lambda share, begin, end: _move_back(begin, end, *move))
        d_seen_x = _product(d_fed, weight.t())
        see: list[Any] = [*given, d_seen_x.numpy(), *writes]
        in_threads(len(x), lambda share, begin, end: _see_back(begin, end, *see))
        with torch.autocast("cpu", enabled=False):
            return d_x, d_update, d_of_x, weight_gradient(d_fed, seen_x)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_scaled(begin, end, weights, k, given, total) -> None:
    for n in range(begin, end):
        weight, row, out = weights[n, k], given[n], total[n]
        if k == 0:
            for w in range(len(row)):
                out[w] = weight * row[w]
        else:
            for w in range(len(row)):
                out[w] += weight * row[w]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_scaled_back(begin, end, weights, k, given, gradient, d_weights, d_given) -> None:
    for n in range(begin, end):
        weight, row, of_total, out = weights[n, k], given[n], gradient[n], d_given[n]
        total = np.float32(0)
        for w in range(len(row)):
            out[w] = weight * of_total[w]
            total += row[w] * of_total[w]
        d_weights[n, k] = total


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, *outputs: Tensor) -> Tensor:
        total = torch.empty_like(outputs[0])
        for k, output in enumerate(outputs):
            args: list[Any] = [weights.detach().numpy(), k, *arrays(output, total)]
            in_threads(len(total), lambda share, begin, end, args=args: _add_scaled(begin, end, *args))
        ctx.save_for_backward(weights, *outputs)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore
        weights, *outputs = ctx.saved_tensors
        gradient, d_weights = gradients[0].contiguous(), torch.empty_like(weights)
        grown = [torch.empty_like(output) for output in outputs]
        for k, (output, d_output) in enumerate(zip(outputs, grown, strict=True)):
            args: list[Any] = [weights.numpy(), k, *arrays(output, gradient, d_weights, d_output)]
            in_threads(len(gradient), lambda share, begin, end, args=args: _add_scaled_back(begin, end, *args))
        return d_weights, *grown
