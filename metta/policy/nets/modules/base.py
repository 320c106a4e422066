"""What modules of components take and give, and the one contract for memory."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from metta.policy.nets.interface import State


class TokenBatch(NamedTuple):
    """Tokens that are there come first; what follows them in a row is padding (255)."""

    tokens: Tensor  # uint8 [n, tokens, 3]: place, feature, value
    padding: Tensor  # bool [n, tokens]


class FeatureBatch(NamedTuple):
    """Numbers of each token."""

    features: Tensor  # float [n, tokens, width]; any finite numbers where there is padding
    padding: Tensor  # bool [n, tokens]


class Memory(nn.Module, ABC):
    """What remembers. Only it knows what its state looks like: a tuple of tensors [batch, ...] of any type, which
    others keep, pick rows of (`part[rows]`), join, save and hand back. State is never part of the weights.

    A row whose episode has ended is given its initial state by `reset`, never by filling in zeros elsewhere.
    """

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """State at the start of episodes, on the module's device."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [batch, ...] -> output [batch, width] and the next state, in new tensors: the given ones stay."""

    @abstractmethod
    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        """A segment: x [time, batch, ...], state before it, resets bool [time, batch] -> output [time, batch, width].

        Equal to `step` after `step`, with `reset` where resets[t] is set before step t.
        """

    def reset(self, state: State, ended: Tensor) -> State:
        """The state with rows marked in bool [batch] as at the start of an episode, in new tensors."""
        return tuple(part.masked_fill(ended.view(-1, *[1] * (part.dim() - 1)), 0) for part in state)
