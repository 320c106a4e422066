"""The small recurrent net: two linear layers over the raw tokens, then an LSTM."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.interface import NetHeads
from metta.policy.nets.actor_critic import ActorCritic
from metta.policy.nets.linear import Linear, linear, orthogonal

PADDING = 255


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


class LstmNet(ActorCritic):
    """600 bytes -> 128 -> 128 -> LSTM 128 -> heads; 226,310 parameters at five actions."""

    name = "lstm"

    def __init__(self, info: EnvInfo, heads: NetHeads = NetHeads(), hidden_size: int = 128) -> None:  # noqa: B008
        super().__init__(info, {"hidden_size": hidden_size}, heads)
        width = info.num_tokens * 3
        first = orthogonal(Linear(width, hidden_size), math.sqrt(2))
        second = orthogonal(Linear(hidden_size, hidden_size), math.sqrt(2))
        self._net = nn.ModuleDict({"0": first, "2": second})
        self.add_core(hidden_size)

    @classmethod
    def settings_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        first = shapes.get("_net.0.weight")
        return {"hidden_size": first[0]} if first else None

    def encode(self, observations: Tensor) -> Tensor:
        """Tokens [n, tokens, 3] as bytes / 255 -> [n, hidden].

        Padding bytes are 1 after the division, so in training all columns that hold only padding add up to a second
        bias. Which ones do depends on the whole batch, and with them how sums round: not so when it plays.
        """
        weight = self._net["0"].get_parameter("weight")
        rows = observations.flatten(1)
        used = used_width(rows) if self.training else rows.shape[1]
        bias = self._net["0"].get_parameter("bias") + weight[:, used:].sum(1)
        hidden = torch.relu_(linear(rows[:, :used].float(), weight[:, :used] * (1 / PADDING), bias))
        return self._net["2"](hidden)
