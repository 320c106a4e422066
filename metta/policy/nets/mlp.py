"""The net for observations that are plain numbers: layers of equal width, and a memory if asked for."""

import math
from itertools import pairwise

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

    def encode(self, observations: Tensor) -> Tensor:
        """Observations [n, ...] -> [n, hidden]."""
        hidden = observations.flatten(1).float() * self._scale
        for layer in self._layers:
            hidden = torch.tanh(layer(hidden))
        return hidden
