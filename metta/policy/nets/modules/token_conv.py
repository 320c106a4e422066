"""From sparse observation tokens to what a convolution over the dense grid would give.

A 3x3 convolution of stride 2 and padding 1 over features x 11 x 11 sees some fifty non-zero inputs of 9,438: summing
the weight rows of the tokens gives the same result for a hundredth of the work.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.game.observation import EnvInfo
from metta.policy.nets.modules.threads import in_threads

EMPTY = 0xFF


def feature_scales(info: EnvInfo) -> Tensor:
    """What a token's value is divided by, float32 [256] by feature id."""
    scales = torch.ones(256)
    for feature in info.features:
        scales[feature.id] = max(float(feature.normalization), 1.0)
    return scales


@njit(inline="always")
def _outputs(at: Any, size: int) -> tuple[int, int, int]:
    """Outputs that input row `at` reaches along one axis: the first, the last, and the kernel row of the first.

    An even row reaches one output through the kernel's middle, an odd one two through its ends (last, then first).
    """
    first = at >> 1
    last = min((at + 1) >> 1, size - 1)
    return first, last, 1 if (at & 1) == 0 else 2


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _forward(begin, end, tokens, rows, bias, inverse_scales, window, output, center) -> None:
    """For observations begin..end write relu(conv) into output [n, h, w, channels] and the middle cell into center.

    center [n, planes]; tokens [n, tokens, 3]; bias [channels]; rows [planes, 3, 3, channels]: the kernel's weights,
    channels last.
    """
    height, width = window
    planes = rows.shape[0]
    out_h, out_w, channels = output.shape[1], output.shape[2], output.shape[3]
    for n in range(begin, end):
        for i in range(out_h):
            for j in range(out_w):
                for k in range(channels):
                    output[n, i, j, k] = bias[k]
        for f in range(planes):
            center[n, f] = 0
        for t in range(tokens.shape[1]):
            place = np.int64(tokens[n, t, 0])
            if place == EMPTY:
                continue
            x, y = min(place & 15, width - 1), min(place >> 4, height - 1)
            feature = min(np.int64(tokens[n, t, 1]), planes - 1)
            value = np.float32(tokens[n, t, 2]) * inverse_scales[tokens[n, t, 1]]
            if x == width // 2 and y == height // 2:
                center[n, feature] += value
            i0, i1, ky = _outputs(y, out_h)
            j0, j1, kx0 = _outputs(x, out_w)
            for i in range(i0, i1 + 1):
                kx = kx0
                for j in range(j0, j1 + 1):
                    for k in range(channels):
                        output[n, i, j, k] += value * rows[feature, ky, kx, k]
                    kx -= 2
                ky -= 2
        for i in range(out_h):
            for j in range(out_w):
                for k in range(channels):
                    output[n, i, j, k] = max(output[n, i, j, k], np.float32(0))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _backward(begin, end, tokens, output, gradient, inverse_scales, window, row_gradients, bias_gradients) -> None:
    """Add the gradients of observations begin..end to row_gradients [planes, 3, 3, channels] and bias_gradients."""
    height, width = window
    planes = row_gradients.shape[0]
    out_h, out_w, channels = output.shape[1], output.shape[2], output.shape[3]
    masked = np.empty((out_h, out_w, channels), np.float32)
    for n in range(begin, end):
        for i in range(out_h):
            for j in range(out_w):
                for k in range(channels):
                    passed = gradient[n, i, j, k] if output[n, i, j, k] > 0 else np.float32(0)
                    masked[i, j, k] = passed
                    bias_gradients[k] += passed
        for t in range(tokens.shape[1]):
            place = np.int64(tokens[n, t, 0])
            if place == EMPTY:
                continue
            x, y = min(place & 15, width - 1), min(place >> 4, height - 1)
            feature = min(np.int64(tokens[n, t, 1]), planes - 1)
            value = np.float32(tokens[n, t, 2]) * inverse_scales[tokens[n, t, 1]]
            i0, i1, ky = _outputs(y, out_h)
            j0, j1, kx0 = _outputs(x, out_w)
            for i in range(i0, i1 + 1):
                kx = kx0
                for j in range(j0, j1 + 1):
                    for k in range(channels):
                        row_gradients[feature, ky, kx, k] += value * masked[i, j, k]
                    kx -= 2
                ky -= 2


class _TokenConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor, scales: Tensor, window: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        rows = weight.permute(1, 2, 3, 0).contiguous()
        size = [(side + 1) // 2 for side in window]
        output = rows.new_empty(len(tokens), *size, len(bias))
        center = rows.new_empty(len(tokens), len(rows))
        inverse = 1 / (scales + 1e-6)
        reads = [part.detach().numpy() for part in (tokens, rows, bias, inverse)]
        args: list[Any] = [*reads, window, output.numpy(), center.numpy()]
        in_threads(len(tokens), lambda share, begin, end: _forward(begin, end, *args))
        ctx.save_for_backward(tokens, output, inverse)
        ctx.window, ctx.planes = window, len(rows)
        ctx.mark_non_differentiable(center)
        return output, center

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[None, Tensor, Tensor, None, None]:
        gradient = gradients[0]
        tokens, output, inverse = ctx.saved_tensors
        shares, channels = torch.get_num_threads(), output.shape[-1]
        rows = gradient.new_zeros(shares, ctx.planes, 3, 3, channels)
        bias = gradient.new_zeros(shares, channels)
        reads = [part.numpy() for part in (tokens, output, gradient.contiguous(), inverse)]
        args: list[list[Any]] = [[*reads, ctx.window, *sums] for sums in zip(rows.numpy(), bias.numpy(), strict=True)]
        in_threads(len(tokens), lambda share, begin, end: _backward(begin, end, *args[share]))
        return None, rows.sum(0).permute(3, 0, 1, 2), bias.sum(0), None, None


def token_conv(
    tokens: Tensor, weight: Tensor, bias: Tensor, scales: Tensor, window: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """relu of the convolution (3x3, stride 2, padding 1) of the tokens' grid, and the grid's middle cell.

    tokens uint8 [n, tokens, 3], weight [channels, planes, 3, 3] -> [n, channels, h, w] (channels last in memory) and
    [n, planes], the latter without gradient.
    """
    if tokens.device.type == "cpu":
        output, center = _TokenConv.apply(tokens.contiguous(), weight, bias, scales, window)  # pyright: ignore
        return output.permute(0, 3, 1, 2), center
    return bagged_conv(tokens, weight, bias, scales, window)


def bagged_conv(
    tokens: Tensor, weight: Tensor, bias: Tensor, scales: Tensor, window: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The same in torch's operations, for devices: no dense grid, no shape that depends on what is observed.

    Each output is a bag of the weight rows of the tokens that reach it; what reaches none lies in a bag of its own.
    """
    channels, planes = weight.shape[:2]
    size = [(side + 1) // 2 for side in window]
    place, feature = tokens[..., 0].long(), tokens[..., 1].long()
    value = tokens[..., 2].float() / (scales[feature] + 1e-6) * (place != EMPTY)
    feature = feature.clamp(max=planes - 1)
    y, x = (place >> 4).clamp(max=window[0] - 1), (place & 15).clamp(max=window[1] - 1)
    middle = (y == window[0] // 2) & (x == window[1] // 2)
    center = value.new_zeros(len(tokens), planes).scatter_add_(1, feature, value * middle)
    (i, ky, down), (j, kx, across) = (_reached(at, side) for at, side in zip((y, x), size, strict=True))
    cells = size[0] * size[1]
    reached = (place != EMPTY)[..., None, None] & down.unsqueeze(-1) & across.unsqueeze(-2)
    bag = torch.where(reached, i.unsqueeze(-1) * size[1] + j.unsqueeze(-2), cells).flatten(1)
    row = (feature[..., None, None] * 9 + ky.unsqueeze(-1) * 3 + kx.unsqueeze(-2)).flatten(1)
    bag, order = bag.sort(dim=1)
    values = value[..., None, None].expand(-1, -1, 2, 2).flatten(1).gather(1, order)
    counts = torch.zeros(len(tokens), cells + 1, dtype=torch.int64, device=tokens.device)
    counts = counts.scatter_add_(1, bag, torch.ones_like(bag)).flatten()
    rows = weight.permute(1, 2, 3, 0).reshape(planes * 9, channels)
    sums = torch.nn.functional.embedding_bag(
        row.gather(1, order).flatten(), rows, counts.cumsum(0) - counts, mode="sum", per_sample_weights=values.flatten()
    )
    output = torch.relu(sums.view(len(tokens), cells + 1, channels)[:, :cells] + bias)
    return output.view(len(tokens), *size, channels).permute(0, 3, 1, 2), center


def _reached(at: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis, the two outputs that input rows reach, by which kernel rows, and whether they do, each [..., 2];
    as `_outputs` says."""
    first, odd = at >> 1, (at & 1) == 1
    outputs = torch.stack([first, first + 1], dim=-1)
    kernel = torch.stack([odd.long() + 1, torch.zeros_like(at)], dim=-1)
    return outputs, kernel, torch.stack([torch.ones_like(odd), odd & (first + 1 < size)], dim=-1)
