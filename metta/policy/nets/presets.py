"""Lists of components by name: the files of `configs/agent/`, and what earlier versions built from a few settings."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import metta
from metta.common.documents import MOST_BYTES, read_yaml
from metta.common.errors import UserError, suggest
from metta.common.files import read_text

FOLDER = Path(metta.__file__).parent / "configs" / "agent"
# Settings of a preset as a whole: its file says what refers to them.
KNOBS = ("hidden_size", "channels", "inputs", "layers", "memory")


@cache
def preset_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def describe_presets() -> dict[str, str]:
    """Each preset and what it is: the comment that its file begins with."""
    found = {}
    for name in preset_names():
        lines = read_text(FOLDER / f"{name}.yaml", MOST_BYTES).splitlines()
        comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
        found[name] = " ".join(comment)
    return found


def check_preset(name: str) -> None:
    """Raise UserError for a preset that there is not."""
    if name not in preset_names():
        known = preset_names()
        problem = f"unknown net{suggest(name, known)}; known: {', '.join(known)}"
        raise UserError(f"agent.name={name}: {problem}", ["agent.name"])


def expand_preset(name: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The components of a preset, as plain data, with some of its knobs turned.

    Raise UserError where there is no such preset, or none of its components refers to a knob.
    """
    check_preset(name)
    for key in knobs:
        if key not in (taken := _taken(name)):
            problem = f"{name} has no such setting{suggest(key, taken)}; it takes {', '.join(taken) or 'none'}"
            raise UserError(f"agent.{key}: {problem}", [f"agent.{key}"])
    written = _read(name)
    return _resolved(written["components"], {**written, **knobs})


def refers_to(components: Any, knob: str) -> bool:
    """Whether a list of components, as written, refers to a knob."""
    if isinstance(components, Mapping | list):
        entries = components.values() if isinstance(components, Mapping) else components
        return any(refers_to(entry, knob) for entry in entries)
    return isinstance(components, str) and f"${{agent.{knob}}}" in components


@cache
def _read(name: str) -> dict[str, Any]:
    """A preset as written, laid over those that its defaults list names, as Hydra does."""
    written = read_yaml(FOLDER / f"{name}.yaml")
    values: dict[str, Any] = {}
    for base in written.pop("defaults", []):
        values = _laid(values, written if base == "_self_" else _read(base))
    return values or written


def _laid(values: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others laid over them, branch by branch."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _laid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


@cache
def _taken(name: str) -> tuple[str, ...]:
    return tuple(key for key in KNOBS if refers_to(_read(name)["components"], key))


def _resolved(written: Any, knobs: Mapping[str, Any]) -> Any:
    """The same with knobs in place of the references to them."""
    if isinstance(written, Mapping):
        return {key: _resolved(entry, knobs) for key, entry in written.items()}
    if isinstance(written, list):
        return [_resolved(entry, knobs) for entry in written]
    references = {f"${{agent.{key}}}": value for key, value in knobs.items()}
    return references.get(written, written) if isinstance(written, str) else written
