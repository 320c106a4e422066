"""What an agent carries, what its team has and how late it is, told so that thresholds are easy to learn."""

import torch
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.nets.modules.linear import Linear
from metta.policy.nets.recoding import GLOBAL, HIGH, STEPS, TOLD, amounts_of


class Amounts(nn.Module):
    """Tokens of the game [n, tokens, 3] -> [n, width]: a layer over what is told of each amount."""

    _places: Tensor  # int64 [256]: where a feature's amount is kept; past the end where it is none
    _worth: Tensor  # float32 [256]: what one of a feature's value counts
    _steps: Tensor  # float32 [steps]

    def __init__(self, info: EnvInfo, width: int) -> None:
        super().__init__()
        names = amounts_of(info)
        self._count, self._middle = len(names), info.window[0] // 2 << 4 | info.window[1] // 2
        places, worth = torch.full((256,), len(names)), torch.ones(256)
        for feature in info.features:
            if (name := feature.name.removesuffix(HIGH)) in names:
                places[feature.id] = names.index(name)
                worth[feature.id] = 256.0 if feature.name.endswith(HIGH) else 1.0
        for key, part in (("_places", places), ("_worth", worth), ("_steps", torch.tensor(STEPS, dtype=torch.float32))):
            self.register_buffer(key, part, persistent=False)
        self._layer = Linear(self._count * TOLD, width)

    def forward(self, observations: Tensor) -> Tensor:
        amounts = self.read(observations)
        reached = (amounts.unsqueeze(-1) >= self._steps).to(amounts.dtype).flatten(1)
        return torch.relu_(self._layer(torch.cat([amounts.log1p() / 6, amounts / 100, reached], dim=-1)))

    def read(self, observations: Tensor) -> Tensor:
        """The amounts themselves, float32 [n, amounts]: those at the agent's own place and at none."""
        place, feature = observations[..., 0], observations[..., 1].int()
        own = (place == self._middle) | (place == GLOBAL)
        kept = torch.where(own, self._places[feature], self._count)
        told = observations[..., 2] * self._worth[feature]
        return told.new_zeros(len(told), self._count + 1).scatter_add_(1, kept, told)[:, :-1]
