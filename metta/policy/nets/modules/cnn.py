"""The tutorials' convolutions, over tokens: no dense grid is built."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.nets.modules.token_conv import feature_scales, token_conv
from metta.policy.nets.recoding import GLOBAL, PLANES, Inputs, recoding


class TokenCnn(nn.ModuleDict):
    """Tokens [n, tokens, 3] -> two convolutions, flat [n, width], and the window's middle cell [n, planes]."""

    scales: Tensor  # float32 [256]: what a token's value is divided by
    _recoding: Tensor | None

    def __init__(self, info: EnvInfo, planes: int, channels: Sequence[int], inputs: Inputs) -> None:
        near = nn.Conv2d(planes, channels[0], kernel_size=3, stride=2, padding=1)
        far = nn.Conv2d(channels[0], channels[1], kernel_size=3, stride=2, padding=1)
        super().__init__({"0": near, "2": far})
        self._window = info.window
        table = None if inputs == "scaled" else torch.from_numpy(recoding(info, inputs == "members")[0])
        self.register_buffer("_recoding", table, persistent=False)
        scales = feature_scales(info) if table is None else torch.full((PLANES,), 255.0)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        near = self["0"]
        weight, bias = near.get_parameter("weight"), near.get_parameter("bias")
        if self._recoding is not None:
            observations = recode(observations, self._recoding, self._window)
        grid, center = token_conv(observations, weight, bias, self.scales, self._window)
        return torch.relu_(self["2"](grid)).flatten(1), center


def recode(tokens: Tensor, table: Tensor, window: tuple[int, int]) -> Tensor:
    """Tokens uint8 [n, tokens, 3] by `recoding`; those of no place move to the agent's own cell."""
    middle = (window[0] // 2) << 4 | (window[1] // 2)
    places = tokens[..., :1]
    places = torch.where(places == GLOBAL, torch.full_like(places, middle), places)
    found = table[tokens[..., 1].int() * 256 + tokens[..., 2].int()]
    return torch.cat([places, found], dim=-1)
