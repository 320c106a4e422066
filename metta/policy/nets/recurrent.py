"""LSTM over segments in which episodes may end."""

from torch import Tensor, cat, nn

from metta.policy.interface import State


class SegmentLSTM(nn.LSTM):
    """One LSTM layer, time first, whose state is zeroed where an episode ended."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def initial_state(self, batch: int) -> State:
        zeros = self.get_parameter("bias_ih_l0").new_zeros(batch, self.hidden_size)
        return zeros, zeros.clone()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [batch, in] -> output [batch, hidden] and the next state."""
        output, (hidden, cell) = self(x.unsqueeze(0), (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return output[0], (hidden[0], cell[0])

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
        return outputs[0] if len(outputs) == 1 else cat(outputs)
