"""The CNN + LSTM net of the tutorials."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.interface import NetHeads
from metta.policy.nets.actor_critic import ActorCritic
from metta.policy.nets.linear import Linear
from metta.policy.nets.recode import PLANES, recode, recoding
from metta.policy.nets.tokens import feature_scales, token_conv


class TutorialNet(ActorCritic):
    """Tokens on a grid -> two convolutions and a linear layer, beside the middle cell's own layer -> LSTM -> heads.

    2,538,566 parameters at 78 features and five actions. Parameters have the names and shapes of the tutorials' net.
    With `inputs="kinds"` tokens are recoded first (`metta.policy.nets.recode`), which learns faster.
    """

    name = "tutorial"
    _feature_scale: Tensor
    _recoding: Tensor | None

    def __init__(
        self,
        info: EnvInfo,
        heads: NetHeads = NetHeads(),  # noqa: B008
        hidden_size: int = 512,
        channels: tuple[int, int] = (64, 128),
        inputs: Literal["scaled", "kinds"] = "scaled",
    ) -> None:
        settings = {"hidden_size": hidden_size, "channels": list(channels), "inputs": inputs}
        super().__init__(info, settings, heads)
        self._window = info.window
        planes, scales, table = max(feature.id for feature in info.features) + 1, feature_scales(info), None
        if inputs == "kinds":
            table, planes = recoding(info)
            scales = torch.full((PLANES,), 255.0)
        small = [(side + 3) // 4 for side in info.window]
        half = hidden_size // 2
        self.register_buffer("_feature_scale", scales)
        self.register_buffer("_recoding", table, persistent=False)
        near = nn.Conv2d(planes, channels[0], kernel_size=3, stride=2, padding=1)
        far = nn.Conv2d(channels[0], channels[1], kernel_size=3, stride=2, padding=1)
        self._cnn = nn.ModuleDict({"0": near, "2": far})
        self._cnn_fc = Linear(channels[1] * small[0] * small[1], half)
        self._self_encoder = Linear(planes, hidden_size - half)
        self.add_core(hidden_size)

    @classmethod
    def settings_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        near, far, memory = (shapes.get(name) for name in ("_cnn.0.weight", "_cnn.2.weight", "_rnn.weight_hh_l0"))
        if not (near and far and memory):
            return None
        return {"hidden_size": memory[-1], "channels": [near[0], far[0]], "inputs": "scaled"}

    def encode(self, observations: Tensor) -> Tensor:
        """Tokens [n, tokens, 3] -> [n, hidden]."""
        near = self._cnn["0"]
        weight, bias = near.get_parameter("weight"), near.get_parameter("bias")
        if self._recoding is not None:
            observations = recode(observations, self._recoding, self._window)
        grid, center = token_conv(observations, weight, bias, self._feature_scale, self._window)
        surroundings = self._cnn_fc(torch.relu_(self._cnn["2"](grid)).flatten(1))
        return torch.relu_(torch.cat([surroundings, self._self_encoder(center)], dim=-1))
