"""Hydra groups and experiment files, each file a layer of its own so that an error can name it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra import initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from metta.common.documents import MOST_BYTES, check_yaml, parse_yaml
from metta.common.errors import UserError, suggest
from metta.common.files import read_text

CONFIGS = Path(__file__).resolve().parents[1] / "configs"  # a link to the folder beside metta/; real in a wheel
# Branch of the tree -> the group that fills it.
GROUPS = {
    "phases": "phases",
    "env": "env",
    "mission": "mission",
    "curriculum": "curriculum",
    "agent": "agent",
    "trainer": "trainer",
    "training_env": "training_env",
    "checkpointer": "checkpointer",
    "evaluator": "evaluator",
    "evals": "sim",
    "wandb": "wandb",
    "system": "system",
}


class CheckedFiles(FileConfigSource):
    """Where Hydra reads files: only those that are read in little time and memory, whoever wrote them."""

    def load_config(self, config_path: str) -> ConfigResult:
        _check(Path(os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path)))))
        return super().load_config(config_path)


Plugins.instance()  # registers Hydra's own source of files, which would not replace another
SourcesRegistry.instance().types[CheckedFiles.scheme()] = CheckedFiles


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
    """Values laid over the tree, and where they come from; `branch` is set when they are the option of its group."""

    source: Source
    values: Mapping[str, Any]
    branch: str | None = None


def options(group: str) -> list[str]:
    """Names of the options of a group."""
    folder = CONFIGS / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def base_layers(cmd: str) -> list[Layer]:
    """The layers of `configs/<cmd>.yaml`."""
    return _file_layers(cmd, CONFIGS)


def experiment_layers(name: str, source: Source) -> list[Layer]:
    """The layers of an experiment: `configs/user/NAME.yaml`, or a path to a YAML file."""
    path = Path(name).expanduser()
    if name.removesuffix(".yaml") in options("user"):
        return _file_layers(f"user/{name.removesuffix('.yaml')}", CONFIGS)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return _file_layers(path.stem, path.resolve().parent)
    known = options("user")
    beside = Path("configs", "user", f"{name.removesuffix('.yaml')}.yaml")
    hint = f" (did you mean +user=./{beside}?)" if beside.is_file() else suggest(name, known)
    raise UserError(f"no experiment '{name}'{hint}, from {source}: {CONFIGS / 'user'} has {', '.join(known)}")


def expand(layer: Layer) -> list[Layer]:
    """Replace text in place of a branch (`agent: fast`, `mission: cogsguard_arena.basic`) by the option it names."""
    chosen: list[Layer] = []
    rest = dict(layer.values)
    if isinstance(agent := rest.get("agent"), Mapping) and "name" in agent and not agent.get("components"):
        chosen = expand(Layer(layer.source, {"agent": agent["name"]}))[:-1]  # a preset, with changes to it
        rest["agent"] = {key: value for key, value in agent.items() if key != "name" and value is not None}
    for branch, group in GROUPS.items():
        value = "off" if rest.get(branch) is False else rest.get(branch)  # YAML reads off as false
        if not isinstance(value, str | int):
            continue
        del rest[branch]
        if branch == "mission":  # what an earlier mission file said goes
            chosen.append(Layer(layer.source, {"mission": {"base": None}}, branch))
        if branch == "agent":  # the components of another preset go
            chosen.append(Layer(layer.source, {"agent": {"components": None}}, branch))
        if str(value) in options(group):
            chosen += [
                Layer(layer.source, part.values, branch) for part in _file_layers(f"{group}/{value}", CONFIGS, branch)
            ]
        elif branch == "mission":
            chosen.append(Layer(layer.source, {"mission": {"name": value}}, branch))
        else:
            known = options(group)
            hint = suggest(str(value), known) or f" (one of {', '.join(known)})"
            raise UserError(f"no {group} '{value}'{hint}, from {layer.source}")
    return [*chosen, Layer(layer.source, rest, layer.branch)]


def stack(batches: Iterable[list[Layer]]) -> list[Layer]:
    """Expand every layer in order; the option of a group replaces what earlier batches chose for the branch."""
    result: list[Layer] = []
    for batch in batches:
        current: list[Layer] = []
        for layer in batch:
            expanded = expand(layer)
            picked = {part.branch for part in expanded} - {layer.branch}
            current = [part for part in current if part.branch is None or part.branch not in picked] + expanded
        taken = {part.branch for part in current} - {None}
        result = [part for part in result if part.branch not in taken] + current
    return result


def _file_layers(name: str, folder: Path, branch: str = "") -> list[Layer]:
    """Follow the defaults list of a file. Without a package of its own, a file of a group lands in `branch`."""
    overrides = [f"hydra.searchpath=[file://{CONFIGS}]"]  # whatever the file says of it: pkg:// would import code
    where = _shown(folder / f"{name}.yaml")
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            defaults = loader.compute_defaults_list(name, overrides, RunMode.RUN).defaults
    except MissingConfigException as error:
        missing = error.missing_cfg_file if isinstance(error.missing_cfg_file, str) else "?"
        group, _, option = missing.rpartition("/")
        raise UserError(f"no {group or 'file'} '{option}'{suggest(option, options(group))}, from {where}") from None
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise UserError(f"cannot read {where}: {_one_line(error)}") from None
    files = [(entry.config_path, entry.package or "") for entry in defaults]
    return [_load(path, package, name, branch, folder) for path, package in files if not path.startswith("hydra/")]


def _load(path: str, package: str, name: str, branch: str, folder: Path) -> Layer:
    """One file of the defaults list of the file `name` in `folder`."""
    own = name.rpartition("/")[0].replace("/", ".")
    files = [(place, place / f"{os.path.normpath(path)}.yaml") for place in (folder, CONFIGS)]
    inside = [file for place, file in files if file.resolve().is_relative_to(place.resolve()) and file.is_file()]
    if not inside:
        raise UserError(f"defaults: '{path}' leads out of the folder of settings, from {_shown(folder / name)}.yaml")
    file = inside[0]
    values = parse_yaml(read_text(file, MOST_BYTES), f"cannot read {_shown(file)}")
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UserError(f"{_shown(file)} is no mapping of keys to values")
    values = {str(key): value for key, value in values.items() if key != "defaults"}
    if own and (package == own or package.startswith(f"{own}.")):
        package = f"{branch}{package[len(own) :]}".strip(".")
    group = path.rpartition("/")[0]
    for part in reversed(package.split(".") if package else []):
        values = {part: values}
    return Layer(Source(_shown(file)), values, package if GROUPS.get(package) == group else None)


def _check(file: Path) -> None:
    check_yaml(read_text(file, MOST_BYTES), f"cannot read {_shown(file)}")


def _shown(file: Path) -> str:
    for base in (CONFIGS.parent, Path.cwd()):
        if file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return str(file)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
