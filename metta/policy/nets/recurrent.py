"""LSTM over segments in which episodes may end."""

import torch
from torch import Tensor, nn

from metta.policy.interface import State
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.linear import linear


class SegmentLSTM(nn.LSTM, Memory):
    """One LSTM layer, time first, whose state is zeroed where an episode ended."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def initial_state(self, batch: int) -> State:
        zeros = self.get_parameter("bias_ih_l0").new_zeros(batch, self.hidden_size)
        return zeros, zeros.clone()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [batch, in] -> output [batch, hidden] and the next state."""
        # oneDNN's LSTM packs its weights anew in every call: for one step of few rows that takes most of the time.
        if not torch.is_grad_enabled() and x.device.type == "cpu" and len(x) < self.hidden_size:
            return self._cell(x, state)
        output, (hidden, cell) = self(x.unsqueeze(0), (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return output[0], (hidden[0], cell[0])

    def _cell(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The same step as plain products."""
        hidden, cell = state
        weight = self.get_parameter
        from_x = linear(x, weight("weight_ih_l0"), weight("bias_ih_l0"))
        gates = from_x.add_(linear(hidden, weight("weight_hh_l0"), weight("bias_hh_l0")))
        enter, keep, new, leave = gates.chunk(4, dim=1)
        cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        return hidden, (hidden, cell)

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        """x [time, batch, in], resets bool [time, batch] -> output [time, batch, hidden].

        The sequence is cut wherever any row resets, and runs whole between the cuts.
        """
        hidden, cell = state[0].unsqueeze(0), state[1].unsqueeze(0)
        cuts = resets.any(dim=1).nonzero().flatten().tolist()
        starts = sorted({0, *cuts})
        lengths = [end - start for start, end in zip(starts, [*starts[1:], len(x)], strict=True)]
        outputs = []
        for start, piece in zip(starts, x.split(lengths), strict=True):
            if start in cuts:
                ended = resets[start].view(1, -1, 1)
                hidden, cell = hidden.masked_fill(ended, 0), cell.masked_fill(ended, 0)
            output, (hidden, cell) = self(piece, (hidden, cell))
            outputs.append(output)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
