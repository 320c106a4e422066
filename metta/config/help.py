"""What the runner prints: the list of recipes, and all that a recipe takes."""

import sys
from collections.abc import Iterable
from inspect import Parameter
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metta.config.files import GROUPS, OWN, Folders, options
from metta.config.recipes import Recipe
from metta.config.schema import ALIASES, Key, Model, find, leaves

USAGE = """\
usage: run.py RECIPE [key=value …] [options]     e.g. run.py cogsguard.train run=demo trainer.total_timesteps=200_000
       run.py --from train_dir/NAME [key=value …]

  key=value       sets a parameter of the recipe or a key of the tree (a.b=c, +a=c, ~a, lists, dicts, 5_000_000)
  group=option    picks an option: agent=lstm, wandb=off, mission=cogsguard_arena.basic
  user=NAME       lays configs/user/NAME.yaml, or a YAML file, over the recipe; also experiment=NAME

  -h, --help      what the recipe takes, with defaults and meanings
  --list          the recipes; 'train --list' and 'cogsguard --list' show a part
  -c, --cfg job   print the composed tree as YAML; with --resolve what references stand for, with --package KEY a part
  -i, --info      what was composed: 'defaults', 'defaults-tree', 'config', 'searchpath', or all of these
  --config-dir F  a folder with options and experiments of yours (agent/big.yaml, user/mine.yaml); also
                  hydra.searchpath=[F]
  --describe      print what the policy is made of: shapes, parameters, work; '--describe json' for programs,
                  '--describe schedule' draws what changes while it trains
  --dry-run       compose and validate only
  -v, --verbose   show where each word went
  -m, --multirun  run one job after another for each value of lists (seed=1,2,3, agent=glob(l*))
  --sweep NAME    search for the best settings as configs/sweep/NAME.yaml, or a YAML file, says (docs/sweeps.md)
  --from FOLDER   repeat a saved run exactly; words override
  --shell-completion bash
                  print what has bash, zsh or fish complete words: eval "$(./tools/run.py --shell-completion bash)"
  --version       the versions of metta and Hydra"""


def print_recipes(recipes: Iterable[Recipe]) -> None:
    """Print the names of recipes with their summaries."""
    console = make_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for recipe in recipes:
        table.add_row(Text(recipe.name, style="bold"), Text(recipe.summary))
    console.print(table)


def print_recipe(
    recipe: Recipe, model: Model, config: BaseModel | None, mission: BaseModel | None, folders: Folders = OWN
) -> None:
    """Print what a recipe takes; defaults are those of the composed `config` and of the `mission` it plays."""
    console = make_console()
    console.print(Text.assemble((recipe.name, "bold"), f": {recipe.summary}"))
    if recipe.parameters:
        console.print(_table("parameter", [(key, _shown(key.default)) for key in recipe.parameters.values()]))
    rows = [(key, _default(key, config, mission)) for key in leaves(model)]
    console.print(_table("key", [row for row in rows if not _is_rule(row[0])]))
    console.print(_table("key of the mission", [row for row in rows if _is_rule(row[0])]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("group")
    table.add_column("options")
    for branch, group in GROUPS.items():
        if branch in model.model_fields:
            table.add_row(branch, Text(", ".join(options(group, folders))))
    console.print(table)
    short = [f"{word} = {key}" for word, key in ALIASES.items() if find(model, key) and not find(model, word)]
    console.print(Text(f"Short for: {', '.join(short)}. Flags: run.py --help."))


def _is_rule(key: Key) -> bool:
    return key.path.startswith("mission.") and key.path.count(".") > 1


def _table(title: str, rows: list[tuple[Key, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, overflow="fold", style="bold")
    table.add_column("default", overflow="fold", max_width=44)
    table.add_column("meaning", overflow="fold")
    for key, default in rows:
        choices = f"({' | '.join(key.choices)})" if len(key.choices) > 1 else ""
        table.add_row(Text(key.path), Text(default), Text(f"{key.meaning} {choices}".strip()))
    return table


def _default(key: Key, config: BaseModel | None, mission: BaseModel | None) -> str:
    value = _value(config, key.path)
    if value is None and key.path.startswith("mission."):
        value = _value(mission, key.path.removeprefix("mission."))
    return _shown(key.default if value is None else value)


def _value(tree: Any, path: str) -> Any:
    """Walk models and dicts along a path; None where it ends early."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else getattr(tree, name, None)
    return tree


def _shown(value: Any) -> str:
    if value is PydanticUndefined or value is Parameter.empty:
        return "required"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_shown(entry)}' for name, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_shown(entry) for entry in value)}]"
    if isinstance(value, BaseModel):
        return "…"
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


def make_console() -> Console:
    """Where tables go: as wide as the terminal, 160 characters elsewhere."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)
