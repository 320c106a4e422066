"""The state of an LSTM as `mettagrid`'s nets exchange it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

LSTMStateDict = dict[str, Tensor]
LSTMStateTuple = tuple[Tensor, Tensor]


@dataclass
class LSTMState:
    """Both float [layers, batch, size]."""

    hidden: Tensor
    cell: Tensor

    @classmethod
    def from_tuple(cls, state: LSTMStateTuple, expected_layers: int | None) -> "LSTMState":
        return cls(*(_layers_first(part, expected_layers) for part in state))

    @classmethod
    def from_dict(cls, state: LSTMStateDict, expected_layers: int | None) -> "LSTMState | None":
        """None where the state is not there yet."""
        hidden, cell = state.get("lstm_h"), state.get("lstm_c")
        return None if hidden is None or cell is None else cls.from_tuple((hidden, cell), expected_layers)

    @classmethod
    def from_any(cls, state: Any, expected_layers: int | None) -> "LSTMState | None":
        """Raises TypeError for a list, ValueError for another number of layers or of dimensions."""
        if state is None or isinstance(state, LSTMState):
            return state
        if isinstance(state, dict):
            return cls.from_dict(state, expected_layers)
        if isinstance(state, tuple):
            return cls.from_tuple(state, expected_layers)
        raise TypeError(f"an LSTM's state is a tuple or a dict, not {type(state)!r}")

    def to_tuple(self) -> LSTMStateTuple:
        return self.hidden, self.cell

    def write_dict(self, target: LSTMStateDict) -> None:
        """Replace the contents of a dict, batch first: [batch, layers, size]."""
        target.clear()
        for key, part in (("lstm_h", self.hidden), ("lstm_c", self.cell)):
            target[key] = part.transpose(0, 1).contiguous().detach()

    def detach(self) -> "LSTMState":
        return LSTMState(self.hidden.detach(), self.cell.detach())


def _layers_first(part: Tensor, layers: int | None) -> Tensor:
    if part.dim() > 3:
        raise ValueError(f"an LSTM's state has at most 3 dimensions, not {part.dim()}")
    part = part.reshape((1,) * (3 - part.dim()) + tuple(part.shape))
    if layers is not None and part.shape[0] != layers:
        if part.shape[1] != layers:
            raise ValueError(f"an LSTM's state has {part.shape[0]} layers, {layers} are expected")
        part = part.transpose(0, 1)
    return part.contiguous()
