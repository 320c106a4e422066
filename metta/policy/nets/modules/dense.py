"""Plain layers."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from metta.policy.nets.components.dense import Activation, Initial
from metta.policy.nets.modules.linear import Linear, linear, orthogonal

PADDING = 255
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu_,
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
}


class Layer(Linear):
    """A linear layer [n, before] -> [n, after] and what follows it."""

    def __init__(self, before: int, after: int, activation: Activation, weights: Initial = "orthogonal") -> None:
        super().__init__(before, after)
        if weights == "orthogonal":
            orthogonal(self, math.sqrt(2))
        self._activation: Activation = activation

    def forward(self, input: Tensor) -> Tensor:
        return ACTIVATIONS[self._activation](super().forward(input))


class Mlp(nn.ModuleList):
    """Layers, each with its activation: values [n, ...], flattened and scaled, -> [n, last width]."""

    def __init__(self, widths: Sequence[int], activation: Activation, scale: float) -> None:
        super().__init__(Layer(*pair, activation) for pair in pairwise(widths))
        self._scale = scale

    def forward(self, input: Tensor) -> Tensor:
        hidden = input.flatten(1).float() * self._scale if input.dtype is torch.uint8 else input.flatten(1)
        for layer in self:
            hidden = layer(hidden)
        return hidden


def head(before: int, hidden: int | None, after: int, activation: Activation, gain: float) -> nn.Module:
    """A layer, with one of `hidden` numbers before it if asked for."""
    if hidden is None:
        return orthogonal(Linear(before, after), gain)
    return nn.Sequential(Layer(before, hidden, activation), orthogonal(Linear(hidden, after), gain))


@njit(cache=True, nogil=True)
def _used_width(rows: np.ndarray) -> int:
    """Length, at least 1, of the longest row of uint64 [n, words] when trailing words of 0xFF bytes are cut off."""
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    longest = 1
    for n in range(rows.shape[0]):
        end = rows.shape[1]
        while end > longest and rows[n, end - 1] == full:
            end -= 1
        longest = end
    return longest


def used_width(observations: Tensor) -> int:
    """Number of leading bytes, at least 8, of rows uint8 [n, width] after which all bytes are padding."""
    width = observations.shape[1]
    if observations.device.type != "cpu" or width % 8 or not observations.is_contiguous():
        return width
    return 8 * _used_width(observations.numpy().view(np.uint64))


class TokenMlp(nn.ModuleDict):
    """Two layers over the bytes of tokens [n, tokens, 3], as shares of 255 -> [n, hidden].

    Padding bytes are 1 after the division, so in training all columns that hold only padding add up to a second
    bias. Which ones do depends on the whole batch, and with them how sums round: not so when it plays.
    """

    def __init__(self, width: int, hidden: int) -> None:
        first = orthogonal(Linear(width, hidden), math.sqrt(2))
        super().__init__({"0": first, "2": orthogonal(Linear(hidden, hidden), math.sqrt(2))})

    def forward(self, observations: Tensor) -> Tensor:
        weight = self["0"].get_parameter("weight")
        rows = observations.flatten(1)
        used = used_width(rows) if self.training else rows.shape[1]
        bias = self["0"].get_parameter("bias") + weight[:, used:].sum(1)
        hidden = torch.relu_(linear(rows[:, :used].float(), weight[:, :used] * (1 / PADDING), bias))
        return self["2"](hidden)
