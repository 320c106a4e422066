"""LSTM over segments in which episodes may end."""

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell
from metta.policy.nets.modules.linear import linear


class Lstm(nn.LSTM, Cell):
    """One LSTM layer, time first, whose state is zeroed where an episode ended. State: hidden and cell."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.hidden_size,), (self.hidden_size,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [batch, in] -> output [batch, hidden] and the next state."""
        # oneDNN's LSTM packs its weights anew in every call: for one step of few rows that takes most of the time.
        if not torch.is_grad_enabled() and x.device.type == "cpu" and len(x) < self.hidden_size:
            return self._cell(x.float(), state)
        output, state = self._whole(x.unsqueeze(0).float(), state)
        return output[0], state

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

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """x [time, batch, in], resets bool [time, batch] -> output [time, batch, hidden] and the state after it."""
        by_pieces = x.device.type == "cpu"
        with torch.autocast(x.device.type, enabled=False):
            return (self.run_by_pieces if by_pieces else self.run_by_steps)(x.float(), state, resets)

    def _whole(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.autocast(x.device.type, enabled=False):
            # As nn.LSTM does, whose own look-up of its weights is not safe where threads share a net.
            first = [part.unsqueeze(0) for part in state]
            output, hidden, cell = torch.lstm(x, first, self._weights(), True, 1, 0.0, self.training, False, False)
        return output, (hidden[0], cell[0])

    def _weights(self) -> list[Tensor]:
        return [self.get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def run_by_pieces(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """The sequence is cut wherever any row resets, and runs whole between the cuts: to find them the host waits for
        the device."""
        cuts = resets.any(dim=1).nonzero().flatten().tolist()
        starts = sorted({0, *cuts})
        lengths = [end - start for start, end in zip(starts, [*starts[1:], len(x)], strict=True)]
        outputs = []
        for start, piece in zip(starts, x.split(lengths), strict=True):
            if start in cuts:
                state = self.reset(state, resets[start])
            output, state = self._whole(piece, state)
            outputs.append(output)
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), state

    def run_by_steps(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """Step by step, which leaves the host free."""
        weights, outputs = self._weights(), []
        for now, ended in zip(x, resets, strict=True):
            hidden, cell = self.reset(state, ended)
            state = torch.lstm_cell(now, [hidden, cell], *weights)
            outputs.append(state[0])
        return torch.stack(outputs), state
