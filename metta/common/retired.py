"""The names of the retired packages `mettagrid` and `cogames`, for code that was written for them.

Python looks for a module in the places of `sys.meta_path` in turn. Ours is the last: where the real packages are
installed it is never asked.
"""

import sys
import typing
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGES = ("mettagrid", "cogames")


class RetiredNames:
    """Asks `metta.compat.finder` for modules of the retired packages, and only then has it imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        return import_module("metta.compat.finder").find_spec(fullname)


def offer_retired_names() -> None:
    """From now on, `import mettagrid` and `import cogames` find our names where the packages are not installed.

    They were for Python 3.12, whose `typing.override` is added where it is missing.
    """
    if not hasattr(typing, "override"):
        typing.__dict__["override"] = _override
    if not any(isinstance(finder, RetiredNames) for finder in sys.meta_path):
        sys.meta_path.append(RetiredNames())


def _override(method: Callable[..., Any]) -> Callable[..., Any]:
    """Says to readers and checkers that a base class has the method."""
    return method
