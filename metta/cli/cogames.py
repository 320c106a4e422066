"""The `cogames` command: its commands by name. What each does is in the module of its topic."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script, install

from metta.cli import (
    auth,
    contests,
    league,
    league_admin,
    missions,
    pages,
    play,
    policies,
    setup,
    train,
    tutorial,
    verify,
)
from metta.cli.jobs import Instead
from metta.common.commands import at_home, guarded
from metta.common.docstrings import docstring
from metta.common.errors import UserError, suggest

NAME = "cogames"
ASKS = "_COGAMES_COMPLETE"  # variable in which a shell says what it asks
SHELLS = ("bash", "zsh", "fish")
app = typer.Typer(
    help="Play, train and evaluate CoGsGuard policies.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The base of what typer raises for bad usage: click's, or that of typer's own copy of click, by version.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

GROUPS = {
    "Watch": {"play": play.play, "replay": play.replay},
    "Measure": {
        contests.SCRIMMAGE: contests.run,
        "run": contests.run,
        "evaluate": contests.run,
        "eval": contests.run,
        "pickup": contests.pickup,
        "diagnose": contests.diagnose,
        "verify": verify.verify,
    },
    "Train": {"train": train.train},
    "Missions": {
        "missions": missions.missions,
        "describe": missions.describe,
        "variants": missions.variants,
        "evals": missions.evals,
        "make-mission": missions.make_mission,
    },
    "Policies": {
        "policies": policies.policies,
        "make-policy": policies.make_policy,
        "create-bundle": policies.create_bundle,
        "validate-bundle": policies.validate_bundle,
    },
    "League": {
        "login": auth.login,
        "upload": league.upload,
        "submit": league.submit,
        "submissions": league.submissions,
        "seasons": league.seasons,
        "leaderboard": league.leaderboard,
        "matches": league.matches,
    },
    "Help": {"setup": setup.setup, "docs": pages.docs, "version": pages.version},
}
ALIASES = ("evaluate", "eval")  # of run
# What --dry-run and --cfg are for.
JOBS = ("play", *GROUPS["Measure"], *GROUPS["Train"], *GROUPS["League"], "auth", "league", "tutorial")
HELP = {contests.SCRIMMAGE: "Play episodes with one policy for all cogs and report its metrics."}  # else the docstring
for group, commands in GROUPS.items():
    for name, command in commands.items():
        told = HELP.get(name) or docstring(command)
        app.command(name, rich_help_panel=group, hidden=name in ALIASES, help=told)(command)
app.add_typer(auth.auth, name="auth", rich_help_panel="League")
app.add_typer(league_admin.league, name="league", rich_help_panel="League")
app.add_typer(tutorial.tutorial, name="tutorial", rich_help_panel="Help")


class Job(StrEnum):
    """What --cfg prints."""

    job = "job"


@app.callback()
def options(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compose and check the job, start nothing")] = False,
    cfg: Annotated[Job | None, typer.Option(help="print the whole composed job, start nothing")] = None,
) -> None:
    """What comes before the command."""
    context.obj = Instead.check if dry_run else Instead.print if cfg else None
    if context.obj and context.invoked_subcommand not in JOBS:
        jobs = ", ".join(name for name in JOBS if name not in ALIASES)
        raise UserError(f"{context.obj}: {context.invoked_subcommand} starts no job, as {jobs} do")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code (docs/cli.md)."""
    return guarded(lambda: _run(sys.argv[1:] if argv is None else list(argv)))


def _completion(argv: Sequence[str]) -> int | None:
    """Install or show what a shell needs to complete words, where the shell is named behind the flag; else typer finds
    out which one it is."""
    flag, _, shell = "=".join(argv).partition("=")
    if flag not in ("--install-completion", "--show-completion") or not shell:
        return None
    if shell not in SHELLS:
        raise UserError(f"{flag}: no shell '{shell}'{suggest(shell, SHELLS)}; one of {', '.join(SHELLS)}")
    if flag == "--show-completion":
        print(get_completion_script(prog_name=NAME, complete_var=ASKS, shell=shell))
    else:
        print(f"{shell} completion is installed in {install(shell, NAME, ASKS)[1]}, for shells started from now on")
    return 0


def _run(argv: Sequence[str]) -> int:
    if ASKS in os.environ:  # the shell asks; typer answers and exits
        app(prog_name=NAME)
    if (code := _completion(argv)) is not None:
        return code
    command = typer.main.get_command(app)
    try:
        with command.make_context(NAME, [at_home(word) for word in argv] or ["--help"]) as context:
            return command.invoke(context) or 0
    except typer.Exit as done:  # after --help
        return done.exit_code
    except UsageError as error:
        if text := _elsewhere(error) or getattr(error, "format_message", error.__str__)():
            raise UserError(text) from None
        return 0  # a group without a command has shown its help


def _elsewhere(error: Exception) -> str:
    """What to type instead of an option that a command has in another place, or under another name; else ''."""
    option, context = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    if context is None or context.parent is None:
        return ""
    command = context.command_path.removeprefix(f"{NAME} ")
    if option == "--json" and any("--format" in one.opts for one in context.command.params):
        return f"{command} has no --json: --format json prints JSON"
    if option in ("--dry-run", "--cfg") and command.split()[0] in JOBS:
        typed = next(flag for flag in Instead if flag.startswith(option))
        return f"{option} comes before the command: {NAME} {typed} {command} …"
    return ""


if __name__ == "__main__":
    sys.exit(main())
