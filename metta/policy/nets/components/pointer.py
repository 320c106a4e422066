"""Attention over what a map tells."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.dense import needs_game
from metta.policy.nets.landmarks import FOUND, NUMBERS, slots_of
from metta.policy.nets.shapes import Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class PointerSettings(ComponentSettings):
    """Weighs what a map tells of each kind and owner by what else is known: attention, whose query is all that it reads
    before the last, `map_memory` of `read: ways` and `width: null`."""

    kind: Literal["pointer"] = "pointer"
    heads: int = Field(default=4, ge=1, le=64, description="choices at a time")

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        assert isinstance(info, EnvInfo)
        if self._query(given, info) < 1:
            told = slots_of(info) * NUMBERS
            raise ValueError(f"reads {given}; wants a query and then the {told} numbers of a map_memory of width null")
        return Shape("vector", (self.heads * NUMBERS,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.pointer import Pointer

        assert isinstance(info, EnvInfo)
        return Pointer(self._query(given, info), slots_of(info), NUMBERS, self.heads, FOUND)

    def work(self, given: Shape, info: "Info") -> Work:
        assert isinstance(info, EnvInfo)
        slots = slots_of(info)
        return Work(2 * self.heads * (self._query(given, info) * (slots + NUMBERS) + 2 * slots * NUMBERS))

    def _query(self, given: Shape, info: EnvInfo) -> int:
        """Numbers of the query."""
        return given.width - slots_of(info) * NUMBERS
