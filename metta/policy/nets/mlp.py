"""The net for observations that are plain numbers: layers of equal width, and a memory if asked for."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from metta.policy.interface import Info, NetHeads
from metta.policy.nets.actor_critic import ActorCritic
from metta.policy.nets.linear import Linear, orthogonal

BYTE = 255


class MlpNet(ActorCritic):
    """Observations of any shape, flattened (bytes as shares of 255) -> tanh layers -> LSTM with `memory` -> heads."""

    name = "mlp"
    any_space = True

    def __init__(
        self,
        info: Info,
        heads: NetHeads = NetHeads(),  # noqa: B008
        hidden_size: int = 64,
        layers: int = 2,
        memory: bool = False,
    ) -> None:
        super().__init__(info, {"hidden_size": hidden_size, "layers": layers, "memory": memory}, heads)
        widths = [math.prod(info.observation_shape), *[hidden_size] * layers]
        gain = math.sqrt(2)
        self._layers = nn.ModuleList(orthogonal(Linear(*pair), gain) for pair in pairwise(widths))
        self._scale = 1 / BYTE if info.observation_dtype == "uint8" else 1.0
        self.add_core(hidden_size, memory)

    @classmethod
    def settings_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        layers = [shape for name, shape in shapes.items() if name.startswith("_layers.") and name.endswith(".weight")]
        if not all(layers) or not layers:
            return None
        return {"hidden_size": layers[0][0], "layers": len(layers), "memory": "_rnn.weight_ih_l0" in shapes}

    def encode(self, observations: Tensor) -> Tensor:
        """Observations [n, ...] -> [n, hidden]."""
        hidden = observations.flatten(1).float() * self._scale
        for layer in self._layers:
            hidden = torch.tanh(layer(hidden))
        return hidden
