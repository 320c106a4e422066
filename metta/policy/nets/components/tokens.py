"""From the game's observations to tokens, and to numbers of each token."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metta.game.observation import EnvInfo
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class ObsShimTokensSettings(ComponentSettings):
    """Observations without their padding."""

    reads: ClassVar[tuple[Kind, ...]] = ("observations",)

    kind: Literal["obs_shim_tokens"] = "obs_shim_tokens"
    max_tokens: int = Field(
        default=128, ge=1, le=4_096, description="tokens of an observation that are read, the first"
    )

    def output(self, given: Shape, info: "Info") -> Shape:
        _game(info)
        return Shape("tokens", (min(self.max_tokens, given.sizes[0]),))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.tokens import TokenShim

        return TokenShim(self.max_tokens)

    def work(self, given: Shape, info: "Info") -> Work:
        return Work(0)


class ObsAttrEmbedFourierSettings(ComponentSettings):
    """Numbers of a token: its feature embedded, cosines and sines of its place, its value as a share of the usual."""

    reads: ClassVar[tuple[Kind, ...]] = ("tokens",)

    kind: Literal["obs_attr_embed_fourier"] = "obs_attr_embed_fourier"
    attr_embed_dim: int = Field(default=8, ge=1, le=256, description="numbers that a feature is embedded as")
    num_freqs: int = Field(default=3, ge=1, le=16, description="frequencies of a coordinate: 1, 2, 4, …")

    def output(self, given: Shape, info: "Info") -> Shape:
        _game(info)
        return Shape("features", (*given.sizes, self.attr_embed_dim + 4 * self.num_freqs + 1))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.tokens import TokenEmbed

        return TokenEmbed(_game(info), self.attr_embed_dim, self.num_freqs)

    def work(self, given: Shape, info: "Info") -> Work:
        return Work(0)


def _game(info: "Info") -> EnvInfo:
    """Raises ValueError where observations are not the tokens of the game."""
    if not isinstance(info, EnvInfo):
        shape = "x".join(map(str, info.observation_shape))
        raise ValueError(f"reads the tokens of the game, got observations {shape} {info.observation_dtype}")
    return info
