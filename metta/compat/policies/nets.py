"""`lstm` and `stateless` of `mettagrid`: small nets over the raw tokens, with the same names of weights.

What `cogames train -p lstm` saved there plays here, with its `policy_spec.json` as a bundle.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metta.compat.environment import PolicyEnvInterface
from metta.compat.lstm_state import LSTMState
from metta.compat.observation import NOTHING, Action, AgentObservation
from metta.compat.policies.with_net import WithNet, drawn, tokens_of
from metta.compat.policy import AgentPolicy, StatefulAgentPolicy, StatefulPolicyImpl

WIDTH = 128


def _encoder(shape: tuple[int, ...]) -> nn.Sequential:
    """Two layers over all bytes of the tokens, orthogonal to begin with."""
    layers = nn.Linear(int(np.prod(shape)), WIDTH), nn.Linear(WIDTH, WIDTH)
    for layer in layers:
        nn.init.orthogonal_(layer.weight, 2**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def obs_to_obs_tensor(obs: AgentObservation, obs_shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Tokens of an agent as a batch of one, uint8 [1, *obs_shape]; what is missing is (255, 0, 0)."""
    return tokens_of(obs, obs_shape, [NOTHING, 0, 0]).to(device)


class LSTMPolicyNet(nn.Module):
    """Tokens [batch, 200, 3] or [segments, time, 200, 3] -> logits [rows, moves] and values [rows, 1]."""

    def __init__(self, policy_env_info: PolicyEnvInterface) -> None:
        super().__init__()
        self.hidden_size, self._size = WIDTH, int(np.prod(policy_env_info.observation_shape))
        self._net = _encoder(policy_env_info.observation_shape)
        self._rnn = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self._action_head = nn.Linear(WIDTH, len(policy_env_info.action_names))
        self._value_head = nn.Linear(WIDTH, 1)

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """`state`: None, an LSTMState, a tuple, or a dict whose "lstm_h" and "lstm_c" are replaced."""
        segments = len(observations)
        flat = observations.reshape(-1, self._size).float()
        if flat.max() > 1:
            flat = flat / 255
        before = _before(state)
        hidden, after = self._rnn(self._net(flat).reshape(segments, -1, WIDTH), before)
        if isinstance(state, dict) and "lstm_h" in state:
            state["lstm_h"], state["lstm_c"] = (part.transpose(0, 1) for part in after)
        rows = hidden.reshape(-1, WIDTH)
        return self._action_head(rows), self._value_head(rows)

    forward_eval = forward


def _before(state: Any) -> tuple[Tensor, Tensor] | None:
    """Both [1, batch, size]; in a dict of three dimensions they come batch first."""
    if isinstance(state, dict):
        state = state.get("lstm_h"), state.get("lstm_c")
        state = tuple(part.transpose(0, 1) if part is not None and part.dim() == 3 else part for part in state)
    hidden, cell = state.to_tuple() if isinstance(state, LSTMState) else state or (None, None)
    if hidden is None or cell is None:
        return None
    return hidden.reshape(1, -1, WIDTH).contiguous(), cell.reshape(1, -1, WIDTH).contiguous()


class LSTMAgentPolicy(StatefulPolicyImpl[LSTMState]):
    """Draws an action from the network's distribution."""

    def __init__(self, net: LSTMPolicyNet, device: torch.device, policy_env_info: PolicyEnvInterface) -> None:
        self._net, self._device, self._policy_env_info = net, device, policy_env_info

    def initial_agent_state(self) -> LSTMState:
        return LSTMState(*torch.zeros(2, 1, WIDTH, device=self._device))

    def step_with_state(self, obs: AgentObservation, state: LSTMState) -> tuple[Action, LSTMState]:
        tokens = obs_to_obs_tensor(obs, self._policy_env_info.observation_shape, self._device)
        memory = {"lstm_h": state.hidden, "lstm_c": state.cell}
        with torch.no_grad():
            logits, _ = self._net(tokens, memory)
        return drawn(logits, self._policy_env_info), LSTMState.from_tuple((memory["lstm_h"], memory["lstm_c"]), 1)


class StatelessPolicyNet(nn.Module):
    """Tokens [batch, 200, 3] -> logits [batch, moves] and values [batch, 1]."""

    def __init__(self, num_actions: int, obs_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden_size, self.num_actions = WIDTH, num_actions
        self.net = _encoder(obs_shape)
        self.action_head = nn.Linear(WIDTH, num_actions)
        self.value_head = nn.Linear(WIDTH, 1)

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        hidden = self.net(observations.reshape(len(observations), -1).float() / 255)
        return self.action_head(hidden), self.value_head(hidden)

    forward_eval = forward


class StatelessAgentPolicyImpl(AgentPolicy):
    """Draws an action from the network's distribution."""

    def __init__(self, net: StatelessPolicyNet, device: torch.device, policy_env_info: PolicyEnvInterface) -> None:
        super().__init__(policy_env_info)
        self._net, self._device = net, device

    def step(self, obs: AgentObservation | np.ndarray) -> Action:
        """Of tokens as objects, or as an array uint8 [200, 3]."""
        info = self._policy_env_info
        whole = isinstance(obs, np.ndarray)
        seen = torch.from_numpy(obs)[None] if whole else tokens_of(obs, info.observation_shape, NOTHING)
        with torch.no_grad():
            logits, _ = self._net(seen.to(self._device))
        return drawn(logits, info)


class LSTMPolicy(WithNet[LSTMPolicyNet]):
    __module__ = "mettagrid.policy.lstm"
    short_names = ["lstm"]

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu") -> None:
        super().__init__(policy_env_info, device)
        self._net = LSTMPolicyNet(policy_env_info).to(self._device)
        self._agent_policy = LSTMAgentPolicy(self._net, self._device, policy_env_info)

    def is_recurrent(self) -> bool:
        return True

    def agent_policy(self, agent_id: int) -> StatefulAgentPolicy[LSTMState]:
        return StatefulAgentPolicy(self._agent_policy, self._policy_env_info, agent_id=agent_id)


class StatelessPolicy(WithNet[StatelessPolicyNet]):
    __module__ = "mettagrid.policy.stateless"
    short_names = ["stateless"]

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str | torch.device | None = None) -> None:
        super().__init__(policy_env_info, device)
        moves = len(policy_env_info.action_names)
        self._net = StatelessPolicyNet(moves, policy_env_info.observation_shape).to(self._device)

    def is_recurrent(self) -> bool:
        return False

    def agent_policy(self, agent_id: int) -> StatelessAgentPolicyImpl:
        return StatelessAgentPolicyImpl(self._net, self._device, self._policy_env_info)
