"""What the nets share: behind an encoder of their own an LSTM, if they remember, and heads."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from metta.policy.interface import NetOutput, PolicyNet, State
from metta.policy.nets.linear import Linear, orthogonal
from metta.policy.nets.recurrent import SegmentLSTM


class ActorCritic(PolicyNet):
    """Encoder -> LSTM, if any -> action, value and, if asked for, auxiliary head."""

    @abstractmethod
    def encode(self, observations: Tensor) -> Tensor:
        """Observations [n, ...] -> [n, hidden]."""

    def add_core(self, hidden_size: int, memory: bool = True) -> None:
        """Build LSTM and heads; called once the encoder is built, so that weights are drawn in that order."""
        self._rnn = SegmentLSTM(hidden_size, hidden_size) if memory else None
        self._action_head = orthogonal(Linear(hidden_size, sum(self.info.action_sizes)), 0.01)
        self._value_head = orthogonal(Linear(hidden_size, 1), 1.0)
        self._aux_head = orthogonal(Linear(hidden_size, 1), 1.0) if self.heads.auxiliary else None

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        return () if self._aux_head is None else self._aux_head.parameters()

    def initial_state(self, batch: int) -> State:
        return () if self._rnn is None else self._rnn.initial_state(batch)

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        hidden = self.encode(observations)
        if self._rnn is not None:
            hidden, state = self._rnn.step(hidden, state)
        return self._decode(hidden), state

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        time, batch = observations.shape[:2]
        hidden = self.encode(observations.flatten(0, 1))
        if self._rnn is not None:
            hidden = self._rnn.unroll(hidden.view(time, batch, -1), state, resets).flatten(0, 1)
        return self._decode(hidden).unflatten(time, batch)

    def _decode(self, hidden: Tensor) -> NetOutput:
        auxiliary = None if self._aux_head is None else self._aux_head(hidden).squeeze(-1)
        logits = joint_logits(self._action_head(hidden), self.info.action_sizes)
        return NetOutput(logits, self._value_head(hidden).squeeze(-1), auxiliary)


def joint_logits(logits: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Logits of independent components [n, sum of sizes] -> of their combinations [n, product of sizes]."""
    first, *others = logits.split(sizes, dim=-1)
    for part in others:
        first = (first.unsqueeze(-1) + part.unsqueeze(-2)).flatten(-2)
    return first
