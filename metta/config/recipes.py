"""Recipes: public functions in `recipes/` that return a Job, found by full or short names."""

import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import recipes
from metta.common.docstrings import docstring
from metta.common.errors import UserError, suggest
from metta.config.job import Job
from metta.config.schema import Key
from metta.config.tree import value_for
from metta.config.words import Word

PREFIXES = ("recipes.experiment.", "recipes.prod.", "recipes.")


@dataclass(frozen=True)
class Recipe:
    """A recipe function under its full dotted name."""

    name: str
    function: Callable[..., Job]

    @property
    def short(self) -> str:
        prefix = next((prefix for prefix in PREFIXES if self.name.startswith(prefix)), "")
        return self.name.removeprefix(prefix)

    @property
    def summary(self) -> str:
        return docstring(self.function).partition("\n")[0]

    @property
    def parameters(self) -> dict[str, Key]:
        """Parameters of the function as keys, with their types and defaults."""
        found = inspect.signature(self.function, eval_str=True).parameters.values()
        return {one.name: Key(one.name, one.annotation, default=one.default) for one in found}

    def job(self, words: Sequence[Word]) -> Job:
        """Call the function with the words that name its parameters."""
        arguments = {word.key: self._argument(word) for word in words}
        missing = [
            name
            for name, key in self.parameters.items()
            if key.default is inspect.Parameter.empty and name not in arguments
        ]
        if missing:
            raise UserError(f"{self.short} needs {', '.join(f'{name}=…' for name in missing)}")
        return self.function(**arguments)

    def _argument(self, word: Word) -> Any:
        key = self.parameters[word.key]
        value = value_for(key, word)
        try:
            return TypeAdapter(key.annotation).validate_python(value)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"]
            hint = suggest(str(value), key.choices)
            raise UserError(f"{word.key}: {message}, got {value!r}{hint}, from {word.source}") from None


def all_recipes() -> list[Recipe]:
    """Every recipe, by name."""
    return [recipe for module in _modules() for recipe in _recipes_in(module)]


def resolve(names: Sequence[str]) -> Recipe:
    """Find a recipe by its full path, its short path, or module and function as two words in either order."""
    spellings = [".".join(names)] if len(names) == 1 else [".".join(names), ".".join(reversed(names))]
    modules = _modules()
    for spelling in spellings:
        module, _, function = spelling.rpartition(".")
        for full in dict.fromkeys(prefix + module for prefix in ("", *PREFIXES)):
            found = {recipe.name: recipe for recipe in _recipes_in(full)} if full in modules else {}
            if f"{full}.{function}" in found:
                return found[f"{full}.{function}"]
    raise UserError(f"no recipe '{' '.join(names)}'{_nearest(spellings)}, from the command line: --list shows all")


def select(name: str | None) -> list[Recipe]:
    """The recipes that a word names in part: a module, a function, or all without one."""
    found = [recipe for recipe in all_recipes() if name is None or _is_part(name, recipe)]
    if not found:
        names = {part for recipe in all_recipes() for part in recipe.short.split(".")}
        raise UserError(f"no recipe or job '{name}'{suggest(name or '', names)}, from the command line")
    return found


def _is_part(name: str, recipe: Recipe) -> bool:
    return f".{name}." in f".{recipe.name}."


def _nearest(spellings: Sequence[str]) -> str:
    known = all_recipes()
    names = {recipe.short for recipe in known}
    if spellings[0].startswith("recipes."):
        names = {recipe.name for recipe in known}
    hints = (suggest(spelling, names) for spelling in spellings)
    return next((hint for hint in hints if hint), "")


def _modules() -> list[str]:
    roots = [str(Path(path)) for path in recipes.__path__]
    return sorted(module.name for module in pkgutil.walk_packages(roots, "recipes.") if not module.ispkg)


def _recipes_in(module: str) -> list[Recipe]:
    found = inspect.getmembers(import_module(module), inspect.isfunction)
    return [
        Recipe(f"{module}.{name}", function)
        for name, function in found
        if function.__module__ == module and not name.startswith("_")
    ]
