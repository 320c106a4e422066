"""A component of a user's own: `class=module.Class[,kw.name=value,…]` in place of its settings.

Only a person at the command line may name one, as with policies: naming it imports its module, from the working folder
too. The class is built as `Class(given, info, name=value, …)`, `given` being the Shape that it reads; it is an
nn.Module from [n, ...] to [n, width] that tells its `width`. One with `step` and `unroll` is a core
(metta.policy.nets.modules.base.Memory).
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from metta.common.errors import UserError, suggest
from metta.common.plain_yaml import load
from metta.common.settings import OnlyTyped
from metta.policy.hosted.by_class import CLASS, KEYWORD, told
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.shapes import Kind, Shape, Work

if TYPE_CHECKING:
    from torch import nn

    from metta.policy.interface import Info

FORM = "class=module.Class[,kw.name=value]"
_allowed: set[str] = set()  # classes that a person named, or whose bundle is trusted, in this process


class UserSettings(ComponentSettings):
    """A class of the user's own."""

    reads: ClassVar[tuple[Kind, ...]] = ("vector", "features", "tokens", "observations")

    kind: Literal["class"] = "class"
    path: Annotated[str, OnlyTyped()] = Field(max_length=200, description="module.Class")
    kw: dict[str, Any] = Field(default={}, max_length=64, description="arguments by name")

    def output(self, given: Shape, info: "Info") -> Shape:
        import torch

        with torch.device("meta"):
            width = getattr(self.build(given, info), "width", None)
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"{self.path} does not tell its width, the numbers that it gives")
        return Shape("vector", (width,))

    def build(self, given: Shape, info: "Info") -> "nn.Module":
        from torch import nn

        found = self._import()
        try:
            module = found(given, info, **self.kw)
        except Exception as error:  # whatever the user's class raises
            raise UserError(f"{self.path} cannot be built ({told(error)})") from error
        if not isinstance(module, nn.Module):
            raise UserError(f"{self.path} is no torch.nn.Module")
        return module

    def work(self, given: Shape, info: "Info") -> Work:
        """Unknown; the products of its parameters that are matrices."""
        import torch

        with torch.device("meta"):
            module = self.build(given, info)
        return Work(sum(2 * parameter.numel() for parameter in module.parameters() if parameter.dim() > 1))

    def _import(self) -> type:
        if self.path not in _allowed:
            raise UserError(f"{self.path} is code of its own; trust_code=true (cogames: --trust-code) imports it")
        module, _, name = self.path.rpartition(".")
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            found = getattr(import_module(module), name, None)
        except (Exception, SystemExit) as error:  # whatever the user's module raises
            raise UserError(f"cannot import {module} ({told(error)})") from error
        if not isinstance(found, type):
            known = [key for key, value in vars(sys.modules[module]).items() if isinstance(value, type)]
            raise UserError(f"{module} has no class {name}{suggest(name, known)}")
        return found


def allow(components: Mapping[str, ComponentSettings]) -> None:
    """Let the classes among components be imported: a person named them, or trusts who did."""
    _allowed.update(part.path for part in components.values() if isinstance(part, UserSettings))


def parse_user(text: str) -> dict[str, Any]:
    """Settings of the class that a text of the form names. Raise ValueError for a part of another form."""
    path, *parts = text.removeprefix(CLASS).split(",")
    if not text.startswith(CLASS) or "." not in path:
        raise ValueError(f"cannot read {text!r}: a component is a mapping with its kind, or {FORM}")
    words, others = {}, {}
    for part in parts:
        key, _, value = part.partition("=")
        if key.startswith(KEYWORD) and value:
            words[key.removeprefix(KEYWORD)] = load(value)
        elif key == "input" and value:
            others[key] = value
        else:
            raise ValueError(f"cannot read {part!r} in {text!r}; the form is {FORM}")
    return {"kind": "class", "path": path, "kw": words, **others}
