"""The recipe runner behind tools/run.py and tools/train.py: read the words, compose, validate, run."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.logging import debugging, note
from metta.common.ranks import begin
from metta.common.settings import Settings
from metta.common.streams import go_on_unheard
from metta.config import help as printed
from metta.config.composition import Composed, combinations, compose, compose_saved
from metta.config.describe import describe
from metta.config.dry_run import check_job
from metta.config.flags import read_flags
from metta.config.hydra_words import take_hydra_words
from metta.config.info import print_info, print_tree
from metta.config.job import KINDS, Config
from metta.config.many import run_many
from metta.config.ranks import check_launched, refused
from metta.config.recipes import Recipe, resolve, select
from metta.config.run_job import Summary, execute, run_composed
from metta.config.shells import answer_shell
from metta.config.summary import summary
from metta.config.words import Word, is_word, parse_words, search_path
from metta.executors.settings import BasicSettings
from metta.game.missions import build_mission
from metta.rl.settings import RunConfig


class Spoken(NamedTuple):
    """How the command that a person has typed calls things."""

    naming: str = "run={}"  # what names a run
    word: str = Word.called  # a word


SPOKEN = Spoken()
SWEEPS = "metta.sweep.command"  # by name, as it lies above


def run(argv: Sequence[str], spoken: Spoken = SPOKEN) -> int:
    """Run `tools/run.py` with these arguments; returns the exit code: 2 for bad input."""
    return _guarded(_run, argv, spoken)


def train(argv: Sequence[str]) -> int:
    """Run `tools/train.py` with these arguments: the experiment that `+user=NAME` names, without a recipe."""
    return _guarded(_train, argv)


def _guarded(
    compose_jobs: Callable[[argparse.Namespace], list[Composed]], argv: Sequence[str], spoken: Spoken = SPOKEN
) -> int:
    def main() -> int:
        begin()
        try:
            flags = read_flags(argv)
            flags.called = spoken.word
            if flags.version:
                print(f"metta {version('metta')}, Hydra {version('hydra-core')}")
                return 0
            if flags.shell_completion:
                answer_shell(flags.words)
                return 0
            flags.hydra = take_hydra_words(flags.words)
            flags.words = flags.hydra.rest
            if flags.sweep and not flags.help:
                return import_module(SWEEPS).sweep(flags)
            _check_hydra(flags)
            jobs = compose_jobs(flags)
            check_launched(jobs)
        except UserError as error:
            raise refused(error) from None
        return _start(jobs, flags, spoken.naming)

    return guarded(main)


def _check_hydra(flags: argparse.Namespace) -> None:
    """Raise UserError for words of Hydra that need a flag which is not there."""
    if flags.hydra.searches:
        raise UserError("hydra/sweeper=metta: --sweep NAME names what is searched (configs/sweep, docs/sweeps.md)")
    if flags.hydra.launcher != "basic" and not flags.multirun:
        raise UserError(f"hydra/launcher={flags.hydra.launcher}: runs the jobs of -m, or the workers of --sweep NAME")


def _run(flags: argparse.Namespace) -> list[Composed]:
    """The jobs that the words of tools/run.py name; none where something is printed instead."""
    names = [text for text in flags.words if not is_word(text)]
    words = parse_words((text for text in flags.words if is_word(text)), flags.called)
    if flags.list or not (names or words or flags.saved or flags.help):
        printed.print_recipes(recipe for name in names or [None] for recipe in select(name))
        return []
    if flags.saved and names:
        raise UserError(f"--from repeats a run and takes no recipe, got '{' '.join(names)}' on the command line")
    if flags.help and not names:
        print(printed.USAGE)
        return []
    if not names and not flags.saved:
        raise UserError(f"no recipe is named beside {words[0].source}: --list shows all")
    recipe = resolve(names) if names else None
    if recipe and flags.help:
        _help(recipe, words)
        return []
    return _jobs(recipe, words, flags)


def _train(flags: argparse.Namespace) -> list[Composed]:
    """The jobs that the words of tools/train.py name; none where something is printed instead."""
    stray = [text for text in flags.words if not is_word(text)]
    if stray:
        raise UserError(f"cannot read '{stray[0]}': settings are key=value, an experiment is +user=NAME")
    if flags.help:
        print(printed.USAGE.replace("RECIPE ", "+user=NAME ").replace("run.py", "train.py"))
        return []
    return _jobs(None, parse_words(flags.words), flags)


def _jobs(recipe: Recipe | None, words: list[Word], flags: argparse.Namespace) -> list[Composed]:
    """Compose every job before any of them runs."""
    runs = combinations(words) if flags.multirun else [(words, "")]
    if flags.saved:
        return [compose_saved(flags.saved, combination, suffix) for combination, suffix in runs]
    return [compose(recipe, combination, suffix) for combination, suffix in runs]


def _start(jobs: list[Composed], flags: argparse.Namespace, naming: str) -> int:
    if flags.verbose or debugging():
        for job in jobs:
            print(*job.placed, sep="\n", file=sys.stderr)
    if flags.cfg or flags.info:
        for number, job in enumerate(jobs):
            if number:
                print("---")
            if flags.info:
                print_info(job, flags.info)
            else:
                print_tree(job, flags.package, flags.resolve)
    elif flags.describe:
        for job in jobs:
            describe(job.config, flags.describe)
    elif flags.dry_run:
        for job in jobs:
            check_job(job)
            print(summary(job.config))
    else:
        return _run_jobs(jobs, flags.hydra.settings, naming)
    return 0


def _run_jobs(jobs: list[Composed], launcher: Settings, naming: str) -> int:
    def tell(job: Composed, finished: bool) -> None:
        if not finished:
            added = f" with {naming.format(job.made_up)}" if job.made_up else ""
            note(f"the same command{added} goes on from here")

    def run(job: Composed) -> Summary:
        ended = run_composed(job)
        tell(job, bool(ended.code) or ended.state == "finished")
        return ended

    if any(isinstance(job.config, RunConfig) for job in jobs):
        go_on_unheard()
    if len(jobs) > 1 or not isinstance(launcher, BasicSettings):
        return run_many(jobs, launcher, run)
    if not jobs:
        return 0
    code, _, finished = execute(jobs[0].config)
    tell(jobs[0], bool(code) or finished)
    return code


def _help(recipe: Recipe, words: list[Word]) -> None:
    config: Config | None = None
    try:
        config = compose(recipe, words).config
    except UserError:
        if words:
            raise
    model = type(config) if config else KINDS["train"].model
    mission = build_mission(config.mission) if config and config.mission else None
    printed.print_recipe(recipe, model, config, mission, search_path(words))
