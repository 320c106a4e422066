"""Files of settings: where they lie, and Hydra's defaults list of each."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal import defaults_list as lists
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.default_element import ResultDefault
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metta.common.documents import MOST_BYTES, parse_yaml
from metta.common.errors import UserError, suggest
from metta.common.files import read_text

Folders = tuple[Path, ...]

CONFIGS = Path(__file__).resolve().parents[1] / "configs"  # a link to the folder beside metta/; real in a wheel
OWN: Folders = (CONFIGS,)
SUFFIXES = (".yaml", ".yml", ".json")
MISSING = "???"  # a value that somebody else must give
EXPERIMENTS = ("user", "experiment")  # folders of whole trees
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

version.setbase("1.3")


@dataclass(frozen=True)
class FilePart:
    """One file of a defaults list. `chain` are the files from the one that was asked for down to this one; `values` are
    what stands in it, which belongs at `package`."""

    chain: tuple[str, ...]
    group: str
    package: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Defaults:
    """The files of a defaults list in their order, and by branch the options that its `override` entries ask for in
    place of what stands outside of it (None: no option)."""

    parts: list[FilePart]
    overrides: dict[str, str | None]
    missing: list[str]  # branches whose option (`???`) a word must pick


def options(group: str, folders: Folders = OWN) -> list[str]:
    """Names of the options of a group."""
    found = {path.relative_to(folder / group) for folder in folders for path in (folder / group).rglob("*.yaml")}
    return sorted(path.with_suffix("").as_posix() for path in found)


def experiments(folders: Folders = OWN) -> list[str]:
    """Names of the experiments."""
    return sorted({name for group in EXPERIMENTS for name in options(group, folders)})


def more_folders(names: Iterable[str]) -> Folders:
    """The folders of settings, with more of them behind the project's own.

    Raises:
        UserError: no folder, one of a package, or one with an option that an earlier folder has.
    """
    folders, named = OWN, "--config-dir or hydra.searchpath"
    for name in names:
        path = Path(name.removeprefix("file://")).expanduser()
        if "://" in name and not name.startswith("file://"):
            raise UserError(f"{named}: '{name}' may import code: only folders are searched")
        if not path.is_dir():
            raise UserError(f"{named}: there is no folder '{path}'")
        for group in {*GROUPS.values(), *EXPERIMENTS}:
            if twice := {*options(group, folders)} & {*options(group, (path,))}:
                raise UserError(f"{named}: {path} and a folder before it have {group} '{min(twice)}': rename one")
        folders = (*folders, path.resolve())
    return folders


class _Files(FileConfigSource):
    """Hydra's view of a folder: files that are read in little time and memory, whoever wrote them, and lie in it."""

    @staticmethod
    def _normalize_file_name(filename: str) -> str:
        return filename if filename.endswith(SUFFIXES) else f"{filename}.yaml"

    def file(self, config_path: str) -> Path:
        return Path(self.path, os.path.normpath(self._normalize_file_name(config_path)))

    def is_config(self, config_path: str) -> bool:
        file = self.file(config_path)
        return file.is_file() and file.resolve().is_relative_to(Path(self.path).resolve())

    def load_config(self, config_path: str) -> ConfigResult:
        file = self.file(config_path)
        text = read_text(file, MOST_BYTES)
        values = parse_yaml(text, f"cannot read {show(file)}")
        if not isinstance(values, dict | None):
            raise UserError(f"{show(file)} is no mapping of keys to values")
        values = {str(key): value for key, value in (values or {}).items()}
        listed = values.get("defaults")
        if isinstance(listed, list) and "_self_" not in listed:  # Hydra's own place for it, of which it would warn
            values["defaults"] = [*listed, "_self_"]
        header = ConfigSource._get_header_dict(text[:512])
        if config_path.lstrip("/").partition("/")[0] not in GROUPS.values():
            header["package"] = header["package"] or "_global_"  # no folder but that of a group is a branch
        return ConfigResult(self.provider, self.path, OmegaConf.create(values), header)


class _Repository(ConfigRepository):
    """The folders in which Hydra looks, each file read once."""

    def __init__(self, folders: Folders) -> None:
        self.files = [_Files("settings", str(folder)) for folder in folders]
        self.sources = [*self.files]
        self.loaded: dict[str, ConfigResult | None] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self.loaded:
            self.loaded[config_path] = super().load_config(config_path)
        return self.loaded[config_path]

    def shown(self, config_path: str) -> str:
        """What a file is called."""
        found = [source.file(config_path) for source in self.files if source.is_config(config_path)]
        return show(found[0]) if found else config_path

    def part(self, entry: ResultDefault, parents: dict[str, str | None]) -> FilePart:
        assert entry.config_path is not None
        loaded, chain = self.load_config(entry.config_path), [entry.config_path]
        assert loaded is not None
        while above := parents.get(chain[0]):
            chain.insert(0, above)
        values: Any = OmegaConf.to_container(loaded.config)
        group = entry.config_path.lstrip("/").rpartition("/")[0]
        return FilePart(tuple(map(self.shown, chain)), group, entry.package or "", values)


def follow(name: str, folders: Folders) -> Defaults:
    """Follow the defaults list of a file. Raises UserError for what cannot be found or read."""
    repository = _Repository(folders)
    where = repository.shown(name)
    overrides = lists.Overrides(repository, [])
    try:
        entries, _ = lists._create_defaults_list(repository, name, overrides, prepend_hydra=False, skip_missing=True)
    except MissingConfigException as error:
        missing = error.missing_cfg_file if isinstance(error.missing_cfg_file, str) else "?"
        raise UserError(f"{_missing(missing, folders)}, from {where}") from None
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError) as error:
        raise UserError(f"cannot read {where}: {' '.join(str(error).split())}") from None
    parents = {entry.config_path: entry.parent for entry in entries if entry.config_path}
    chosen = overrides.override_choices.items()
    unmatched = {key: option for key, option in chosen if not overrides.override_metadata[key].used}
    return Defaults(
        [repository.part(entry, parents) for entry in entries],
        dict(_overridden(key, option, where) for key, option in unmatched.items()),
        [_branch(key, where) for key, option in overrides.known_choices.items() if option == MISSING],
    )


def _missing(path: str, folders: Folders) -> str:
    group, _, option = path.rpartition("/")
    if ".." in path.split("/") or any((folder / f"{path}.yaml").is_file() for folder in folders):
        return f"defaults: '{path}' leads out of the folder of settings"
    hint = suggest(option, options(group, folders)) or suggest(group, GROUPS.values())
    if (last := group.rpartition("/")[2]) != group and option in options(last, folders):
        hint = f" (did you mean /{last}: {option}?)"
    return f"no {group or 'file'} '{option}'{hint}"


def _overridden(key: str, option: object, where: str) -> tuple[str, str | None]:
    """The branch whose option an `override` entry replaces."""
    if isinstance(option, list):
        raise UserError(f"defaults: override {key} takes one option, from {where}")
    return _branch(key, where), None if option is None else str(option)


def _branch(key: str, where: str) -> str:
    """The branch that an entry of a defaults list, a group or group@branch, fills."""
    group, _, package = key.partition("@")
    branch = package or next((branch for branch in GROUPS if GROUPS[branch] == group), "")
    if group.startswith("hydra/"):
        raise UserError(f"{group}: Hydra's own settings are words of the command line, from {where}")
    if GROUPS.get(branch) != group:
        hint = suggest(key, GROUPS.values()) or f": there are {', '.join(GROUPS.values())}"
        raise UserError(f"defaults: {key}: no group of that name{hint}, from {where}")
    return branch


def show(file: Path) -> str:
    """A file's name as people know it: from the project's folder, or from this one."""
    for base in (CONFIGS.parent, Path.cwd()):
        if file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return str(file)
