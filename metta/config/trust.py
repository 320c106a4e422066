"""Settings that have code run: a file, which may be a stranger's, never has that done; who sits at the keyboard may."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from metta.common.errors import UserError
from metta.common.settings import OnlyTyped, below
from metta.config.tree import Tree


def check_typed(config: BaseModel, tree: Tree) -> None:
    """Raise UserError for a setting marked `OnlyTyped` that has code run and comes, wholly or in part, from a file.

    Looks at the values as they are used, with all references resolved.
    """
    for path, value, mark in _marked(config, ""):
        if value is not None and mark.runs_code(value, config) and not tree.is_typed(path):
            shown = str(value).lower() if isinstance(value, bool) else value
            problem = f"{path}={shown} runs or imports code: put it on the command line to allow that"
            raise UserError(f"{problem}, from {tree.culprit([path])}")


def _marked(value: Any, path: str) -> Iterator[tuple[str, Any, OnlyTyped]]:
    """Path, value and mark of every marked field; those of entries of a list have the list's path, as in the tree."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _marked(entry, below(path, str(key)))
    elif isinstance(value, list):
        for entry in value:
            yield from ((path, value, mark) for _, value, mark in _marked(entry, path))
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            entry, place = getattr(value, name), below(path, name)
            yield from ((place, entry, mark) for mark in field.metadata if isinstance(mark, OnlyTyped))
            yield from _marked(entry, place)
