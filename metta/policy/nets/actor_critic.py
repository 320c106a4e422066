"""What the recurrent nets share: an encoder of their own, then LSTM and heads."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from metta.policy.interface import NetOutput, PolicyNet, State
from metta.policy.nets.linear import Linear, orthogonal
from metta.policy.nets.recurrent import SegmentLSTM


class LstmActorCritic(PolicyNet):
    """Encoder -> LSTM -> action, value and, if asked for, auxiliary head."""

    @abstractmethod
    def encode(self, observations: Tensor) -> Tensor:
        """Tokens uint8 [n, tokens, 3] -> [n, hidden]."""

    def add_core(self, hidden_size: int) -> None:
        """Build LSTM and heads; called once the encoder is built, so that weights are drawn in that order."""
        self._rnn = SegmentLSTM(hidden_size, hidden_size)
        self._action_head = orthogonal(Linear(hidden_size, len(self.info.action_names)), 0.01)
        self._value_head = orthogonal(Linear(hidden_size, 1), 1.0)
        self._aux_head = orthogonal(Linear(hidden_size, 1), 1.0) if self.heads.auxiliary else None

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
        return self._decode(hidden.flatten(0, 1)).unflatten(time, batch)

    def _decode(self, hidden: Tensor) -> NetOutput:
        auxiliary = None if self._aux_head is None else self._aux_head(hidden).squeeze(-1)
        return NetOutput(self._action_head(hidden), self._value_head(hidden).squeeze(-1), auxiliary)
