"""A memory that is a map."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.components.dense import needs_game
from metta.policy.nets.landmarks import FEATURES, MOST_SLOTS, NUMBERS, SHARES, code_bytes, kinds_of, slots_of
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


NEAR = 21  # cells around the agent of which each is read alone
FAR = 16  # patches of a side that make up the whole map


class MapMemorySettings(ComponentSettings):
    """Remembers what the agent saw where. `read: ways` tells the ways to the nearest thing of each kind and owner and
    to the nearest cell never seen: a search compiled for the CPU. `read: convolution` learns to read the map around
    the agent, 21 x 21 cells and 16 x 16 patches of the whole, and works on a GPU as it does on the CPU. State: 2 bytes
    for each of side x side cells."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["map_memory"] = "map_memory"
    width: Width | None = Field(
        default=128, description="numbers that it gives; null, of ways alone: what the search tells, as `pointer` reads"
    )
    side: Literal[64, 128, 256] = Field(
        default=128, description="cells of the map's sides; a larger world is drawn over what lies as far away"
    )
    read: Literal["ways", "convolution"] = Field(
        default="ways", description="how the map is read: `ways` or `convolution`"
    )
    reach: int = Field(default=64, gt=0, le=1000, description="ways: steps up to which they are looked for")
    forget: int = Field(default=1000, gt=0, le=100_000, description="steps after which a cell is unknown again")
    embedding: Width = Field(default=8, description="convolution: numbers that a table tells of each kind and owner")
    channels: Annotated[list[Width], Field(min_length=2, max_length=2)] = Field(
        default=[16, 32], description="convolution: planes that each of its two layers gives"
    )

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        assert isinstance(info, EnvInfo)
        if missing := [name for name in FEATURES if name not in {feature.name for feature in info.features}]:
            raise ValueError(f"reads features that are not there: {', '.join(missing)}")
        if slots_of(info) > MOST_SLOTS:
            raise ValueError(f"{len(kinds_of(info))} kinds of things are more than a byte tells apart by owner")
        if self.width is None and self.read != "ways":
            raise ValueError(f"read={self.read} gives numbers of its own: width says how many")
        return Shape("vector", (self.width or slots_of(info) * NUMBERS,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        assert isinstance(info, EnvInfo)
        if self.read == "ways":
            from metta.policy.nets.modules.map_memory import MapMemory

            return MapMemory(info, self.width, self.side, self.reach, self.forget)
        assert self.width is not None
        from metta.policy.nets.modules.map_convolution import MapConvolution

        scales = (NEAR, 1), (FAR, self.side // FAR)
        return MapConvolution(info, self.width, self.side, self.forget, scales, self.embedding, self.channels)

    def work(self, given: Shape, info: "Info") -> Work:
        assert isinstance(info, EnvInfo)
        if self.read == "ways":
            product = 2 * slots_of(info) * NUMBERS * (self.width or 0)
            return Work(product, product)
        assert self.width is not None
        near, far = self.channels
        first = total = 0
        for side in (NEAR, FAR):
            half, quarter = (-(-side // step) for step in (2, 4))  # convolutions have stride 2
            first += 2 * side**2 * (8 * code_bytes(info) + SHARES) * self.embedding
            total += 2 * 9 * self.embedding * near * half**2
            total += 2 * 9 * near * far * quarter**2 + 2 * far * quarter**2 * self.width
        return Work(first + total, first)
