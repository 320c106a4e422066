"""Base of every settings model, and validation with messages for people."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from annotated_types import Gt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from metta.common.errors import UserError, suggest

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32, at full precision
MOST = 2**63 - 1  # of int64
LONGEST = 100  # characters of a value that a message shows


class Settings(BaseModel):
    """Settings with strict keys: an unknown one is an error, never dropped.

    A number must fit where settings are stored: float32, which tensors and the engine's tables have, and int64. One too
    small for float32 becomes 0 there, which is refused where 0 is.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _read_as_meant(cls, data: Any) -> Any:
        """Python takes true for 1: as text it is refused where a number is wanted. A text alone is a list of it."""
        if not isinstance(data, dict):
            return data
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: _as_meant(value, kinds.get(name)) for name, value in data.items()}

    @field_validator("*")
    @classmethod
    def _number_fits(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, float) and (not abs(value) <= LARGEST or (value < SMALLEST and _above_0(cls, info))):
            raise ValueError(f"does not fit float32; should be 0 or from {SMALLEST:.3g} to {LARGEST:.3g} in size")
        if isinstance(value, int) and not -MOST <= value <= MOST:
            raise ValueError(f"does not fit 64 bits; should be at most {MOST:,} in size")
        return value

    def _repr_html_(self) -> str:
        """What a notebook shows: what differs from the defaults, as a file has it."""
        from metta.common.documents import as_text  # here because most settings are never shown

        said = self.model_dump(mode="json", exclude_defaults=True)
        text = as_text("yaml", said) if said else "the defaults"
        return f"<b>{type(self).__name__}</b><pre>{escape(text)}</pre>"


def _as_meant(value: Any, annotation: Any) -> Any:
    if isinstance(value, bool) and _is_number(annotation):
        return str(value).lower()
    return [value] if isinstance(value, str) and annotation == list[str] else value


def _is_number(annotation: Any) -> bool:
    """Whether a field takes a number, and no truth value."""
    if get_origin(annotation) is Annotated:
        return _is_number(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return any(map(_is_number, get_args(annotation))) and bool not in get_args(annotation)
    return annotation in (int, float)


def _above_0(model: type[BaseModel], info: ValidationInfo) -> bool:
    """Whether a field takes only numbers above 0."""
    marks = model.model_fields[info.field_name or ""].metadata
    return any(isinstance(mark, Gt) and mark.gt == 0 for mark in marks)


class SettingError(ValueError):
    """What a validator of several settings raises: `about` names those of them that are wrong together."""

    def __init__(self, message: str, *about: str) -> None:
        super().__init__(message)
        self.about = about


@dataclass(frozen=True)
class OnlyTyped:
    """Marks a field, in its annotation, through which settings have code run that is not this package's.

    Where `runs_code(value, tree)` is true only a person at the command line may have given the value: files come from
    strangers. `tree` is the whole config.
    """

    runs_code: Callable[[Any, Any], bool] = lambda value, tree: bool(value)


# Text and path of a file or folder, with ~ for the home folder.
PathText = Annotated[str, AfterValidator(os.path.expanduser)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]

Model = TypeVar("Model", bound=BaseModel)


def below(where: str, key: str) -> str:
    """The path of a key below a branch of the tree, or in a file: where.key, file.yaml:key."""
    if not where or not key:
        return key or where.rstrip(":")
    return where + key if where.endswith(":") else f"{where}.{key}"


def validated(model: type[Model], data: dict[str, Any], where: str) -> Model:
    """`data` as a model. Raises UserError with one line: the first wrong key or value, its path below `where`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(first_problem(model, error, where), subjects(error, where)) from None


def changed(settings: Model, changes: dict[str, Any], where: str = "") -> Model:
    """A validated copy of settings with some changes; branches of their own are changed, everything else replaced.

    Raises:
        UserError: an unknown key or a value out of range, in one line; its path begins with `where`.
    """
    data = settings.model_dump()
    for name, value in changes.items():
        branch = getattr(settings, str(name), None)
        if isinstance(branch, Settings) and isinstance(value, dict):
            value = changed(branch, value, below(where, str(name))).model_dump()
        data[name] = value
    return validated(type(settings), data, where)


def first_problem(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """The first problem of a validation in one line, with the nearest keys for an unknown one."""
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    name = below(where, ".".join(path))
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{name}'{suggest(path[-1], fields_at(model, path[:-1]))}"
    value = problem.get("input")
    shown = "" if isinstance(value, dict | BaseModel) else f"={short_repr(value)}"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{name}{shown}: {message}" if name else message


def short_repr(value: object) -> str:
    """What was given as Python writes it, without what is beyond a line."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write numbers of thousands of digits
        return "…"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def subjects(error: ValidationError, where: str) -> tuple[str, ...]:
    """Paths, below `where`, of the settings that the first problem of a validation is about."""
    problem = error.errors()[0]
    path = below(where, ".".join(str(part) for part in problem["loc"]))
    cause = problem.get("ctx", {}).get("error")
    named = cause.about if isinstance(cause, SettingError) else ()
    return tuple(below(path, name) for name in named) or (path,)


def fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the fields of the nested model at `path`."""
    for part in path:
        field = model.model_fields.get(part)
        nested = field.annotation if field else None
        if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]
