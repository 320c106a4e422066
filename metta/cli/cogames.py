"""The `cogames` command: its commands by name. What each does is in the module of its topic."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

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
from metta.common.commands import guarded
from metta.common.errors import UserError

NAME = "cogames"
app = typer.Typer(
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
HELP = {contests.SCRIMMAGE: "Play episodes with one policy for all cogs and report its metrics."}  # else the docstring
for group, commands in GROUPS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=group, hidden=name in ALIASES, help=HELP.get(name))(command)
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
    """Play, train and evaluate CoGsGuard policies."""
    context.obj = Instead.check if dry_run else Instead.print if cfg else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code (docs/cli.md)."""
    return guarded(lambda: _run(sys.argv[1:] if argv is None else list(argv)))


def _run(argv: Sequence[str]) -> int:
    if "_COGAMES_COMPLETE" in os.environ:  # the shell asks; typer answers and exits
        app(prog_name=NAME)
    command = typer.main.get_command(app)
    try:
        with command.make_context(NAME, list(argv) or ["--help"]) as context:
            return command.invoke(context) or 0
    except typer.Exit as done:  # after --help
        return done.exit_code
    except UsageError as error:
        if text := getattr(error, "format_message", error.__str__)():
            raise UserError(text) from None
        return 0  # a group without a command has shown its help


if __name__ == "__main__":
    sys.exit(main())
