"""The words `hydra/…` and `hydra.…` of a command line: where jobs run, and what Hydra's other words are called here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, fields_at, validated
from metta.config.words import SEARCH_PATH, Word, as_typed, parse_word
from metta.executors.settings import LAUNCHERS, BasicSettings

SWEEPERS = ("basic", "metta")
OURS = re.compile(r"(\+\+|\+|~)?hydra[./]")
COMPOSED = (SEARCH_PATH,)  # words that composition reads
LAUNCHER, SWEEPER = "hydra.launcher.", "hydra.sweeper."
# Hydra's words whose meaning another word has here.
CALLED = {
    "hydra.run.dir": "run=NAME names the run, system.data_dir=FOLDER is where runs lie",
    "hydra.sweep.subdir": "run=NAME names the runs, and each value that varies is put behind it",
    "hydra.job.name": "run=NAME names the run",
    "hydra.job.chdir": "a job stays in this folder, its files lie in system.data_dir",
    "hydra.job.env_set": "NAME=value in front of the command sets a variable of the environment",
    "hydra.output_subdir": "a run's settings lie in its folder, as config.yaml",
    "hydra.verbose": "-v shows where each word went",
    "hydra.mode": "-m runs a job for each combination of values",
    "hydra.sweeper.params": "key=a,b with -m lists values; hydra/sweeper=metta searches as a sweep file says",
    "hydra.sweeper.max_batch_size": "hydra/launcher=joblib hydra.launcher.n_jobs=N runs N jobs at a time",
}
# Settings of Hydra's Optuna sweeper -> those of a sweep.
OPTUNA = {
    "n_trials": "budget.trials",
    "n_jobs": "workers",
    "direction": "objective.direction",
    "sampler.seed": "seed",
    "sampler.n_startup_trials": "random_trials",
}


@dataclass(frozen=True)
class HydraWords:
    """What the words say, and in `rest` those that are for the tree."""

    rest: list[str]
    launcher: str = "basic"
    settings: Settings = field(default_factory=BasicSettings)  # of the launcher
    searches: bool = False  # hydra/sweeper=metta


def take_hydra_words(texts: Sequence[str]) -> HydraWords:
    """Take Hydra's words out of a command line. Raises UserError for one that is unknown or means nothing here, with
    the word that does."""
    words = [parse_word(text) for text in texts if OURS.match(text) and not _composed(text)]
    for word in words:
        _check(word)
    rest = [text for text in texts if not OURS.match(text) or _composed(text)]
    launcher, sweeper = _picked(words, "hydra/launcher", LAUNCHERS), _picked(words, "hydra/sweeper", SWEEPERS)
    typed = {word.key.removeprefix(LAUNCHER): word for word in words if word.key.startswith(LAUNCHER)}
    searched = [word for word in words if word.key.startswith(SWEEPER)]
    if searched and sweeper != "metta":
        raise UserError(f"{searched[0].source} is for a sweep: hydra/sweeper=metta --sweep NAME")
    moved = [f"system.data_dir={_one(word)}" for word in words if word.key == "hydra.sweep.dir"]
    return HydraWords(
        rest=[*rest, *moved, *(_of_sweep(word) for word in searched)],
        launcher=launcher,
        settings=_settings(launcher, typed),
        searches=sweeper == "metta",
    )


def _composed(text: str) -> bool:
    return text.lstrip("+~").partition("=")[0] in COMPOSED


def _check(word: Word) -> None:
    if word.delete:
        raise UserError(f"'{word.text}': Hydra's own settings cannot be removed; hydra/launcher=basic is the default")
    if word.options:
        raise UserError(f"'{word.text}': Hydra's own settings take one value")
    if word.key in CALLED:
        raise UserError(f"{word.key} means nothing here: {CALLED[word.key]}, from {word.source}")
    if word.key in ("hydra/launcher", "hydra/sweeper", "hydra.sweep.dir") or word.key.startswith((LAUNCHER, SWEEPER)):
        return
    known = ["hydra/launcher", "hydra/sweeper", "hydra.sweep.dir", *COMPOSED, *CALLED]
    hint = suggest(word.key, known) or "; hydra/launcher, hydra.launcher.…, hydra/sweeper and hydra.sweep.dir do"
    raise UserError(f"{word.key} means nothing here{hint}, from {word.source}")


def _picked(words: Sequence[Word], key: str, known: Sequence[str] | dict[str, Any]) -> str:
    """The option of one of Hydra's groups, the last that is named."""
    said = [word for word in words if word.key == key]
    if not said:
        return "basic"
    name = _one(said[-1])
    if name == "optuna" and key == "hydra/sweeper":
        raise UserError(f"hydra/sweeper=optuna: hydra/sweeper=metta --sweep NAME runs Optuna, from {said[-1].source}")
    if name not in known:
        options = f"one of {', '.join(known)}"
        raise UserError(f"no {key} '{name}'{suggest(name, known)}, from {said[-1].source}: {options}")
    return name


def _one(word: Word) -> str:
    return word.value if isinstance(word.value, str) else word.raw


def _settings(launcher: str, typed: dict[str, Word]) -> Settings:
    """The launcher's settings, its own defaults changed by words."""
    model = LAUNCHERS[launcher]
    tree: dict[str, Any] = {}
    for path, word in typed.items():
        at, parts = tree, path.split(".")
        if parts[0] not in model.model_fields:
            takes = ", ".join(fields_at(model, [])) or "no settings"
            others = [f"hydra/launcher={name}" for name, one in LAUNCHERS.items() if parts[0] in one.model_fields]
            hint = suggest(parts[0], model.model_fields) or f" ({' or '.join(others)} has it)" * bool(others)
            said = f"unknown key '{word.key}'{hint}: hydra/launcher={launcher} takes {takes}"
            raise UserError(f"{said}, from {word.source}")
        for part in parts[:-1]:
            if not isinstance(at.get(part), dict):
                at[part] = {}
            at = at[part]
        at[parts[-1]] = word.value
    return validated(model, tree, "hydra.launcher")


def _of_sweep(word: Word) -> str:
    """A word of Hydra's sweeper as the word that changes a sweep file."""
    key = word.key.removeprefix(SWEEPER)
    return f"sweep.{OPTUNA.get(key, key)}={as_typed(word.value)}"
