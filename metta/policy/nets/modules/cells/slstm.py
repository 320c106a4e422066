"""sLSTM: the LSTM of scalar memories with exponential gates (Beck et al. 2024, "xLSTM")."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.base import Cell, Product
from metta.policy.nets.modules.cells.conv import CausalConv
from metta.policy.nets.modules.cells.slstm_loop import LEAST, recur
from metta.policy.nets.modules.numeric import runs_compiled


class Slstm(Cell):
    """Nonlinear: its gates also see what it gave before, within each head.

    Input and forget gate read a causal convolution, the new value and the output gate the input itself.
    State: output, memory, normaliser and stabiliser [heads, head], and the convolution's.
    """

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.conv = CausalConv(width, kernel)
        # Within a head: input gate and forget gate; new value and output gate.
        self.gates = Product(width, 2 * width)
        self.values = Product(width, 2 * width)
        self.recurrent = nn.Parameter(torch.empty(heads, self.head, 4 * self.head))
        self.norm = nn.Parameter(torch.ones(heads, self.head))
        nn.init.normal_(self.recurrent, std=0.5 * self.head**-0.5)
        nn.init.zeros_(self.values.bias)
        with torch.no_grad():
            bias = torch.zeros(heads, 2, self.head)
            bias[:, 1] = torch.linspace(3, 6, self.head)  # so that it forgets slowly, each number at its rate
            self.gates.bias.copy_(bias.flatten())

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (*[(self.heads, self.head)] * 4, *self.conv.state_shapes())

    def run(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        *inner, seen = state
        near, conv_state = self.conv.run(x, (seen,), resets)
        gates = self.gates(nn.functional.silu(near)).float()
        values = self.values(x).float()
        with torch.autocast(x.device.type, enabled=False):
            loop = recur if runs_compiled(gates, values, *inner) else recur_by_steps
            outputs, inner = loop(gates, values, self.recurrent, tuple(inner), resets)
        outputs = nn.functional.layer_norm(outputs, (self.head,)) * self.norm
        return outputs.flatten(2), (*inner, *conv_state)


def recur_by_steps(
    gates: Tensor, values: Tensor, recurrent: Tensor, state: State, resets: Tensor
) -> tuple[Tensor, State]:
    """The recurrence in plain torch: gates, values [time, batch, 2 x width] -> outputs [time, batch, heads, head] and
    the state (output, memory, normaliser, stabiliser) after it."""
    heads, head = recurrent.shape[:2]
    given = torch.cat([gates.unflatten(-1, (heads, -1)), values.unflatten(-1, (heads, -1))], dim=-1)
    outputs = []
    for now, ended in zip(given, resets, strict=True):
        output, memory, normaliser, stabiliser = (part.masked_fill(ended.view(-1, 1, 1), 0) for part in state)
        fed_back = torch.bmm(output.transpose(0, 1), recurrent).transpose(0, 1)
        enter, keep, new, leave = (now + fed_back).split(head, dim=-1)
        kept = logsigmoid(keep) + stabiliser
        # Memory and normaliser are both divided by e^stabiliser: the output does not depend on it. It follows the
        # largest exponent, up to ln 2.
        stabiliser = torch.maximum(keep.clamp(max=0) + stabiliser, enter).detach()
        enter, keep = (enter - stabiliser).exp(), (kept - stabiliser).exp()
        memory = keep * memory + enter * new.tanh()
        normaliser = keep * normaliser + enter
        output = leave.sigmoid() * memory / normaliser.clamp(min=LEAST)
        state = output, memory, normaliser, stabiliser
        outputs.append(output)
    return torch.stack(outputs), state
