"""A sweep ready to run: the words of each of its trials, all checked before the first begins."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metta.common.errors import UserError
from metta.common.settings import Settings
from metta.config.composition import compose
from metta.config.recipes import Recipe, resolve
from metta.config.words import Word, as_typed, parse_word
from metta.rl.settings import RunConfig
from metta.runs.run import at
from metta.sweep.settings import PREFIX, Scalar, SweepSettings, read_sweep

Values = dict[str, Scalar]  # of parameters, by path


class Plan(Settings):
    """Everything that a worker must know; the same on all machines of a sweep."""

    name: str
    recipe: str | None  # None: an experiment, by user=NAME
    typed: list[str]  # words of the command line
    file: str  # what the sweep file is called
    sweep: SweepSettings
    data_dir: str
    defaults: Values  # of those parameters whose default is one of their values
    total: int  # agent-steps of a run

    @property
    def folder(self) -> Path:
        """Where the trials and what is known of them lie."""
        return Path(self.data_dir) / self.name

    @property
    def rungs(self) -> list[int]:
        """Agent-steps at which trials are compared."""
        return self.sweep.rungs.steps(self.total) if self.sweep.prunes else []

    @property
    def begun_with(self) -> dict[str, Any]:
        """What must be the same whenever the sweep goes on; the objective may be corrected, the budget grow."""
        sweep = self.sweep.model_dump(mode="json", include={"mode", "settings", "parameters", "seeds", "seed"})
        typed = [word for word in self.typed if not word.startswith(PREFIX)]
        return {"recipe": self.recipe, "typed": typed, **sweep}

    def words(self, values: Values) -> list[Word]:
        """Words of a run with these values of parameters, without its name."""
        return [
            *self._filed(self.sweep.settings),
            Word(f"wandb.group={self.name}", "wandb.group", self.name, self.name),
            *(parse_word(text) for text in self.typed),
            *self._filed(values),
        ]

    def _filed(self, values: dict[str, Any]) -> list[Word]:
        return [replace(parse_word(f"{path}={as_typed(value)}"), file=self.file) for path, value in values.items()]


def run_name(number: int, seed: int = 0) -> str:
    """What a trial's run is called; further seeds of it have their number behind."""
    return f"trial-{number:04}" + (f".seed-{seed + 1}" if seed else "")


def make_plan(recipe: Recipe | None, words: Sequence[Word], name: str) -> Plan:
    """The plan of a sweep. Raises UserError for a sweep file or words that make no sensible one."""
    sweep, file = read_sweep(name, [word for word in words if word.key.startswith(PREFIX)])
    rest = [word for word in words if not word.key.startswith(PREFIX)]
    for word in rest:
        if word.key in sweep.parameters:
            raise UserError(f"{word.key}: is varied by {file}, so it takes no value of its own, from {word.source}")
        if word.options:
            raise UserError(f"'{word.text}' lists values: {PREFIX}parameters.{word.key}={{choice: […]}} varies it")
    if sweep.budget.money is not None:
        from metta.rl.run.metrics import hourly_cost  # here because it takes seconds to import

        if hourly_cost() is None:
            raise UserError("sweep.budget.money: METTA_HOURLY_COST says what the machine costs per hour; it is not set")
    typed = [word.text for word in rest if word.key not in ("run", "system.data_dir")]
    plan = Plan(
        name=_text(rest, "run") or Path(name).stem,
        recipe=recipe.name if recipe else None,
        typed=typed,
        file=file,
        sweep=sweep,
        data_dir=_text(rest, "system.data_dir") or RunConfig().system.data_dir,
        defaults={},
        total=1,
    )
    config = composed(plan, {})
    known = config.model_dump(mode="json")
    defaults = {path: at(known, path) for path, one in sweep.parameters.items() if one.holds(at(known, path))}
    _check(plan)
    return plan.model_copy(update={"defaults": defaults, "total": config.trainer.total_timesteps})


def _check(plan: Plan) -> None:
    """Compose a run with each value of a choice and with both ends of each range."""
    for path, parameter in plan.sweep.parameters.items():
        for value in parameter.choice or parameter.ends:
            composed(plan, {path: value})


def composed(plan: Plan, values: Values) -> RunConfig:
    """The settings of a run with these values, under the name of the sweep. Raises UserError for one that trains
    nothing."""
    words = [*plan.words(values), parse_word(f"run={plan.name}")]
    config = compose(resolve([plan.recipe]) if plan.recipe else None, words).config
    if not isinstance(config, RunConfig):
        raise UserError(f"--sweep: {plan.recipe or 'the experiment'} trains nothing (cmd={config.cmd})")
    if config.phases:
        raise UserError("--sweep: a run in phases has no one number of agent-steps; sweep one phase as a run")
    return config


def _text(words: Sequence[Word], key: str) -> str | None:
    return next((word.raw for word in reversed(words) if word.key == key), None)
