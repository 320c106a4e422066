"""What a sweep is: the parameters it varies, what trials are judged by, how many there may be, where they are kept."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from metta.common.defaults import SEED
from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, fields_at, validated
from metta.config.files import CONFIGS, options
from metta.config.words import Word
from metta.executors.settings import LAUNCHERS, LocalSettings
from metta.runs.objective import Objective

VERSION = 1
PREFIX = "sweep."  # of words that change a sweep file
KINDS = ("log", "uniform", "int", "choice")
BRANCHES = ("parameters", "settings")  # whose keys are paths of the tree, with dots
# By the names of Hydra's launchers.
EXECUTORS = {"local": "basic", "ray": "ray", "slurm": "submitit_slurm", "submitit_local": "submitit_local"}
STORAGE = re.compile(r"postgresql(\+psycopg)?://\S+")
Scalar = bool | int | float | str | None


class Parameter(Settings):
    """Where a setting is looked for: a range, or values to choose from."""

    model_config = Settings.model_config | ConfigDict(populate_by_name=True)

    log: tuple[PositiveFloat, PositiveFloat] | None = Field(default=None, description="range; equal ratios are alike")
    uniform: tuple[float, float] | None = Field(default=None, description="range; equal differences are alike")
    whole: tuple[int, int] | None = Field(
        default=None, alias="int", description="range of whole numbers, ends included"
    )
    choice: list[Scalar] | None = Field(default=None, min_length=1, description="values")
    points: int = Field(default=5, ge=2, description="grid: how many values of a range")
    when: dict[str, Scalar | list[Scalar]] = Field(
        default={}, description="values of other parameters with which alone this one matters"
    )

    @model_validator(mode="after")
    def _is_one_range(self) -> "Parameter":
        given = [kind for kind, value in self._kinds.items() if value is not None]
        if len(given) != 1:
            raise ValueError(f"takes one of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}")
        low, high = self.ends
        if self.choice is None and not low < high:
            raise ValueError(f"{given[0]}=[{low:g}, {high:g}] is upside down: the smaller number comes first")
        return self

    @property
    def _kinds(self) -> dict[str, Any]:
        return dict(zip(KINDS, (self.log, self.uniform, self.whole, self.choice), strict=True))

    @property
    def ends(self) -> tuple[Any, Any]:
        """First and last of its values."""
        if self.choice is not None:
            return self.choice[0], self.choice[-1]
        return next(value for value in self._kinds.values() if value is not None)

    @property
    def grid(self) -> list[Scalar]:
        """The values that a grid takes."""
        low, high = self.ends
        if self.choice is not None:
            return self.choice
        if self.whole:
            count = min(self.points, high - low + 1)
            return [low + round((high - low) * k / (count - 1)) for k in range(count)]
        shares = [k / (self.points - 1) for k in range(self.points)]
        return [low * (high / low) ** share if self.log else low + (high - low) * share for share in shares]

    def holds(self, value: object) -> bool:
        """Whether a value is one of its own."""
        if self.choice is not None:
            return any(value == one and type(value) is type(one) for one in self.choice)
        low, high = self.ends
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and low <= value <= high and not (self.whole and not isinstance(value, int))

    def place(self, value: Any) -> float:
        """Where a value lies between the ends, 0 to 1."""
        low, high = self.ends
        if self.choice is not None:
            return self.choice.index(value) / max(1, len(self.choice) - 1)
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def matters(self, values: dict[str, Any]) -> bool:
        """Whether it matters beside these values of other parameters."""
        wanted = {path: one if isinstance(one, list) else [one] for path, one in self.when.items()}
        return all(path in values and values[path] in some for path, some in wanted.items())


class Rungs(Settings):
    """Where trials are compared while they train: at `first` agent-steps, then at `factor` times as many, and so on."""

    first: PositiveInt | None = Field(default=None, description="agent-steps; default: a ninth of the run")
    factor: int = Field(default=3, ge=2, description="one of so many trials goes on beyond a rung")

    def steps(self, total: int) -> list[int]:
        """The rungs of a run of so many agent-steps."""
        rungs, steps = [], self.first or max(1, total // 9)
        while steps < total:
            rungs.append(steps)
            steps *= self.factor
        return rungs


class Budget(Settings):
    """When no further trial is begun; those that are on their way come to their end."""

    trials: PositiveInt | None = Field(default=None, description="trials, the baseline among them")
    agent_steps: PositiveInt | None = Field(default=None, description="agent-steps of all trials together")
    hours: PositiveFloat | None = Field(default=None, description="hours of all trials together")
    money: PositiveFloat | None = Field(default=None, description="what they cost, by METTA_HOURLY_COST")


class SweepSettings(Settings):
    """A file of configs/sweep."""

    version: Literal[1] = Field(default=VERSION, description="of the form of this file")
    mode: Literal["search", "asha", "pareto", "grid"] = Field(default="search", description="how values are looked for")
    settings: dict[str, Any] = Field(default={}, description="settings of all trials, the baseline too")
    parameters: dict[str, Parameter] = Field(min_length=1, description="what is varied, by path in the tree")
    objective: Objective = Objective()
    cost: str = Field(
        default="metric/total_time", description="pareto: metric whose logarithm the score is held against"
    )
    budget: Budget = Budget()
    seeds: PositiveInt = Field(default=1, description="runs of a trial, each with a seed of its own; their mean counts")
    rungs: Rungs = Rungs()
    baseline: bool = Field(default=True, description="begin with a trial without any change")
    random_trials: PositiveInt = Field(
        default=8, description="trials drawn at random before the search goes by results"
    )
    seed: NonNegativeInt = Field(default=SEED, description="seed of the search")
    workers: PositiveInt = Field(default=1, description="trials at a time")
    executor: Literal["local", "ray", "slurm", "submitit_local"] = Field(
        default="local", description="where they run; local: on this machine, whose cores and GPUs they share"
    )
    launcher: dict[str, Any] = Field(default={}, description="settings of the executor, as hydra.launcher.… has them")
    storage: str | None = Field(default=None, description="postgresql+psycopg://… for workers on many machines")
    lost_after: PositiveFloat = Field(
        default=60, description="storage: seconds without a sign of life until a worker's trial is given out again"
    )

    @field_validator("storage")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is not None and not STORAGE.fullmatch(value):
            raise ValueError("should be postgresql+psycopg://USER@HOST/DATABASE; null: a journal file beside the sweep")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> "SweepSettings":
        if self.prunes and self.seeds > 1:
            raise ValueError(f"mode={self.mode} compares trials as they train, so each has one seed: seeds=1")
        if self.mode != "grid" and not any(value is not None for value in self.budget.model_dump().values()):
            raise ValueError(f"budget: says no end; one of {', '.join(Budget.model_fields)}")
        for path, parameter in self.parameters.items():
            for other in parameter.when:
                if other not in self.parameters or other == path:
                    hint = suggest(other, self.parameters.keys() - {path})
                    raise ValueError(f"parameters.{path}: when: '{other}' is no other parameter{hint}")
        self.ordered()
        _ = self.executor_settings
        return self

    @property
    def executor_settings(self) -> Settings:
        """Settings of the executor. Raises ValueError where they are none of its own."""
        if self.executor == "local" and not self.launcher:
            return LocalSettings(n_jobs=self.workers)
        try:
            return validated(LAUNCHERS[EXECUTORS[self.executor]], self.launcher, "launcher")
        except UserError as error:
            raise ValueError(f"executor={self.executor}: {error}") from None

    @property
    def prunes(self) -> bool:
        return self.mode in ("asha", "pareto")

    def ordered(self) -> list[tuple[str, Parameter]]:
        """The parameters, each behind those that it depends on. Raises ValueError where they go in a circle."""
        found: dict[str, Parameter] = {}
        while len(found) < len(self.parameters):
            ready = {p: one for p, one in self.parameters.items() if p not in found and one.when.keys() <= found.keys()}
            if not ready:
                circle = ", ".join(path for path in self.parameters if path not in found)
                raise ValueError(f"parameters: {circle} depend on each other in a circle (when)")
            found |= ready
        return list(found.items())


def read_sweep(name: str, words: Sequence[Word]) -> tuple[SweepSettings, str]:
    """The sweep that a name or a YAML file means, changed by words `sweep.KEY=value`, and what the file is called.

    Raises:
        UserError: no such file, one of another version, or what is wrong in it.
    """
    path = _file(name)
    tree = read_yaml(path)
    where = path.relative_to(CONFIGS.parent).as_posix() if path.is_relative_to(CONFIGS) else name
    version = tree.get("version", VERSION)
    if version != VERSION:
        raise UserError(f"{where}: version={version} of a sweep file; this package reads version {VERSION}")
    for word in words:
        _change(tree, word)
    said = f"{where}:" if not words else f"{where} or the words {PREFIX}…:"
    return validated(SweepSettings, tree, said), where


def _file(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.resolve()
    known = options("sweep")
    if name.removesuffix(".yaml") not in known:
        raise UserError(f"--sweep {name}: no such sweep{suggest(name, known)}; configs/sweep has {', '.join(known)}")
    return CONFIGS / "sweep" / f"{name.removesuffix('.yaml')}.yaml"


def _change(tree: dict[str, Any], word: Word) -> None:
    """Lay a word over the tree of a sweep file."""
    key = word.key.removeprefix(PREFIX)
    first, _, rest = key.partition(".")
    parts = [first, rest] if first in BRANCHES and rest else key.split(".")
    if first not in SweepSettings.model_fields:
        raise UserError(f"unknown key '{word.key}'{suggest(key, fields_at(SweepSettings, []))}, from {word.source}")
    for part in parts[:-1]:
        tree[part] = tree.get(part) if isinstance(tree.get(part), dict) else {}
        tree = tree[part]
    if word.delete:
        tree.pop(parts[-1], None)
    else:
        tree[parts[-1]] = word.value
