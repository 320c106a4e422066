"""What may stand for a word of a command line that has been begun: recipes, keys, options, values, flags."""

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from itertools import pairwise
from pathlib import Path
from typing import Any

from metta.common.errors import UserError
from metta.config.describe import FORMS
from metta.config.files import EXPERIMENTS, GROUPS, OWN, Folders, experiments, options
from metta.config.flags import INFORMATION, flag_names
from metta.config.hydra_words import SWEEPERS
from metta.config.job import KINDS
from metta.config.recipes import PREFIXES, Recipe, all_recipes, resolve
from metta.config.schema import ALIASES, Key, Model, find
from metta.config.words import SEARCH_PATH, is_word, parse_word, search_path
from metta.executors.settings import LAUNCHERS
from metta.game.missions import mission_names
from metta.game.variants import VARIANTS

POLICIES = ("policy_uri", "supervisor_policy_uri", "checkpoint_path", "init_from")  # last names of keys
PREFIXED = ("++", "+", "~")
HYDRA = {"hydra/launcher": [*LAUNCHERS], "hydra/sweeper": [*SWEEPERS]}


def complete(words: Sequence[str], begun: str, trains: bool) -> list[str]:
    """The words that may stand for `begun` behind `words`; `trains`: of tools/train.py, which takes no recipe."""
    flag = words[-1] if words else ""
    folders = _folders(words)
    if found := _of_flag(flag, begun, folders):
        return _beginning(begun, found)
    if begun.startswith("-"):
        return _beginning(begun, flag_names())
    recipe = None if trains else _recipe(words)
    model = _model(recipe)
    prefix = next((mark for mark in PREFIXED if begun.startswith(mark)), "")
    key, has_value, value = begun.removeprefix(prefix).partition("=")
    if has_value:
        found = _paths(value) if value[:1] in ("/", ".", "~") and value else _values(key, recipe, model, folders)
        return _beginning(begun, (f"{prefix}{key}={one}" for one in found))
    keys = _keys(key, recipe, model)
    names = [] if recipe or trains or prefix else _recipe_names(begun)
    return _beginning(begun, [*names, *(f"{prefix}{one}" for one in keys)])


def _beginning(begun: str, words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if word.startswith(begun)})


def _folders(words: Sequence[str]) -> Folders:
    """The folders that are named so far; those that are not there yet do not count."""
    more = [f"{SEARCH_PATH}=[{word}]" for flag, word in pairwise(words) if flag == "--config-dir"]
    try:
        return search_path([parse_word(word) for word in [*words, *more] if SEARCH_PATH in word])
    except UserError:
        return OWN


def _of_flag(flag: str, begun: str, folders: Folders) -> list[str]:
    """The values of a flag that takes one."""
    if flag in ("--config-dir", "-cd"):
        return [path for path in _paths(begun) if path.endswith("/")]
    if flag == "--sweep":
        return [*options("sweep", folders), *(_paths(begun) if begun else ())]
    if flag == "--from":
        return [*(f"train_dir/{name}" for name in _runs()), *(_paths(begun) if begun else ())]
    values = {
        "--cfg": ("job", "all"),
        "-c": ("job", "all"),
        "--info": INFORMATION,
        "-i": INFORMATION,
        "--describe": FORMS,
        "--format": ("table", "json", "yaml"),
        "--shell-completion": ("bash", "zsh", "fish"),
    }
    return [*values.get(flag, ())]


def _recipe(words: Sequence[str]) -> Recipe | None:
    names = [word for word in words if not is_word(word) and not word.startswith("-")]
    for named in (names[:2], names[:1]):  # a module and its function, in either order, or a name
        try:
            return resolve(named) if named else None
        except UserError:
            continue
    return None


def _recipe_names(begun: str) -> Iterator[str]:
    """Full names where one is begun, else short ones, and modules for names of two words."""
    for recipe in all_recipes():
        if any(prefix.startswith(begun) or begun.startswith(prefix) for prefix in PREFIXES if begun):
            yield recipe.name
        yield recipe.short


def _model(recipe: Recipe | None) -> Model:
    try:
        return KINDS[recipe.job([]).cmd].model if recipe else KINDS["train"].model
    except UserError:  # it has a parameter without a default
        return KINDS["train"].model


def _keys(path: str, recipe: Recipe | None, model: Model) -> Iterator[str]:
    """Keys that continue a path, down to the next dot."""
    above = path.rpartition(".")[0]
    if not above:
        yield from (f"{name}=" for name in (recipe.parameters if recipe else ()))
        yield from (f"{name}=" for name in (*EXPERIMENTS, SEARCH_PATH, *HYDRA))
        yield from (f"{branch}=" for branch in GROUPS if branch in model.model_fields)
        yield from (f"{short}=" for short, target in ALIASES.items() if find(model, target) and not find(model, short))
    parent = find(model, above) if above else Key("", model)
    for child in parent.children() if parent else ():
        yield f"{child.path}." if child.children() else f"{child.path}="


def _values(path: str, recipe: Recipe | None, model: Model, folders: Folders) -> Iterator[str]:
    """Values of a key: options, choices, names of what is there, or the default."""
    branch = path.partition("@")[2] or path
    if branch in EXPERIMENTS:
        yield from experiments(folders)
    if path in HYDRA:
        yield from HYDRA[path]
    if branch in GROUPS and branch in model.model_fields:
        yield from options(GROUPS[branch], folders)
    if branch == "mission":
        yield from mission_names()
    if branch == "mission.variants":
        yield from VARIANTS
    if branch == "run":
        yield from _runs()
    if path.rpartition(".")[2] in POLICIES:
        yield from _policies()
    key = (recipe.parameters.get(path) if recipe else None) or find(model, ALIASES.get(branch, branch))
    yield from _choices(key) if key else ()


def _choices(key: Key) -> Iterator[str]:
    yield from key.choices
    default: Any = key.default
    if isinstance(default, bool):
        yield from ("true", "false")
    elif isinstance(default, int | float) or (isinstance(default, str) and default and not key.choices):
        yield str(default)


def _policies() -> Iterator[str]:
    from metta.policy.scripted.names import SCRIPTS
    from metta.policy.simple import NoopPolicy, RandomPolicy

    yield from (*SCRIPTS, NoopPolicy.name, RandomPolicy.name)
    yield from (f"{run}:latest" for run in _runs())


def _runs() -> list[str]:
    return [path.parent.name for path in Path("train_dir").glob("*/config.yaml")]


def _paths(begun: str) -> list[str]:
    """Files and folders, as they were begun: a tilde stays one."""
    home = str(Path("~").expanduser()) if begun.startswith("~") else ""
    found = [f"{path}/" if Path(path).is_dir() else path for path in glob(f"{home}{begun[1:] if home else begun}*")]
    return [f"~{path.removeprefix(home)}" if home else path for path in found]
