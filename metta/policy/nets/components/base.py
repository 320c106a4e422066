"""What every component of a policy has in its settings. No torch here: what is built is imported when it is built."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from metta.common.settings import Settings
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info


Width = Annotated[int, Field(ge=1, le=8_192)]  # numbers in a layer: no net is wider


class ComponentSettings(Settings, ABC):
    """One component: what it is built from, what it reads and what it gives.

    A subclass has a field `kind: Literal["name"] = "name"`, which picks it.
    """

    reads: ClassVar[tuple[Kind, ...]] = ("vector",)  # kinds of value that it takes
    is_head: ClassVar[bool] = False  # gives what the trainer reads: nothing else reads it

    input: str | list[str] | None = Field(
        default=None,
        description="component that it reads, or several whose vectors it reads side by side; `observations`: what the "
        "environment shows; default: the one before it that is no head",
    )
    enabled: bool = Field(default=True, description="false: left out; who reads it reads what it would have read")

    @property
    def kind_name(self) -> str:
        """What picks this model."""
        return type(self).model_fields["kind"].default

    @abstractmethod
    def output(self, given: Shape, info: "Info") -> Shape:
        """Shape of what it gives. Raise ValueError, saying what it got and what it wants, for one it cannot read."""

    def sides(self, given: Shape, info: "Info") -> dict[str, Shape]:
        """What it gives beside that, read as `name.side`; its module then returns all of it as a tuple."""
        return {}

    @abstractmethod
    def build(self, given: Shape, info: "Info") -> "nn.Module":
        """The module with fresh weights. It takes and gives values of these shapes, [n, ...]; one that remembers is a
        `Memory`."""

    @abstractmethod
    def work(self, given: Shape, info: "Info") -> Work:
        """Floating-point operations per agent-step."""
