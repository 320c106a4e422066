"""Modules of the retired packages, made from the table in `metta.compat.names` when somebody imports them."""

import os
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from metta.common.errors import suggest
from metta.common.logging import warn
from metta.compat.names import OFFERED, REFUSED

GUIDE = "docs/coming-from-cogames.md"
SAID = "METTA_RETIRED_NAMES"  # in the environment, so that processes started from here do not say it again


def find_spec(fullname: str) -> ModuleSpec | None:
    """The module of that name. None for a `cogames` of ours beside an installed `mettagrid`: they would not fit.

    Raises ModuleNotFoundError, which names the nearest, for one that is not offered.
    """
    if fullname.startswith("cogames") and PathFinder.find_spec("mettagrid") is not None:
        return None
    if fullname not in OFFERED:
        why = REFUSED.get(fullname) or f"metta offers no module {fullname}{suggest(fullname, OFFERED)}; see {GUIDE}"
        raise ModuleNotFoundError(why, name=fullname)
    if not os.environ.get(SAID):
        os.environ[SAID] = "said"
        warn(f"{fullname.partition('.')[0]} is not installed; metta offers its names over its own engine ({GUIDE})")
    return ModuleSpec(fullname, _Loader(), is_package=True)


class _Loader(Loader):
    """Fills a module with names that are imported from where they live once somebody asks for them."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        places = OFFERED[module.__name__]

        def find(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            whole = f"{module.__name__}.{name}"
            if name in places:
                value = _imported(places[name])
            elif whole in OFFERED:
                value = import_module(whole)
            else:
                offered = [*places, *(known.rpartition(".")[2] for known in _below(module.__name__))]
                why = REFUSED.get(whole) or f"metta offers no {whole}{suggest(name, offered)}; see {GUIDE}"
                raise ImportError(why, name=module.__name__)
            vars(module)[name] = value
            return value

        module.__dict__.update(__getattr__=find, __all__=list(places), __doc__=f"Offered by metta, see {GUIDE}.")


def _imported(place: str) -> Any:
    """What `module:name` or `module` names."""
    home, _, name = place.partition(":")
    module = import_module(home)
    return getattr(module, name) if name else module


def _below(package: str) -> list[str]:
    return [name for name in OFFERED if name.rpartition(".")[0] == package]
