#!/usr/bin/env python3
"""How many episodes a league plays: matches wait in its database, its server hands them out, workers play them.

Of scripted policies two share a match; of code there is a policy for each seat, each in a sandbox of its own.
"""

import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of, positive
from benchmarks.league_server import serving_league
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.common.ranks import available_cores
from metta.eval.match import Match, Player, engine_version
from metta.league import accounts
from metta.league.files import Folder
from metta.league.league import SQLITE
from metta.league.play import look_at
from metta.league.sandbox.probe import probe
from metta.league.seasons import SeasonSettings
from metta.league.store import matches, policies, seasons
from metta.league.store.database import Database
from metta.league.store.schema import Match as Row
from metta.league.store.schema import Version
from metta.policy.hosted.submission import create_bundle
from metta.policy.hosted.templates import make_policy_template

SCRIPTED = ("role", "starter")
KINDS = ("scripted", "code")
LOOK = 0.25  # seconds between looks at the database
LONGEST = 600  # seconds for the workers to begin
LEASED = 4  # matches that a worker has at a time


@dataclass(frozen=True)
class League:
    """The database and the files of a league that is being measured."""

    database: Database
    files: Folder
    folder: Path

    def add(self, name: str, bundle: Path) -> Version:
        """A version that is valid already."""
        kind, digest = look_at(bundle)
        content = bundle.read_bytes()
        sha = sha256(content).hexdigest()
        self.files.write(f"bundles/{sha}", content)
        with self.database.transaction() as session:
            user = accounts.add_user(session, name, None)
            version, _ = policies.add_version(session, user, name, sha, len(content))
            policies.judge(session, version.id, None, digest, kind)
        return version


def prepare(folder: Path, args: Namespace) -> tuple[League, SeasonSettings]:
    """An empty league with a season that plays the mission."""
    database = Database(f"sqlite:///{folder / SQLITE}")
    database.migrate()
    mission = {"name": args.mission, "max_steps": args.steps}
    tree = {"name": "measured", "default": True, "missions": [mission], "pools": [{"name": "all"}]}
    settings = SeasonSettings.model_validate(tree | {"replays": args.replays})
    with database.transaction() as session:
        seasons.add_season(session, settings, engine_version())
    return League(database, Folder(folder / "files", database.key("files")), folder), settings


def who_plays(league: League, kind: str, seats: int) -> list[tuple[Version, int]]:
    """The players of every match, with their seats."""
    if kind == "scripted":
        bundles = [create_bundle(name, league.folder / f"{name}.zip") for name in SCRIPTED]
        shares = [seats - seats // 2, seats // 2]
        return [(league.add(bundle.stem, bundle), own) for bundle, own in zip(bundles, shares, strict=True) if own]
    module = make_policy_template("scripted", league.folder / "mine.py")
    sys.path.insert(0, str(league.folder))
    try:  # of one content each, with a name of its own
        found = [create_bundle(f"class={module.stem}.MyPolicy", league.folder / f"{k}.zip") for k in range(seats)]
    finally:
        sys.path.remove(str(league.folder))
    return [(league.add(f"code-{bundle.stem}", bundle), 1) for bundle in found]


def plan(league: League, settings: SeasonSettings, players: Sequence[tuple[Version, int]], args: Namespace) -> None:
    """Matches that wait, more than can be played in the time, on seeds of their own."""
    [(name, mission)] = settings.build_missions().items()
    seated = tuple(Player(policy=version.digest or "", seats=seats) for version, seats in players)
    with league.database.transaction() as session:
        [pool] = seasons.find_season(session, settings.name).pools
        for number in range(args.matches):
            seeds = tuple(range(number * args.episodes, (number + 1) * args.episodes))
            match = Match(mission=mission, players=seated, seeds=seeds, map_seeds=seeds)
            spec = match.model_dump(mode="json")
            matches.plan_match(session, pool, name, spec, [(version, seats, None) for version, seats in players])


def watch(league: League, args: Namespace) -> dict[str, Any]:
    """Matches that end in the time after every worker may have ended one, from then to the last one's end. Raises
    UserError where matches fail, or none is left."""
    deadline = time.monotonic() + LONGEST
    while len(ends(league.database)) < args.workers:
        if time.monotonic() > deadline:
            raise UserError("no match ends; what the workers said is above")
        time.sleep(LOOK)
    time.sleep(args.seconds)
    while len(times := ends(league.database)) == args.workers:
        time.sleep(LOOK)
    if len(times) + LEASED * args.workers > args.matches:
        raise UserError(f"--matches {args.matches}: all were played before the time was over")
    count, seconds = len(times) - args.workers, times[-1] - times[args.workers - 1]
    return {"matches": count, "seconds": round(seconds, 1), "episodes_per_second": count * args.episodes / seconds}


def ends(database: Database) -> list[float]:
    """When each match that was played ended, in order. Raises UserError for one that failed."""
    with database.reading() as session:
        rows = session.execute(select(Row.status, Row.error, Row.finished_at).where(Row.finished_at.is_not(None))).all()
    if failed := [error for status, error, _ in rows if status == "failed"]:
        raise UserError(f"a match failed: {failed[0]}")
    return sorted(ended.timestamp() for _, _, ended in rows if ended)


def measure(kind: str, seats: int, args: Namespace) -> dict[str, Any]:
    """Serve a league in which such matches wait, with workers."""
    if kind == "code":
        probe().required()
    with tempfile.TemporaryDirectory(prefix="metta-matches-") as name:
        league, settings = prepare(Path(name), args)
        players = who_plays(league, kind, seats)
        plan(league, settings, players, args)
        with serving_league(Path(name), "--workers", str(args.workers)):
            found = watch(league, args)
        league.database.engine.dispose()
    return {"kind": kind, "players": len(players), **found}


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"{' and '.join(KINDS)}; default: both")
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--steps", type=at_least(1), default=1000, help="of an episode")
    parser.add_argument("--episodes", type=at_least(1), default=8, help="of a match")
    parser.add_argument("--matches", type=at_least(1), default=1000, help="that wait")
    parser.add_argument("--workers", type=at_least(1), default=available_cores(), help="default: one for each core")
    parser.add_argument("--seconds", type=positive, default=30.0, help="of measuring")
    parser.add_argument("--replays", action="store_true", help="keep replays")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    if unknown := set(args.kinds) - set(KINDS):
        raise UserError(f"{min(unknown)}: there are {' and '.join(KINDS)}")
    seats = mission_of(args.mission, max_steps=args.steps).agents
    rows = [measure(kind, seats, args) for kind in args.kinds or KINDS]
    if args.json:
        asked = {name: getattr(args, name) for name in ("mission", "steps", "episodes", "workers", "replays")}
        print(json.dumps({"benchmark": "league_matches", **asked, "machine": machine(), "rows": rows}))
        return 0
    for row in rows:
        print(f"{row['kind']:10} {row['players']} policies  {row['episodes_per_second']:6.2f} episodes/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
