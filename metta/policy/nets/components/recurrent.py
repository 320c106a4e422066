"""Cores of one cell, without the blocks that `cortex` puts around each."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.shapes import Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class LstmSettings(ComponentSettings):
    """One LSTM layer."""

    kind: Literal["lstm"] = "lstm"
    size: Width = Field(default=128, description="units")

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("vector", (self.size,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.cells.lstm import Lstm

        return Lstm(given.width, self.size)

    def work(self, given: Shape, info: "Info") -> Work:
        return Work(2 * 4 * self.size * (given.width + self.size))


class MinGruSettings(ComponentSettings):
    """minGRU with a highway gate (Feng et al. 2024; PufferLib): gates see the input alone, so that all products of a
    segment are one. It is as wide as what it reads."""

    kind: Literal["mingru"] = "mingru"

    def output(self, given: Shape, info: "Info") -> Shape:
        return given

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.cells.mingru import MinGru

        return MinGru(given.width)

    def work(self, given: Shape, info: "Info") -> Work:
        return Work(2 * 3 * given.width * given.width)
