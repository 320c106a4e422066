"""Nets for tests."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metta.policy.interface import Info, NetHeads
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.modules.token_conv import EMPTY
from metta.policy.nets.net import ComponentNet


def build_net(name: str, settings: Mapping[str, Any], info: Info, heads: NetHeads = NetHeads()) -> ComponentNet:  # noqa: B008
    """The net of a preset with some of its knobs turned, and fresh weights."""
    return ComponentNet(info, AgentSettings(name=name, **settings).components, heads, name)


def tokens_to_grid(tokens: Tensor, scales: Tensor, planes: int, window: tuple[int, int]) -> Tensor:
    """Tokens uint8 [n, tokens, 3] -> float32 [n, planes, height, width]; equal cells and features add up."""
    height, width = window
    place, feature = tokens[..., 0].long(), tokens[..., 1].long()
    x, y = (place & 15).clamp_(max=width - 1), (place >> 4).clamp_(max=height - 1)
    values = tokens[..., 2].float() / (scales[feature] + 1e-6) * (place != EMPTY)
    cells = (feature.clamp(max=planes - 1) * height + y) * width + x
    grid = values.new_zeros(len(tokens), planes * height * width)
    return grid.scatter_add_(1, cells, values).view(-1, planes, height, width)
