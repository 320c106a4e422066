"""The recipe runner behind tools/run.py and tools/train.py: read the words, compose, validate, run."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from metta.common.commands import Parser, guarded
from metta.common.errors import UserError
from metta.common.logging import debugging, note
from metta.common.ranks import begin
from metta.common.streams import go_on_unheard
from metta.config import help as printed
from metta.config.composition import Composed, combinations, compose, compose_saved
from metta.config.describe import FORMS, describe
from metta.config.dry_run import check_job
from metta.config.in_turn import run_in_turn
from metta.config.job import KINDS, Config
from metta.config.ranks import check_launched, refused
from metta.config.recipes import Recipe, resolve, select
from metta.config.run_job import execute
from metta.config.summary import summary
from metta.config.tree import to_yaml
from metta.config.words import Word, is_word, parse_word
from metta.game.missions import build_mission
from metta.rl.settings import RunConfig

NAMING = "run={}"
SWEEPS = "metta.sweep.command"  # by name, as it lies above


def run(argv: Sequence[str], naming: str = NAMING) -> int:
    """Run `tools/run.py` with these arguments; returns the exit code: 2 for bad input. `naming` is how the command that
    a person has typed names a run."""
    return _guarded(_run, argv, naming)


def train(argv: Sequence[str]) -> int:
    """Run `tools/train.py` with these arguments: the experiment that `+user=NAME` names, without a recipe."""
    return _guarded(_train, argv)


def _flags() -> Parser:
    parser = Parser(add_help=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--cfg", choices=["job"])
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--describe", choices=FORMS)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--sweep", metavar="NAME")
    parser.add_argument("--from", dest="saved", metavar="FOLDER")
    parser.add_argument("--format", choices=["table", "json", "yaml"])
    return parser


def _guarded(
    compose_jobs: Callable[[argparse.Namespace], list[Composed]], argv: Sequence[str], naming: str = NAMING
) -> int:
    def main() -> int:
        begin()
        try:
            flags = _flags().parse_intermixed_args(_with_forms(argv))
            if flags.format:  # the usual spelling of the word
                flags.words.append(f"format={flags.format}")
            if flags.sweep and not flags.help:
                return import_module(SWEEPS).sweep(flags)
            jobs = compose_jobs(flags)
            check_launched(jobs)
        except UserError as error:
            raise refused(error) from None
        return _start(jobs, flags, naming)

    return guarded(main)


def _with_forms(argv: Sequence[str]) -> list[str]:
    """The arguments with a form behind --describe, which takes none but these."""
    words: list[str] = []
    for word in argv:
        if words[-1:] == ["--describe"] and word not in FORMS:
            words.append("table")
        words.append(word)
    return [*words, "table"] if words[-1:] == ["--describe"] else words


def _run(flags: argparse.Namespace) -> list[Composed]:
    """The jobs that the words of tools/run.py name; none where something is printed instead."""
    names = [text for text in flags.words if not is_word(text)]
    words = [parse_word(text) for text in flags.words if is_word(text)]
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
    return _jobs(None, [parse_word(text) for text in flags.words], flags)


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
    if flags.cfg:
        print("---\n".join(to_yaml(job.config) for job in jobs), end="")
    elif flags.describe:
        for job in jobs:
            describe(job.config, flags.describe)
    elif flags.dry_run:
        for job in jobs:
            check_job(job)
            print(summary(job.config))
    else:
        return _run_jobs(jobs, naming)
    return 0


def _run_jobs(jobs: list[Composed], naming: str) -> int:
    def told(job: Composed) -> tuple[int, bool, bool]:
        code, stopped, finished = execute(job)
        if not (code or finished):
            added = f" with {naming.format(job.made_up)}" if job.made_up else ""
            note(f"the same command{added} goes on from here")
        return code, stopped, finished

    if any(isinstance(job.config, RunConfig) for job in jobs):
        go_on_unheard()
    return run_in_turn(jobs, told) if len(jobs) > 1 else told(jobs[0])[0] if jobs else 0


def _help(recipe: Recipe, words: list[Word]) -> None:
    config: Config | None = None
    try:
        config = compose(recipe, words).config
    except UserError:
        if words:
            raise
    model = type(config) if config else KINDS["train"].model
    printed.print_recipe(recipe, model, config, build_mission(config.mission) if config and config.mission else None)
