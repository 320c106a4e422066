"""Which files are a user's own code, and which of them a class that plays is made of.

No torch here: the process that hosts such a class (metta.policy.hosted.client) starts without it.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from itertools import accumulate
from pathlib import Path

from metta.common.digests import digest, digest_path, digest_sources

# Where no user's code lies: Python, what is installed, what calls the class.
PYTHON = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parents[2])})
INSTALLED = {"site-packages", "dist-packages"}


def is_users(file: str) -> bool:
    """Is that a file of a user's own code?"""
    path = Path(file)
    return path.is_file() and not file.startswith(PYTHON) and not INSTALLED & set(path.parts)


def user_modules() -> dict[str, str]:
    """Files of a user's modules that are imported, and of those that an import statement in one of them names wherever
    it stands: it may be reached later. By their path as a module: {"mine/net.py": …}."""
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.endswith(".py") and is_users(file) and name != "__main__":
            found[_path(name, hasattr(module, "__path__"))] = file
    left, seen = list(found.items()), set[str]()
    while left:
        for name in set(_named(*left.pop())) - seen:
            seen.add(name)
            new = {place: file for place, file in _located(name) if place not in found}
            found |= new
            left += new.items()
    return found


def class_hint(path: Path) -> str:
    """How the classes of a file are named as policies, for messages; '' where it lies elsewhere or holds none."""
    try:
        parts = path.resolve().relative_to(Path.cwd()).with_suffix("").parts
        names = [node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.ClassDef)]
    except (OSError, ValueError, SyntaxError):
        return ""
    named = ", ".join(f"class={'.'.join([*parts, name])}" for name in names[:3])
    return f"; of its classes: {named}" if names and all(map(str.isidentifier, parts)) else ""


def code_of_class(module: str, modules: dict[str, str]) -> str:
    """Digest of a user's modules, and of the package that holds the class's module where that is an installed one.

    Raises OSError.
    """
    own = {name: digest_path(Path(file)) for name, file in modules.items()}
    top = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    if not top or is_users(top):
        return digest(own)
    return digest(own, digest_sources(Path(top).parent) if Path(top).name == "__init__.py" else digest_path(Path(top)))


def _path(name: str, is_package: bool) -> str:
    stem = name.replace(".", "/")
    return f"{stem}/__init__.py" if is_package else f"{stem}.py"


def _named(place: str, file: str) -> Iterator[str]:
    """Full names of the modules that import statements in a file may mean; of one that cannot be read none."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    folders = place.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folders[: len(folders) - node.level + 1] if node.level else []
            parts = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def _located(name: str) -> Iterator[tuple[str, str]]:
    """A user's module of that name and the packages around it, as `user_modules` has them; nothing is imported."""
    path = None
    for whole in accumulate(name.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(whole, path)
        if spec is None:
            return
        path = spec.submodule_search_locations
        if spec.origin and spec.origin.endswith(".py") and is_users(spec.origin):
            yield _path(whole, path is not None), spec.origin
        if path is None:
            return
