"""The keys of a composed tree, read off the pydantic models, and the nearest to a misspelt one."""

import difflib
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metta.game.mission import Mission, MissionSettings
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.components.registry import KINDS
from metta.rl.schedule import KIND, takes_schedule

Model = type[BaseModel]
# Short and former spellings; each is taken only where the tree has no such key of its own.
ALIASES = {
    "device": "system.device",
    "seed": "system.seed",
    "trust_pickle": "system.trust_pickle",
    "trust_code": "system.trust_code",
    "max_steps": "mission.max_steps",
    "trainer.num_workers": "training_env.num_workers",
    "training_env.backend": "env.backend",
    "checkpointer.keep": "checkpointer.keep_last",
    "sim": "evals",
}


@dataclass(frozen=True)
class Key:
    """One key: its path, type, meaning and default (PydanticUndefined where a value is required)."""

    path: str
    annotation: Any
    meaning: str = ""
    default: Any = None

    @property
    def models(self) -> list[Model]:
        """Models that may list the keys below this one; which of several does depends on what is there."""
        return [part for part in _parts(self.annotation) if _is_model(part)]

    @property
    def model(self) -> Model | None:
        """Model that lists the keys below this one, if it is sure."""
        return self.models[0] if len(self.models) == 1 else None

    @property
    def entries(self) -> Any | None:
        """Type of the entries where any name may follow this key, else None."""
        for part in _parts(self.annotation):
            if get_origin(part) is dict:
                return get_args(part)[1]
            if part in (dict, Any):
                return Any
        return None

    @property
    def choices(self) -> tuple[str, ...]:
        literals = [part for part in _parts(self.annotation) if get_origin(part) is Literal]
        return tuple(str(choice) for part in literals for choice in get_args(part))

    @property
    def optional(self) -> bool:
        return types.NoneType in _parts(self.annotation)

    @property
    def takes_text(self) -> bool:
        return any(part is str for part in _parts(self.annotation))

    @property
    def takes_number(self) -> bool:
        return any(part in (int, float) for part in _parts(self.annotation))

    @property
    def takes_list(self) -> bool:
        return any(part is list or get_origin(part) is list for part in _parts(self.annotation))

    def child(self, name: str) -> "Key | None":
        path = f"{self.path}.{name}" if self.path else name
        if len(self.models) > 1:
            return Key(path, *_of_any(self.models, name))
        if self.model is not None:
            field = self.model.model_fields.get(name)
            if field is None:
                return None
            return Key(path, _annotation(self.model, name, field), field.description or "", field.get_default())
        return None if self.entries is None else Key(path, self.entries)

    def children(self) -> "list[Key]":
        names = self.model.model_fields if self.model is not None else ()
        return [child for name in names if (child := self.child(name)) is not None]


def find(model: Model, path: str) -> Key | None:
    """Return the key at `path` in the tree of `model`, None where there is none."""
    key: Key | None = Key("", model)
    for name in path.split("."):
        key = key.child(name) if key is not None else None
    return key


def leaves(model: Model) -> Iterator[Key]:
    """Every key without keys of its own, in the order of the models."""
    yield from _leaves(Key("", model))


def nearest(model: Model, path: str) -> str:
    """Return ' (did you mean …?)' with the valid keys nearest to `path`: beside it, else anywhere in the tree."""
    parent, wrong = Key("", model), path
    for wrong in path.split("."):
        child = parent.child(wrong)
        if child is None:
            break
        parent = child
    if wrong == KIND and parent.takes_number:
        return f" ({parent.path} takes a number only: no schedule)"
    siblings = {_name(key.path): key.path for key in parent.children()}
    found = [siblings[name] for name in difflib.get_close_matches(wrong, siblings)]
    if not found:
        keys = [key.path for key in leaves(model)]
        near = difflib.get_close_matches(_name(path), {_name(key) for key in keys}, n=1, cutoff=0.75)
        found = [key for key in keys if _name(key) in near][:3]
    if found:
        return f" (did you mean {', '.join(found)}?)"
    return f" (keys of {parent.path}: {', '.join(siblings)})" if parent.path and siblings else ""


def _name(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def _leaves(key: Key) -> Iterator[Key]:
    children = key.children()
    if not children:
        yield key
    for child in children:
        yield from _leaves(child)


def _annotation(model: Model, name: str, field: FieldInfo) -> Any:
    if (model, name) == (AgentSettings, "components"):
        return dict[str, Union[tuple(KINDS.values())]]  # noqa: UP007
    # The mission branch holds changes to a mission that is not known yet: its keys are those of the mission itself.
    is_dict = field.annotation is dict or get_origin(field.annotation) is dict
    if model is MissionSettings and is_dict and name in Mission.model_fields:
        return Mission.model_fields[name].annotation
    return field.annotation | dict[str, Any] if takes_schedule(field) else field.annotation  # pyright: ignore


def _of_any(models: Sequence[Model], name: str) -> tuple[Any, str]:
    """Type and meaning of a field that some of the models have; anything goes where none has it, which is found out
    when it is read."""
    found = [model.model_fields[name] for model in models if name in model.model_fields]
    if not found:
        return Any, ""
    annotation = Union[tuple(field.annotation for field in found)]  # noqa: UP007
    return annotation, found[0].description or ""


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the type alone; Annotated types are unwrapped."""
    if hasattr(annotation, "__metadata__"):
        return _parts(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for option in get_args(annotation) for part in _parts(option))
    return (annotation,)


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
