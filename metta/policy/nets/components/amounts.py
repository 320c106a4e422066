"""What an agent has."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.components.dense import needs_game
from metta.policy.nets.recoding import TOLD, amounts_of
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class AmountsSettings(ComponentSettings):
    """A layer over what the agent carries, what its team has and how late it is: of each amount its logarithm, its
    hundredth, and whether it reaches 1, 2, 3, 4, 6, 8, 10, 15, …, 300, which makes thresholds easy to learn."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["amounts"] = "amounts"
    width: Width = Field(default=128, description="numbers that it gives")

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        return Shape("vector", (self.width,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.amounts import Amounts

        assert isinstance(info, EnvInfo)
        return Amounts(info, self.width)

    def work(self, given: Shape, info: "Info") -> Work:
        assert isinstance(info, EnvInfo)
        product = 2 * len(amounts_of(info)) * TOLD * self.width
        return Work(product, product)
