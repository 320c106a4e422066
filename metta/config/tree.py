"""The composed tree: layers and words laid over the defaults of the models, checked, with a memory of who set what."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from metta.common.errors import UserError, suggest
from metta.config.layers import GROUPS, Layer
from metta.config.schema import Key, Model, find, nearest
from metta.config.words import Word

T = TypeVar("T", bound=BaseModel)
Result = TypeVar("Result")
# Short and former spellings; each is taken only where the tree has no such key of its own.
ALIASES = {
    "device": "system.device",
    "seed": "system.seed",
    "trust_pickle": "system.trust_pickle",
    "trust_code": "system.trust_code",
    "max_steps": "mission.max_steps",
    "trainer.num_workers": "training_env.num_workers",
    "training_env.backend": "env.backend",
    "sim": "evals",
}


@dataclass
class Tree:
    """A tree under composition. `origins` maps each path that something set to its source."""

    model: Model
    values: DictConfig = field(init=False)
    origins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = OmegaConf.create(self.model().model_dump())

    def lay(self, layer: Layer) -> None:
        """Lay the values of a layer over the tree; raises UserError at a key the tree does not have."""
        known = OmegaConf.create({})
        for path, value in _flat(layer.values):
            key = self.key(path, layer.source)
            if value is None and key.model is not None and not key.optional:
                continue  # `trainer:` with nothing below it
            OmegaConf.update(known, key.path, value, merge=False, force_add=True)
            self._note(key.path, layer.source)
        self._merge(known, layer.source)

    def apply(self, word: Word) -> str:
        """Apply one word and return the path that it set."""
        key = self.key(word.key, word.source)
        self._note(key.path, word.source)
        if word.delete:
            self._delete(key.path, word)
        elif key.model is not None and isinstance(value_for(key, word), str):
            names = ", ".join(child.path.rpartition(".")[2] for child in key.children())
            raise UserError(f"{key.path} has keys of its own ({names}), from {word.source}")
        else:
            self.lay(Layer(word.source, _nested(key.path, value_for(key, word))))
        return key.path

    def key(self, path: str, source: str) -> Key:
        """Find the key at a path, short spellings included; raises UserError with the nearest one."""
        target = path if find(self.model, path) else _unaliased(path)
        key = find(self.model, target)
        if key is None:
            raise UserError(f"unknown key '{path}'{nearest(self.model, path)}, from {source}")
        return key

    def validated(self, model: type[T]) -> T:
        """The tree as a typed config; raises UserError naming the first bad key and who set it."""
        try:
            return model.model_validate(OmegaConf.to_container(self.values, resolve=True))
        except OmegaConfBaseException as error:
            raise UserError(f"cannot resolve a value: {str(error).splitlines()[0]}") from None
        except ValidationError as error:
            raise UserError(self._explain(error)) from None

    def origin(self, path: str) -> str | None:
        """Who set the value at `path`, a branch above it or a key below it."""
        parts = path.split(".")
        above = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        found = next((self.origins[known] for known in above if known in self.origins), None)
        below = [source for known, source in self.origins.items() if known.startswith(f"{path}.")]
        return found or (below[-1] if below else None)

    def blame(self, branch: str, check: Callable[[], Result]) -> Result:
        """Run a check of what `branch` says; a UserError from it also names who said so."""
        try:
            return check()
        except UserError as error:
            raise UserError(f"{error}, from {self.culprit(branch, str(error))}") from None

    def culprit(self, branch: str, message: str) -> str:
        """Who set what a message about `branch` is about: the value or the key below it that the message names."""
        if branch and not any(known.startswith(f"{branch}.") for known in self.origins):
            return self.origin(branch) or self.culprit(branch.rpartition(".")[0], message)
        below = [known for known in reversed(self.origins) if not branch or known.startswith(f"{branch}.")]
        quoted = [known for known in below if any(f"'{value}'" in message for value in self._texts(known))]
        named = [known for known in below if re.search(rf"\b{re.escape(known.rpartition('.')[2])}\b", message)]
        return self.origin(next(iter([*quoted, *named]), branch)) or "the defaults"

    def _texts(self, path: str) -> list[str]:
        value = OmegaConf.select(self.values, path)
        return [str(entry) for entry in value] if isinstance(value, ListConfig) else [str(value)]

    def _note(self, path: str, source: str) -> None:
        self.origins.pop(path, None)  # so that the newest comes last
        self.origins[path] = source

    def _merge(self, values: DictConfig, source: str) -> None:
        try:
            self.values = OmegaConf.merge(self.values, values)  # pyright: ignore[reportAttributeAccessIssue]
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{str(error).splitlines()[0]}, from {source}") from None

    def _delete(self, path: str, word: Word) -> None:
        above, _, name = path.rpartition(".")
        parent = OmegaConf.select(self.values, above) if above else self.values
        if not isinstance(parent, DictConfig) or name not in parent:
            raise UserError(f"nothing to delete at '{path}', from {word.source}")
        del parent[name]

    def _explain(self, error: ValidationError) -> str:
        first, *others = error.errors(include_url=False)
        path = ".".join(str(part) for part in first["loc"])
        origin = self.origins.get(path) or self.culprit(path, first["msg"])
        more = f" (and {len(others)} more)" if others else ""
        if first["type"] == "missing":
            return f"{path} is missing, from {origin}{more}"
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        key = find(self.model, path)
        hint = suggest(str(first["input"]), key.choices) if key else ""
        shown = "" if isinstance(first["input"], dict | BaseModel) else f"={first['input']!r}"
        name = f"{path}{shown}: " if path else ""
        return f"{name}{message}{hint}, from {origin}{more}"


def value_for(key: Key, word: Word) -> Any:
    """The value of a word as the type of its key reads it: 001 is text for a name, a,b is a list for a list."""
    if word.options:
        if key.takes_list:
            return [option.value for option in word.options]
        if not key.takes_text:
            raise UserError(f"'{word.text}' lists several values: -m runs one job for each")
    if key.takes_list and not key.takes_text and isinstance(word.value, str | int | float):
        return [word.value]
    if key.takes_text and isinstance(word.value, str | int | float):
        return word.value if isinstance(word.value, str) else word.raw
    return word.value


def to_yaml(config: BaseModel) -> str:
    """The composed tree as YAML text; read back, it composes to the same tree."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def picks_option(word: Word) -> bool:
    """Tell a word that picks an option of a group, such as agent=lstm, from one that sets a value."""
    return _unaliased(word.key) in GROUPS and isinstance(word.value, str | int) and not word.delete


def option_layer(word: Word) -> Layer:
    return Layer(word.source, {_unaliased(word.key): word.value})


def _unaliased(path: str) -> str:
    for short, target in ALIASES.items():
        if path == short or path.startswith(f"{short}."):
            return target + path[len(short) :]
    return path


def _nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and (value or not prefix):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value
