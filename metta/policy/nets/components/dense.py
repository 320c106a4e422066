"""Plain layers: one, several, and those over the raw bytes of the game's tokens."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info

Activation = Literal["none", "relu", "tanh", "silu", "gelu"]
Initial = Literal["orthogonal", "uniform"]


class LinearSettings(ComponentSettings):
    """One layer over a vector."""

    kind: Literal["linear"] = "linear"
    size: Width = Field(description="numbers that it gives")
    half: Literal["lower", "upper"] | None = Field(
        default=None, description="give half of `size`, rounded down (lower) or up (upper): two halves make the whole"
    )
    activation: Activation = Field(default="none", description="what follows the product")
    weights: Initial = Field(default="orthogonal", description="how weights are drawn; uniform: as torch does")

    @property
    def width(self) -> int:
        return {None: self.size, "lower": self.size // 2, "upper": self.size - self.size // 2}[self.half]

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("vector", (self.width,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.dense import Layer

        return Layer(given.width, self.width, self.activation, self.weights)

    def work(self, given: Shape, info: "Info") -> Work:
        return Work(2 * given.width * self.width)


class MlpSettings(ComponentSettings):
    """Layers, each with its activation, over a vector or over observations that are plain numbers (bytes as shares of
    255)."""

    reads: ClassVar[tuple[Kind, ...]] = ("vector", "observations")

    kind: Literal["mlp"] = "mlp"
    hidden: Width | Annotated[list[Width], Field(min_length=1, max_length=64)] = Field(
        description="numbers that a layer gives, or those of each layer"
    )
    layers: int = Field(default=1, ge=1, le=64, description="layers, where `hidden` is one number")
    activation: Activation = Field(default="tanh", description="what follows each product")

    @property
    def widths(self) -> list[int]:
        return self.hidden if isinstance(self.hidden, list) else [self.hidden] * self.layers

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("vector", (self.widths[-1],))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.dense import Mlp

        scale = 1 / 255 if given.kind == "observations" and info.observation_dtype == "uint8" else 1.0
        return Mlp([math.prod(given.sizes), *self.widths], self.activation, scale)

    def work(self, given: Shape, info: "Info") -> Work:
        widths = [math.prod(given.sizes), *self.widths]
        products = [2 * before * after for before, after in pairwise(widths)]
        return Work(sum(products), products[0] if given.kind == "observations" else 0)


class TokenMlpSettings(ComponentSettings):
    """Two layers over the game's tokens as 600 numbers: bytes as shares of 255, padding as 1."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["token_mlp"] = "token_mlp"
    hidden: Width = Field(default=128, description="numbers that each layer gives")

    def output(self, given: Shape, info: "Info") -> Shape:
        needs_game(info)
        return Shape("vector", (self.hidden,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.dense import TokenMlp

        return TokenMlp(math.prod(given.sizes), self.hidden)

    def work(self, given: Shape, info: "Info") -> Work:
        first = 2 * math.prod(given.sizes) * self.hidden
        return Work(first + 2 * self.hidden * self.hidden, first)


def needs_game(info: "Info") -> None:
    """Raise ValueError where observations are not the tokens of the game."""
    if not isinstance(info, EnvInfo):
        raise ValueError("reads the tokens of the game only; other environments need agent=mlp")
