"""The small recurrent net: two linear layers over the raw tokens, then an LSTM."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.interface import NetHeads, NetOutput, PolicyNet, State
from metta.policy.nets.linear import Linear, linear, orthogonal
from metta.policy.nets.recurrent import SegmentLSTM

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


class LstmNet(PolicyNet):
    """600 bytes -> 128 -> 128 -> LSTM 128 -> heads; 226,310 parameters at five actions."""

    name = "lstm"

    def __init__(self, info: EnvInfo, heads: NetHeads = NetHeads(), hidden_size: int = 128) -> None:  # noqa: B008
        super().__init__(info, {"hidden_size": hidden_size}, heads)
        width = info.num_tokens * 3
        first = orthogonal(Linear(width, hidden_size), math.sqrt(2))
        second = orthogonal(Linear(hidden_size, hidden_size), math.sqrt(2))
        self._net = nn.ModuleDict({"0": first, "2": second})
        self._rnn = SegmentLSTM(hidden_size, hidden_size)
        self._action_head = orthogonal(Linear(hidden_size, len(info.action_names)), 0.01)
        self._value_head = orthogonal(Linear(hidden_size, 1), 1.0)
        self._aux_head = orthogonal(Linear(hidden_size, 1), 1.0) if heads.auxiliary else None

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        return () if self._aux_head is None else self._aux_head.parameters()

    def initial_state(self, batch: int) -> State:
        return self._rnn.initial_state(batch)

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        hidden, state = self._rnn.step(self.encode(observations), state)
        return self._decode(hidden), state

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        time, batch = observations.shape[:2]
        encoded = self.encode(observations.flatten(0, 1))
        hidden = self._rnn.unroll(encoded.view(time, batch, -1), state, resets)
        output = self._decode(hidden.flatten(0, 1))
        return output.unflatten(time, batch)

    def encode(self, observations: Tensor) -> Tensor:
        """Tokens [n, tokens, 3] as bytes / 255 -> [n, hidden].

        Padding bytes are 1 after the division, so all columns that hold only padding add up to a second bias.
        """
        weight = self._net["0"].get_parameter("weight")
        rows = observations.flatten(1)
        used = used_width(rows)
        bias = self._net["0"].get_parameter("bias") + weight[:, used:].sum(1)
        hidden = torch.relu_(linear(rows[:, :used].float(), weight[:, :used] * (1 / PADDING), bias))
        return self._net["2"](hidden)

    def _decode(self, hidden: Tensor) -> NetOutput:
        auxiliary = None if self._aux_head is None else self._aux_head(hidden).squeeze(-1)
        return NetOutput(self._action_head(hidden), self._value_head(hidden).squeeze(-1), auxiliary)
