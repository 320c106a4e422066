"""Hydra groups and experiment files, each file a layer of its own so that an error can name it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from metta.common.errors import UserError, suggest
from metta.config.files import (
    EXPERIMENTS,
    GROUPS,
    MISSING,
    OWN,
    SUFFIXES,
    FilePart,
    Folders,
    experiments,
    follow,
    options,
)


@dataclass(frozen=True)
class Source:
    """Where values come from, in words for people. What is no `file` is a word that somebody typed, or a recipe, which
    is code of this package; files may be a stranger's."""

    name: str
    kind: Literal["file", "word", "recipe"] = "file"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Layer:
    """Values laid over the tree, and where they come from; `branch` is set when they are the option of its group.
    `at` is the place in the tree of what stands in a file. `chain` says who named whom: a word, a recipe or a file, and
    the files from there down to that of the values."""

    source: Source
    values: Mapping[str, Any]
    branch: str | None = None
    at: str = ""
    chain: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        return self.chain or (str(self.source),)


def base_layers(cmd: str) -> list[Layer]:
    """The layers of `configs/<cmd>.yaml`."""
    return _file_layers(cmd, OWN)


def experiment_layers(name: str, source: Source, folders: Folders = OWN) -> list[Layer]:
    """The layers of an experiment: `user/NAME.yaml` or `experiment/NAME.yaml` of a folder, or a path to a file."""
    bare = name.removesuffix(".yaml")
    for group in EXPERIMENTS:
        if bare in options(group, folders):
            return _file_layers(f"{group}/{bare}", folders)
    path = Path(name).expanduser()
    if path.suffix in SUFFIXES and path.is_file():
        return _file_layers(path.name, (path.resolve().parent, *folders))
    near = [f"{place}{suffix}" for place in (path, Path("configs", "user", bare)) for suffix in SUFFIXES]
    if found := [file for file in near if Path(file).is_file()]:
        hint = f" (did you mean +user={'' if path.is_absolute() else './'}{found[0]}?)"
    else:
        hint = suggest(name, experiments(folders))
    places = ", ".join(str(folder / "user") for folder in folders)
    known = ", ".join(experiments(folders))
    raise UserError(f"no experiment '{name}'{hint}, from {source}: {places} has {known}")


def option_at(group: str, option: str, place: str, source: Source, folders: Folders = OWN) -> list[Layer]:
    """The layers of an option that a word puts elsewhere in the tree than its group belongs."""
    if option not in options(group, folders):
        raise UserError(_no_option(group, option, source, folders))
    found = _file_layers(f"{group}/{option}", folders, place)
    return [replace(layer, source=source, branch=None, chain=(str(source), *layer.chain)) for layer in found]


def expand(layer: Layer, folders: Folders = OWN) -> list[Layer]:
    """Replace text in place of a branch (`agent: fast`, `mission: cogsguard_arena.basic`) by the option it names."""
    chosen: list[Layer] = []
    rest = dict(layer.values)
    if isinstance(agent := rest.get("agent"), Mapping) and "name" in agent and not agent.get("components"):
        above = layer.chain[: None if layer.branch is None else -1]  # the file of a preset names itself
        preset = replace(layer, values={"agent": agent["name"]}, chain=above)
        chosen = expand(preset, folders)[:-1]  # which is changed
        rest["agent"] = {key: value for key, value in agent.items() if key != "name" and value is not None}
    for branch, group in GROUPS.items():
        value = "off" if rest.get(branch) is False else rest.get(branch)  # YAML reads off as false
        if not isinstance(value, str | int) or value == MISSING:
            continue
        del rest[branch]
        if branch == "mission":  # what an earlier mission file said goes
            chosen.append(replace(layer, values={"mission": {"base": None}}, branch=branch))
        if branch == "agent":  # the components of another preset go
            chosen.append(replace(layer, values={"agent": {"components": None}}, branch=branch))
        if str(value) in options(group, folders):
            parts = _file_layers(f"{group}/{value}", folders, branch)
            chosen += [
                replace(part, source=layer.source, branch=branch, chain=(*layer.named, *part.chain)) for part in parts
            ]
        elif branch == "mission":
            chosen.append(replace(layer, values={"mission": {"name": value}}, branch=branch))
        else:
            raise UserError(_no_option(group, str(value), layer.source, folders))
    return [*chosen, replace(layer, values=rest)]


def _no_option(group: str, option: str, source: Source, folders: Folders) -> str:
    known = options(group, folders)
    hint = suggest(option, known) or f" (one of {', '.join(known)})"
    return f"no {group} '{option}'{hint}, from {source}"


def stack(batches: Iterable[list[Layer]], folders: Folders = OWN) -> list[Layer]:
    """Expand every layer in order; the option of a group replaces what earlier batches chose for the branch."""
    result: list[Layer] = []
    for batch in batches:
        current: list[Layer] = []
        for layer in batch:
            expanded = expand(layer, folders)
            picked = {part.branch for part in expanded} - {layer.branch}
            current = [part for part in current if part.branch is None or part.branch not in picked] + expanded
        taken = {part.branch for part in current} - {None}
        result = [part for part in result if part.branch not in taken] + current
    return result


def _file_layers(name: str, folders: Folders, branch: str = "") -> list[Layer]:
    """The layers of a file and of its defaults list. Without a package of its own, a file of a group lands in
    `branch`."""
    group = name.rpartition("/")[0]
    found = follow(name, folders)
    parts = [_layer(part, group, branch) for part in found.parts]
    source = Source(found.parts[-1].chain[0])
    picked = [
        Layer(source, {key: option} if option else {}, None if option else key, chain=(str(source),))
        for key, option in found.overrides.items()
    ]
    picked += [Layer(source, {key: MISSING}) for key in found.missing]
    return [*picked, *(part for part in parts if part.branch not in found.overrides)]


def _layer(part: FilePart, group: str, branch: str) -> Layer:
    """One file of the defaults list of a file of a group."""
    own, package = group.replace("/", "."), part.package
    if own and (package == own or package.startswith(f"{own}.")):
        package = f"{branch}{package[len(own) :]}".strip(".")
    values: dict[str, Any] = {key: value for key, value in part.values.items() if key != "defaults"}
    for name in reversed(package.split(".") if package else []):
        values = {name: values}
    chosen = package if GROUPS.get(package) == part.group else None
    return Layer(Source(part.chain[-1]), values, chosen, package, part.chain)
