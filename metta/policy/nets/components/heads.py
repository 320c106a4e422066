"""Heads: what the trainer reads. Where `hidden` is left out they are one layer."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metta.policy.nets.components.base import ComponentSettings, Width
from metta.policy.nets.components.dense import Activation
from metta.policy.nets.shapes import Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


class HeadSettings(ComponentSettings):
    is_head: ClassVar[bool] = True
    gain: ClassVar[float] = 1.0  # of the last layer's weights

    hidden: Width | None = Field(default=None, description="numbers in a layer before the last; null: there is none")
    activation: Activation = Field(default="silu", description="what follows that layer")

    def width(self, info: "Info") -> int:
        return 1

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from metta.policy.nets.modules.dense import head

        return head(given.width, self.hidden, self.width(info), self.activation, self.gain)

    def work(self, given: Shape, info: "Info") -> Work:
        widths = [given.width, *([self.hidden] if self.hidden else []), self.width(info)]
        return Work(sum(2 * before * after for before, after in pairwise(widths)))


class ActorHeadSettings(HeadSettings):
    """Logits of the actions."""

    gain: ClassVar[float] = 0.01
    kind: Literal["actor_head"] = "actor_head"

    def width(self, info: "Info") -> int:
        return sum(info.action_sizes)

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("logits", (math.prod(info.action_sizes),))


class CriticSettings(HeadSettings):
    """The value of what is observed."""

    kind: Literal["critic"] = "critic"

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("value", (1,))


class GtdAuxSettings(HeadSettings):
    """What gradient TD corrects its bias by (`trainer.losses.ppo_critic.critic_update=gtd_lambda`); built only where
    that is on."""

    kind: Literal["gtd_aux"] = "gtd_aux"

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("auxiliary", (1,))
