"""`tutorial` of `cogames`: the network of its notebooks, a CNN and an LSTM, with the same names of weights."""

from typing import Any

import torch
from torch import Tensor, nn

from metta.compat.environment import PolicyEnvInterface
from metta.compat.lstm_state import LSTMState
from metta.compat.observation import NOTHING, Action, AgentObservation
from metta.compat.policies.with_net import WithNet, drawn, tokens_of
from metta.compat.policy import StatefulAgentPolicy, StatefulPolicyImpl
from metta.compat.tokens import coordinates

SCALES = 256  # entries of the table of normalizations


class TutorialPolicyNet(nn.Module):
    """Tokens [batch, 200, 3] or [segments, time, 200, 3] -> logits [rows, moves] and values [rows, 1]."""

    _feature_scale: Tensor

    def __init__(self, policy_env_info: PolicyEnvInterface) -> None:
        super().__init__()
        self.hidden_size = 512
        self._height, self._width = policy_env_info.egocentric_shape
        self._num_features = max((spec.id for spec in policy_env_info.obs_features), default=0) + 1
        scale = torch.ones(SCALES)
        for spec in policy_env_info.obs_features:
            scale[spec.id] = max(spec.normalization, 1.0)
        self.register_buffer("_feature_scale", scale)
        convolutions = (self._num_features, 64), (64, 128)
        layers = [[nn.Conv2d(*sizes, kernel_size=3, stride=2, padding=1), nn.ReLU()] for sizes in convolutions]
        self._cnn = nn.Sequential(*layers[0], *layers[1], nn.Flatten())
        seen = self._cnn(torch.zeros(1, self._num_features, self._height, self._width)).shape[1]
        self._cnn_fc = nn.Linear(seen, self.hidden_size // 2)
        self._self_encoder = nn.Linear(self._num_features, self.hidden_size // 2)
        self._rnn = nn.LSTM(self.hidden_size, self.hidden_size, batch_first=True)
        self._action_head = nn.Linear(self.hidden_size, len(policy_env_info.action_names))
        self._value_head = nn.Linear(self.hidden_size, 1)

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """`state`: None, an LSTMState, a tuple, or a dict whose "lstm_h" and "lstm_c" are replaced."""
        segments, time = (*observations.shape[:2],) if observations.dim() == 4 else (len(observations), 1)
        grid = self._grid(observations.reshape(segments * time, *observations.shape[-2:]))
        centre = grid[:, :, self._height // 2, self._width // 2]
        parts = torch.relu(self._cnn_fc(self._cnn(grid))), torch.relu(self._self_encoder(centre))
        hidden, after = self._rnn(torch.cat(parts, -1).reshape(segments, time, -1), self._before(state))
        if isinstance(state, dict) and "lstm_h" in state:
            state["lstm_h"], state["lstm_c"] = (part.transpose(0, 1) for part in after)
        rows = hidden.reshape(segments * time, -1)
        return self._action_head(rows), self._value_head(rows)

    forward_eval = forward

    def _before(self, state: Any) -> tuple[Tensor, Tensor] | None:
        """Both [layers, batch, size]; of three dimensions they come batch first."""
        if isinstance(state, dict):
            state = state.get("lstm_h"), state.get("lstm_c")
        if isinstance(state, LSTMState):
            state = state.to_tuple()
        if state is None or state[0] is None:
            return None
        hidden, cell = (
            part.transpose(0, 1) if part.dim() == 3 else part.reshape(1, -1, part.shape[-1]) for part in state
        )
        return hidden.contiguous(), cell.contiguous()

    def _grid(self, tokens: Tensor) -> Tensor:
        """Values summed by feature and cell, float [rows, features, height, width]."""
        cols, rows = coordinates(tokens, torch.long)
        ids = tokens[..., 1].long()
        values = tokens[..., 2].float() / (self._feature_scale[ids] + 1e-6) * (tokens[..., 0] != NOTHING)
        cell = ids.clamp(max=self._num_features - 1) * self._height + rows.clamp(max=self._height - 1)
        cell = cell * self._width + cols.clamp(max=self._width - 1)
        flat = values.new_zeros(len(tokens), self._num_features * self._height * self._width)
        return flat.scatter_add(1, cell, values).view(-1, self._num_features, self._height, self._width)


class TutorialAgentPolicy(StatefulPolicyImpl[LSTMState]):
    """Draws an action from the network's distribution."""

    def __init__(self, net: TutorialPolicyNet, device: torch.device, policy_env_info: PolicyEnvInterface) -> None:
        self._net, self._device, self._policy_env_info = net, device, policy_env_info

    def initial_agent_state(self) -> LSTMState:
        return LSTMState(*torch.zeros(2, 1, self._net.hidden_size, device=self._device))

    def step_with_state(self, obs: AgentObservation, state: LSTMState) -> tuple[Action, LSTMState]:
        tokens = tokens_of(obs, self._policy_env_info.observation_shape, NOTHING)
        memory = {"lstm_h": state.hidden, "lstm_c": state.cell}
        with torch.no_grad():
            logits, _ = self._net(tokens.to(self._device), memory)
        return drawn(logits, self._policy_env_info), LSTMState(memory["lstm_h"], memory["lstm_c"])


class TutorialPolicy(WithNet[TutorialPolicyNet]):
    __module__ = "cogames.policy.tutorial_policy"
    short_names = ["tutorial"]

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__(policy_env_info, device)
        self._net = TutorialPolicyNet(policy_env_info).to(self._device)
        self._core = TutorialAgentPolicy(self._net, self._device, policy_env_info)

    def is_recurrent(self) -> bool:
        return True

    def agent_policy(self, agent_id: int) -> StatefulAgentPolicy[LSTMState]:
        return StatefulAgentPolicy(self._core, self._policy_env_info, agent_id=agent_id)
