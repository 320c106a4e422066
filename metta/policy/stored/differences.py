"""What two nets, or the environments that they were built for, differ in: a phrase for each difference.

The number of agents is none: all of a team share a net, which sees one of them at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from metta.game.observation import EnvInfo, Feature
from metta.policy.interface import Info
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.earlier import known_as
from metta.policy.stored.forms.match import Architecture

Components = Mapping[str, ComponentSettings]
NAMED = ("features", "tags", "actions")
SHOWN = 5  # names in a phrase


def net_differences(have: Architecture, want: Architecture) -> list[str]:
    """In what a net differs from the one that is asked for, as 'hidden_size=16, not 8'; none where they are alike."""
    return [
        *_component_differences(have.components, want.components),
        *(["the auxiliary head"] if have.heads != want.heads else []),
        *info_differences(have.info, want.info),
    ]


def info_differences(have: Info, want: Info) -> list[str]:
    """In what an environment differs from the one that is asked for, for a net."""
    if type(have) is not type(want):
        kinds = ("of the game", "of another library")
        return ["environment {}, not {}".format(*(kinds if isinstance(have, EnvInfo) else kinds[::-1]))]
    values = [(_label(field.name), getattr(have, field.name), getattr(want, field.name)) for field in fields(have)]
    return [
        _names(label, mine, other) if label in NAMED else f"{label} {mine}, not {other}"
        for label, mine, other in values
        if label != "num agents" and mine != other
    ]


def _component_differences(have: Components, want: Components) -> list[str]:
    """In what lists of components differ: told by the settings of a whole net where both have such."""
    known, asked = known_as(have), known_as(want)
    if known and asked:
        same_net = known[0] == asked[0]
        return _setting_differences(known[1], asked[1]) if same_net else [f"net {known[0]}, not {asked[0]}"]
    names = [name for name in {**have, **want} if name in have and name in want]
    only = [f"with {name}" for name in have if name not in want] + [
        f"without {name}" for name in want if name not in have
    ]
    parts = {name: (have[name].model_dump(), want[name].model_dump()) for name in names}
    settings = [f"{name}.{line}" for name, pair in parts.items() for line in _setting_differences(*pair)]
    order = ["components in another order"] if [*have] != [*want] and not only else []
    return [*only, *settings, *order]


def _setting_differences(have: Mapping[str, Any], want: Mapping[str, Any]) -> list[str]:
    keys = sorted({*have, *want})
    return [f"{key}={have.get(key)}, not {want.get(key)}" for key in keys if have.get(key) != want.get(key)]


def _names(label: str, have: Sequence[Any], want: Sequence[Any]) -> str:
    """Lists of names, or of features, that differ: what only one of them has, else what is otherwise."""
    mine, others = ([getattr(entry, "name", entry) for entry in entries] for entries in (have, want))
    parts = [
        f"{word} {_few(only)}"
        for word, only in (
            ("with", [name for name in mine if name not in others]),
            ("without", [name for name in others if name not in mine]),
        )
        if only
    ]
    counts = f"{len(have)} {label}, not {len(want)}" if len(have) != len(want) else f"other {label}"
    if parts:
        return f"{counts} ({' and '.join(parts)})"
    by_name = [dict(zip(names, entries, strict=True)) for names, entries in ((mine, have), (others, want))]
    scaled = [
        name
        for name, entry in by_name[0].items()
        if isinstance(entry, Feature) and entry.normalization != by_name[1][name].normalization
    ]
    return f"other normalizations of {_few(scaled)}" if scaled else f"{label} in another order"


def _label(field: str) -> str:
    return {"action_names": "actions"}.get(field, field.replace("_", " "))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
