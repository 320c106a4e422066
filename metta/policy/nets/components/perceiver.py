"""A few latents that attend over the tokens of an observation."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from metta.common.settings import SettingError
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class ObsPerceiverLatentSettings(ComponentSettings):
    """Latents attend over the features of tokens and are told as one vector."""

    reads: ClassVar[tuple[Kind, ...]] = ("features",)

    kind: Literal["obs_perceiver_latent"] = "obs_perceiver_latent"
    feat_dim: int | None = Field(default=None, ge=1, description="numbers of a token; null: as many as come")
    latent_dim: int = Field(default=128, ge=1, le=8_192, description="numbers of a latent, and of the vector")
    num_latents: int = Field(default=12, ge=1, le=1_024, description="latents")
    heads: int = Field(default=4, ge=1, description="heads of attention; they divide latent_dim")
    layers: int = Field(default=2, ge=1, le=64, description="layers of attention and MLP")
    mlp_ratio: float = Field(default=4.0, gt=0, le=64, description="width of an MLP as a multiple of latent_dim")
    pool: Literal["mean", "first"] = Field(default="mean", description="what is told: all latents' mean, or the first")

    @model_validator(mode="after")
    def _heads_divide(self) -> "ObsPerceiverLatentSettings":
        if self.latent_dim % self.heads:
            raise SettingError(
                f"heads={self.heads} does not divide latent_dim={self.latent_dim}", "heads", "latent_dim"
            )
        return self

    @property
    def hidden(self) -> int:
        """Width of an MLP."""
        return max(1, int(self.mlp_ratio * self.latent_dim))

    def output(self, given: Shape, info: "Info") -> Shape:
        if self.feat_dim not in (None, given.width):
            raise ValueError(f"feat_dim={self.feat_dim}, but the tokens have {given.width} numbers")
        return Shape("vector", (self.latent_dim,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.perceiver import Perceiver

        sizes = (given.width, self.latent_dim, self.num_latents, self.heads, self.layers, self.hidden)
        return Perceiver(*sizes, self.pool)

    def work(self, given: Shape, info: "Info") -> Work:
        """With keys and values of all tokens that there may be, and queries of each row."""
        tokens, width = given.sizes
        dim, count = self.latent_dim, self.num_latents
        projections = 2 * tokens * width * dim
        attention = 2 * count * tokens * dim + 2 * count * dim * dim
        mlp = 2 * count * dim * self.hidden
        return Work(2 * (projections + self.layers * (attention + mlp)))
