"""The flags by which every tool says whose runs it means, and the source that they mean."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from metta.common.commands import at_least
from metta.common.errors import UserError
from metta.common.logging import warn
from metta.common.wandb_client import PROJECT, logged_in
from metta.runs.local import LocalRuns
from metta.runs.remote import WandbRuns
from metta.runs.run import STATES, Query, Source

TRAIN_DIR = Path("train_dir")


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """W&B or a folder, and which of the runs there."""
    parser.add_argument("names", nargs="*", metavar="RUN", help="only runs of these names or patterns, 'anna.*'")
    parser.add_argument("--local", type=Path, metavar="FOLDER", help="runs in this folder, not those at W&B")
    parser.add_argument("--entity", help="team or user at W&B; default: WANDB_ENTITY, else the login's")
    parser.add_argument("--project", help=f"project at W&B; default: WANDB_PROJECT, else {PROJECT}")
    parser.add_argument("--tag", help="only runs with this tag")
    parser.add_argument("--group", help="only runs of this group")
    parser.add_argument("--days", type=at_least(1), help="only runs started in the last so many days")
    parser.add_argument("--state", choices=("any", *STATES), help="only runs in this state")


def source_of(flags: argparse.Namespace) -> Source:
    """The folder that --local names, else W&B; where nobody is logged in, train_dir, with a warning.

    Raises:
        UserError: there is nothing to read.
    """
    if flags.local is not None:
        if flags.entity or flags.project:
            raise UserError("--local: --entity and --project are of W&B; leave them or --local out")
        return LocalRuns(flags.local)
    if not logged_in() and not (flags.entity or flags.project) and TRAIN_DIR.is_dir():
        warn(f"no W&B login (wandb login, or WANDB_API_KEY): these are the runs in {TRAIN_DIR}")
        return LocalRuns(TRAIN_DIR)
    entity = flags.entity or os.environ.get("WANDB_ENTITY")
    return WandbRuns(entity, flags.project or os.environ.get("WANDB_PROJECT") or PROJECT)


def query_of(flags: argparse.Namespace, state: str = "any") -> Query:
    """Which runs the flags ask for; `state` where they do not say."""
    state = flags.state or state
    return Query(
        names=tuple(flags.names),
        state=None if state == "any" else state,
        tag=flags.tag,
        group=flags.group,
        since=None if flags.days is None else datetime.now(UTC) - timedelta(days=flags.days),
        limit=flags.limit,
    )
