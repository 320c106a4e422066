"""The winner of a sweep as an experiment file, complete without the recipe that was swept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from metta.common.errors import UserError
from metta.common.files import ensure_new, write_atomic, writing
from metta.config.files import EXPERIMENTS, GROUPS, options
from metta.config.recipes import resolve
from metta.config.words import SEARCH_PATH, parse_word
from metta.runs.run import flat
from metta.sweep.plan import Plan, run_name
from metta.sweep.results import Found, Results

MARK = "# The winner of a sweep:"


def write_experiment(results: Results, path: Path) -> None:
    """Write the settings of the best trial as an experiment file. Raises UserError where another file would be lost."""
    ensure_new(path, ours=MARK.encode())
    trial, plan = results.best, results.plan
    said = f"{MARK} {plan.name}, trial {trial.number}, {plan.sweep.objective.metric} {trial.score:.6g}"
    text = yaml.safe_dump(experiment(plan, trial), sort_keys=False, allow_unicode=True)
    with writing(path):
        write_atomic(path, f"{said}\n# python tools/train.py +user={path.stem} run=NAME\n{text}")


def experiment(plan: Plan, trial: Found) -> dict[str, Any]:
    """The tree of the file: what recipe, sweep file, command line and trial say, the later over the earlier."""
    picks: dict[str, str] = {}
    tree: dict[str, Any] = {}
    for path, value in _said(plan, trial):
        group = GROUPS.get(path)
        if group and str(value) in options(group):
            picks[path] = f"/{group}/{value}" + (f"@{path}" if group != path else "")
            tree.pop(path, None)
        elif group and isinstance(value, str):
            tree[path] = {"name": value}
        else:
            _put(tree, path.split("."), value)
    return {"defaults": [*picks.values(), "_self_"], "cmd": "train", **tree}


def _said(plan: Plan, trial: Found) -> Iterator[tuple[str, Any]]:
    words = [word for word in map(parse_word, plan.typed) if word.key != SEARCH_PATH]
    for word in words:
        if word.key in EXPERIMENTS:
            run = plan.folder / run_name(trial.number)
            raise UserError(f"what was swept is {word.text}, which no file stands for: --from {run} repeats the winner")
    recipe = resolve([plan.recipe]) if plan.recipe else None
    if recipe:
        own = [word for word in words if word.key in recipe.parameters]
        words = [word for word in words if word not in own]
        yield from flat(recipe.job(own).settings)
    yield from plan.sweep.settings.items()
    yield from ((word.key, word.value) for word in words if not word.delete)
    yield from trial.values.items()


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value
