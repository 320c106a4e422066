"""A memory that is a map."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.landmarks import NUMBERS, slots_of
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class MapMemorySettings(ComponentSettings):
    """Remembers what the agent saw where, and tells the ways to the nearest thing of each kind and owner and to the
    nearest cell never seen. State: 2 bytes for each of side x side cells."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["map_memory"] = "map_memory"
    width: int = Field(default=128, gt=0, description="numbers that it gives")
    side: Literal[64, 128, 256] = Field(
        default=128, description="cells of the map's sides; a larger world is drawn over what lies as far away"
    )
    reach: int = Field(default=64, gt=0, le=1000, description="steps up to which ways are looked for")
    forget: int = Field(default=1000, gt=0, le=100_000, description="steps after which a cell is unknown again")

    def output(self, given: Shape, info: "Info") -> Shape:
        if not isinstance(info, EnvInfo):
            raise ValueError(f"reads the tokens of the game only, not {given}")
        return Shape("vector", (self.width,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.map_memory import MapMemory

        assert isinstance(info, EnvInfo)
        return MapMemory(info, self.width, self.side, self.reach, self.forget)

    def work(self, given: Shape, info: "Info") -> Work:
        assert isinstance(info, EnvInfo)
        product = 2 * slots_of(info) * NUMBERS * self.width
        return Work(product, product)
