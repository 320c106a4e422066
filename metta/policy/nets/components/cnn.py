"""The tutorials' convolutions over the window's cells."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.components.dense import needs_game
from metta.policy.nets.recoding import Inputs, recoding
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class CnnSettings(ComponentSettings):
    """Tokens on a grid of cells, a plane for each feature, and two convolutions of 3 x 3 and stride 2; `center` is the
    agent's own cell. `inputs: kinds` recodes tokens first (metta.policy.nets.recoding), which learns faster; `members`
    tells agents apart too, whose teacher has given them different roles."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["cnn"] = "cnn"
    channels: Annotated[list[Width], Field(min_length=2, max_length=2)] = Field(
        default=[64, 128], description="planes that each convolution gives"
    )
    inputs: Inputs = Field(
        default="scaled",
        description="token values as fractions, a plane per kind and logarithms, or that with a plane per agent too",
    )

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        assert isinstance(info, EnvInfo)
        return Shape("vector", (self.channels[1] * math.prod((side + 3) // 4 for side in info.window),))

    def sides(self, given: Shape, info: "Info") -> dict[str, Shape]:
        return {"center": Shape("vector", (self._planes(info),))}

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.cnn import TokenCnn

        assert isinstance(info, EnvInfo)
        return TokenCnn(info, self._planes(info), self.channels, self.inputs)

    def work(self, given: Shape, info: "Info") -> Work:
        assert isinstance(info, EnvInfo)
        near, far = (math.prod((side + step - 1) // step for side in info.window) for step in (2, 4))
        first = 2 * 9 * self._planes(info) * self.channels[0] * near
        return Work(first + 2 * 9 * self.channels[0] * self.channels[1] * far, first)

    def _planes(self, info: "Info") -> int:
        assert isinstance(info, EnvInfo)
        if self.inputs == "scaled":
            return max(feature.id for feature in info.features) + 1
        return recoding(info, self.inputs == "members")[1]
