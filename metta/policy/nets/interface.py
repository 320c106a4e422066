"""What a net is that the trainer trains: what it takes, what it gives, and its memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from metta.policy.interface import Info, NetHeads

# Recurrent state: tensors [batch, ...], one per kind of memory; () for a policy without memory.
State = tuple[Tensor, ...]


class NetOutput(NamedTuple):
    """Logits [..., actions], values [...] and, if the net has that head, the auxiliary values [...]."""

    logits: Tensor
    values: Tensor
    auxiliary: Tensor | None = None

    def unflatten(self, time: int, batch: int) -> "NetOutput":
        """From leading axis [time x batch] to [time, batch]."""
        auxiliary = None if self.auxiliary is None else self.auxiliary.unflatten(0, (time, batch))
        return NetOutput(self.logits.unflatten(0, (time, batch)), self.values.unflatten(0, (time, batch)), auxiliary)


class PolicyNet(nn.Module, ABC):
    """A trainable policy. Observations [..., tokens, 3] are uint8 tokens, or what another environment shows.

    Time comes first in sequences because that is how environments write and how recurrent kernels read: no copy on
    either side. What its state looks like only the net knows; it is never part of the weights.
    """

    name: str  # for people

    def __init__(self, info: Info, heads: NetHeads) -> None:
        super().__init__()
        self.info = info
        self.heads = heads

    @abstractmethod
    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the auxiliary head; none without it."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """State at the start of an episode, on the net's device."""

    @abstractmethod
    def reset(self, state: State, ended: Tensor) -> State:
        """The state with rows marked in bool [batch] as at the start of an episode, in new tensors."""

    @abstractmethod
    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        """One step: observations [batch, tokens, 3] -> output [batch, ...] and the next state."""

    @abstractmethod
    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        """A segment: observations [time, batch, tokens, 3], state before it, resets bool [time, batch] -> output.

        Where resets[t] is set, an episode ended before step t and the state is reset there.
        """
