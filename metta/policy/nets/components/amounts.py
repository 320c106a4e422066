"""What an agent has."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.components.dense import needs_game
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info

TOLD = 19  # numbers of each amount
NAMED = ("inv:", "episode_completion_pct")


class AmountsSettings(ComponentSettings):
    """A layer over what the agent carries, what its team has and how late it is: of each amount its logarithm, a
    hundredth of it, and whether it reaches 1, 2, 3, 4, 6, 8, 10, 15, …, 300."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["amounts"] = "amounts"
    width: Width = Field(default=128, description="numbers that it gives")

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        return Shape("vector", (self.width,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.amounts import Amounts

        return Amounts(info, _names(info), self.width)

    def work(self, given: Shape, info: "Info") -> Work:
        product = 2 * len(_names(info)) * TOLD * self.width
        return Work(product, product)


def _names(info: "Info") -> list[str]:
    """Features whose amounts are told; a high byte belongs to the feature before it."""
    assert isinstance(info, EnvInfo)
    names = [feature.name for feature in info.features if feature.name.startswith(NAMED)]
    return [name for name in names if not name.endswith(":p1")]
