#!/usr/bin/env python3
"""A league of many policies and matches on PostgreSQL: how quickly it answers, takes uploads in, plans and ranks.

Reads come at a fixed rate; each counts from the moment at which it was due, so that a slow answer delays those behind
it in the figures too. They come from several addresses, each within its limit.
"""

import http.client
import io
import itertools
import json
import resource
import sys
import tempfile
import threading
import time
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from sqlalchemy import delete, func, select, update

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, positive
from benchmarks.league_filling import SEASON, fill
from benchmarks.league_server import serving_league
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.league import accounts
from metta.league.client import Client
from metta.league.commissioner import Commissioner
from metta.league.league import open_league
from metta.league.server.pages import LINES
from metta.league.settings import LeagueSettings
from metta.league.store.database import Database
from metta.league.store.schema import Duty, Match, Season, Standing, Token, Upload
from metta.league.store.seasons import STALE, find_season
from tests.postgres import BINARIES, serving

CONNECTIONS = 40  # of the reads at a fixed rate, each from an address of its own
BOARD = f"/tournament/seasons/{SEASON}/leaderboard"
PAYLOAD = 100_000  # bytes of an upload
SINGLE = 20  # times that each other read is asked, one after another
LONGEST = 1800  # seconds for the first ranking
LOOKS, ROOM = 5, 10  # looks of the commissioner, and matches that each has to plan


@contextmanager
def database(args: Namespace) -> Iterator[str]:
    """The address of a database that is filled."""
    if args.database:
        yield args.database
        return
    if not BINARIES:
        raise UserError("PostgreSQL is not installed (apt-get install postgresql); --database names another one")
    with serving() as server:
        yield server.address


@dataclass
class Latencies:
    """Seconds that answers took, and what was none."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0  # of the last answer

    def told(self) -> dict[str, Any]:
        """In milliseconds."""
        quantiles = np.quantile(self.seconds, [0.5, 0.95, 0.99]) * 1000 if self.seconds else [float("nan")] * 3
        named = dict(zip(("p50_ms", "p95_ms", "p99_ms"), (round(float(value), 1) for value in quantiles), strict=True))
        return {"answers": len(self.seconds), "errors": len(self.errors), "bytes": self.bytes, **named}


class Reader:
    """A connection to the server from an address of this machine's own."""

    def __init__(self, server: str, number: int, headers: dict[str, str]) -> None:
        parts = urlsplit(server)
        self._headers = headers
        source = (f"127.0.1.{number + 1}", 0)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, 60, source)

    def get(self, path: str, into: Latencies, due: float) -> None:
        """Ask, and note how long after it was due the whole answer was there."""
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            into.bytes = len(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            into.errors.append(str(error))
            return
        if answer.status != 200:
            into.errors.append(f"{answer.status}")
        into.seconds.append(time.perf_counter() - due)


def at_a_rate(server: str, path: str, args: Namespace, headers: dict[str, str]) -> Latencies:
    """Ask for a path so many times a second, for some seconds."""
    found, turn, start = Latencies(), itertools.count(), time.perf_counter() + 1.0

    def read(number: int) -> None:
        reader = Reader(server, number, headers)
        while (due := start + next(turn) / args.rate) < start + args.seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            reader.get(path, found, due)

    at_once([partial(read, number) for number in range(CONNECTIONS)])
    return found


def one_after_another(server: str, path: str, headers: dict[str, str]) -> Latencies:
    """Ask for a path again and again."""
    found, reader = Latencies(), Reader(server, CONNECTIONS, headers)
    for _ in range(SINGLE):
        reader.get(path, found, time.perf_counter())
    return found


def at_once(acts: list[Callable[[], None]]) -> None:
    """Do all in threads."""
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ranked(address: str, server: Database) -> float:
    """Seconds until the season is ranked. Raises UserError where that takes too long."""
    start = time.monotonic()
    while time.monotonic() - start < LONGEST:
        with server.reading() as session:
            season = find_season(session, SEASON)
            if season.ranked_at is not None and season.ranked == season.results:
                return time.monotonic() - start
        time.sleep(0.5)
    raise UserError(f"{address}: not ranked within {LONGEST} s")


def others(server: Database, user_token: str) -> dict[str, tuple[str, dict[str, str]]]:
    """What else people read, by name: path and headers."""
    with server.reading() as session:
        season = find_season(session, SEASON)
        some = session.scalars(select(Standing.version_id).where(Standing.season_id == season.id, Standing.rank == 10))
        version = some.first()
        match = session.scalar(select(Match.id).order_by(Match.finished_at.desc()).limit(1))
        lines = select(func.count()).select_from(Standing).where(Standing.season_id == season.id)
        middle = 1 + session.scalars(lines).one() // LINES // 2
    page, own = {"Accept": "text/html"}, {"X-Auth-Token": user_token}
    tournament = f"/tournament/seasons/{SEASON}"
    return {
        "leaderboard, a page of it (HTML)": (f"/seasons/{SEASON}", page),
        "leaderboard, its middle page (HTML)": (f"/seasons/{SEASON}?page={middle}", page),
        "a policy (HTML)": (f"/policies/{version}", page),
        "a match (HTML)": (f"/matches/{match}", page),
        "season": (tournament, {}),
        "newest 100 matches": (f"{tournament}/matches", {}),
        "newest 100 matches of a policy": (f"{tournament}/matches?policy_version_ids={version}", {}),
        "own uploads": ("/stats/policy-versions", own),
        "own submissions": (f"{tournament}/policies?mine=true", own),
        "1,000 published results": (f"{tournament}/results?after={match}", {}),
        "who is in the season": (f"{tournament}/policies", {}),
        "basis of the leaderboard": (f"{tournament}/basis", {}),
    }


def people(server: Database, count: int) -> list[str]:
    """Tokens of accounts that upload; those of an earlier run are anew."""
    tokens = []
    with server.transaction() as session:
        for number in range(count):
            try:
                user = accounts.find_user(session, f"uploads-{number}")
            except UserError:
                user = accounts.add_user(session, f"uploads-{number}", None)
            session.execute(delete(Upload).where(Upload.user_id == user.id))
            session.execute(delete(Token).where(Token.user_id == user.id))
            tokens.append(accounts.issue_token(session, user, "user"))
    return tokens


def upload(server: str, token: str, folder: Path, found: Latencies) -> None:
    """Upload a bundle that is like no other, enter it in the season."""
    path, name = folder / f"{token[-8:]}.zip", f"policy-{time.time_ns()}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy_spec.json", json.dumps({"class_path": "mine.Policy"}))
        archive.writestr("mine.py", f"class Policy: ...\n# {name}")
        archive.writestr("data", io.BytesIO(np.random.default_rng().bytes(PAYLOAD)).read())
    client, start = Client(server, token), time.perf_counter()
    try:
        place = client.post("/stats/policies/submit/presigned-url")
        client.put_file(place["upload_url"], path)
        document = {"upload_id": place["upload_id"], "name": name, "season": SEASON}
        client.post("/stats/policies/submit/complete", document)
    except UserError as error:
        found.errors.append(str(error))
    found.seconds.append(time.perf_counter() - start)


def uploads(server: str, tokens: list[str], args: Namespace, folder: Path) -> dict[str, Any]:
    """So many accounts upload at a time, each some bundles."""
    found, start = Latencies(bytes=PAYLOAD), time.perf_counter()

    def act(token: str) -> None:
        for _ in range(args.each):
            upload(server, token, folder, found)

    at_once([partial(act, token) for token in tokens])
    return {**found.told(), "at_a_time": len(tokens), "seconds": round(time.perf_counter() - start, 1)}


def conducting(address: str, folder: Path) -> dict[str, Any]:
    """How long the commissioner takes for a look with plans to make, and to rank the season after it has begun."""
    league = open_league(LeagueSettings(data=str(folder), database=address, workers=0))
    commissioner, seconds = Commissioner(league), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with league.database.transaction() as session:
        session.execute(delete(Duty))
    with league.database.transaction() as session:
        find_season(session, SEASON).ranked = STALE
    for _ in range(1 + LOOKS):
        with league.database.transaction() as session:  # as if what was planned last had been played
            played = select(Match.id).where(Match.status == "pending").limit(ROOM)
            session.execute(update(Match).where(Match.id.in_(played)).values(status="failed"))
        start = time.perf_counter()
        commissioner.plan()
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    commissioner.look()
    first = time.perf_counter()
    with league.database.transaction() as session:
        find_season(session, SEASON).ranked = STALE
    commissioner.look()
    again = time.perf_counter() - first
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    league.database.engine.dispose()
    return {
        "look_seconds": round(float(np.median(seconds[1:])), 3), "first_ranking_seconds": round(first - start, 1),
        "next_ranking_seconds": round(again, 1), "megabytes": round(kept / 1024),
    }  # fmt: skip


def measure(args: Namespace, address: str, folder: Path) -> dict[str, Any]:
    """Everything, of a league at that database."""
    own = Database(address)
    own.migrate()
    with own.reading() as session:
        empty = not session.scalar(select(func.count(Season.id)))
    start = time.perf_counter()
    if empty:
        fill(address, args.policies, args.matches)
    found: dict[str, Any] = {"filled_seconds": round(time.perf_counter() - start, 1)}
    tokens = people(own, args.uploads)
    with serving_league(folder, "--database", address, "--workers", "0") as (server, _):
        found["ranked_seconds"] = round(ranked(address, own), 1)
        found["reads"] = {
            "leaderboard, packed": at_a_rate(server, BOARD, args, {"Accept-Encoding": "gzip"}).told(),
            "leaderboard": at_a_rate(server, BOARD, args, {}).told(),
        }
        with own.transaction() as session:
            find_season(session, SEASON).ranked = STALE
        ranking = at_a_rate(server, BOARD, args, {"Accept-Encoding": "gzip"})
        found["reads"]["leaderboard, packed, while it is computed"] = ranking.told()
        asked = others(own, tokens[0])
        found["other_reads"] = {
            name: one_after_another(server, path, headers).told() for name, (path, headers) in asked.items()
        }
        found["uploads"] = uploads(server, tokens, args, folder)
    found["conducting"] = conducting(address, folder)
    own.engine.dispose()
    return found


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policies", type=at_least(2), default=10_000)
    parser.add_argument("--matches", type=at_least(1), default=1_000_000)
    parser.add_argument("--rate", type=positive, default=200.0, help="leaderboards a second")
    parser.add_argument("--seconds", type=positive, default=20.0, help="for which they are asked for")
    parser.add_argument("--uploads", type=at_least(1), default=20, help="at a time")
    parser.add_argument("--each", type=at_least(1), default=5, help="uploads of each account")
    parser.add_argument("--database", help="postgresql+psycopg://…, filled if it is empty; default: a new server")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="metta-load-") as folder, database(args) as address:
        found = measure(args, address, Path(folder))
    if args.json:
        asked = {name: getattr(args, name) for name in ("policies", "matches", "rate", "seconds")}
        print(json.dumps({"benchmark": "league_load", **asked, "machine": machine(), **found}))
        return 0
    print(f"ranked {found['ranked_seconds']:.0f} s after the start; {found['conducting']}")
    for name, row in {**found["reads"], **found["other_reads"], "uploads": found["uploads"]}.items():
        print(f"{name:42} {row['p50_ms']:8.1f} {row['p95_ms']:8.1f} {row['p99_ms']:8.1f} ms  {row['errors']} errors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
