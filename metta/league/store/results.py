"""Pools and matches of the database as plain records, on which planning and scoring work."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, Text, cast, func, select
from sqlalchemy.orm import Session, aliased

from metta.eval.match import Seeds
from metta.game.mission import Mission
from metta.league import records
from metta.league.rating.table import Ledger
from metta.league.seasons import SeasonSettings
from metta.league.store.schema import Entry, Id, Match, MatchPlayer, Pool, Season, Standing, Version

OVERLAP = timedelta(minutes=2)  # in which a result that was written before may come to be seen after another
PAGE = 2_000  # results that are read at a time
SEEDS = TypeAdapter(Seeds)


def pool_record(session: Session, settings: SeasonSettings, missions: dict[str, Mission], pool: Pool) -> records.Pool:
    """A pool of a season as planning sees it; what came of its matches is not in it."""
    rules = settings.pool(pool.name)
    columns = (Entry.version_id, Entry.retired_at, Version.status, Entry.completed, Entry.failed, Entry.pending)
    entries = session.execute(select(*columns).join(Version).where(Entry.pool_id == pool.id))
    widths = select(Standing.version_id, Standing.high - Standing.low).where(Standing.season_id == pool.season_id)
    return records.Pool(
        name=rules.name,
        missions={name: mission.agents for name, mission in missions.items()},
        teams={
            name: dict(zip(mission.teams, mission.team_sizes, strict=True))
            for name, mission in missions.items()
            if len(mission.teams) > 1
        },
        entrants=tuple(
            records.Entrant(str(version_id), retired_at is None and status == "valid", *counts)
            for version_id, retired_at, status, *counts in entries
        ),
        matches=rules.matches,
        episodes=rules.episodes,
        partners=rules.partners,
        own_seats=tuple(rules.own_seats),
        seed=settings.seed,
        widths={str(version_id): width for version_id, width in session.execute(widths)},
    )


def met(session: Session, pool: Pool, policy: str) -> Mapping[str, int]:
    """How often a policy of a pool has met others, or is about to; matches that failed count for nothing."""
    own, other = aliased(MatchPlayer), aliased(MatchPlayer)
    query = (
        select(other.version_id, func.count())
        .join(own, own.match_id == other.match_id)
        .join(Match, Match.id == own.match_id)
        .where(own.version_id == Id(policy), other.version_id != Id(policy))
        .where(Match.pool_id == pool.id, Match.status != "failed")
        .group_by(other.version_id)
    )
    return {str(version_id): count for version_id, count in session.execute(query)}


def active_policies(session: Session, pool: Pool) -> list[str]:
    """Those that take part in a pool, in the order of their ids."""
    query = select(Entry.version_id).join(Version).where(Entry.pool_id == pool.id, Entry.retired_at.is_(None))
    return sorted(map(str, session.scalars(query.where(Version.status == "valid"))))


class Results:
    """What a pool's matches came to, read once."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.ledger = Ledger()
        self._late: dict[str, datetime] = {}  # those that are known of the time in which others may yet be seen
        self._newest: datetime | None = None

    def take_in(self, session: Session, pool: Pool) -> None:
        """Read what has come since; all of it anew where something came later than could be."""
        self._read_on(session, pool)
        counted = select(func.count()).where(Match.pool_id == pool.id, Match.status == "completed")
        if session.scalar(counted) != len(self.ledger):  # by a server whose clock is far behind, or after a long wait
            self._forget()
            self._read_on(session, pool)

    def _read_on(self, session: Session, pool: Pool) -> None:
        after = (self._newest - OVERLAP, Id(int=0)) if self._newest else None
        while page := _page(session, pool, PAGE, after):
            for ended, result in page:
                if result.match not in self._late:
                    self.ledger.add(result)
                    self._late[result.match] = ended
            self._newest, last = page[-1]
            after, since = (self._newest, Id(last.match)), self._newest - OVERLAP
            self._late = {match: ended for match, ended in self._late.items() if ended >= since}


def list_results(session: Session, pool: Pool, limit: int, after: Id | None) -> list[records.Result]:
    """What a pool's matches came to, in the order in which they ended; those after a match if one is given."""
    ended = session.scalar(select(Match.finished_at).where(Match.id == after)) if after else None
    return [result for _, result in _page(session, pool, limit, (ended, after) if ended and after else None)]


def _page(
    session: Session, pool: Pool, limit: int, after: tuple[datetime, Id] | None
) -> list[tuple[datetime, records.Result]]:
    """Matches that were played, in the order in which they ended, and when that was."""
    spec = [Match.spec[name].as_string().label(name) for name in ("seeds", "map_seeds")]
    query = select(Match.id, Match.finished_at, Match.mission, *spec)
    query = query.where(Match.pool_id == pool.id, Match.status == "completed")
    if after:
        ended, match_id = after
        query = query.where(Match.finished_at >= ended).where((Match.finished_at > ended) | (Match.id > match_id))
    some = query.order_by(Match.finished_at, Match.id).limit(limit).subquery()
    own = MatchPlayer.version_id, MatchPlayer.seats, MatchPlayer.team, cast(MatchPlayer.scores, Text).label("scores")
    whole = select(some, *own).join(MatchPlayer, MatchPlayer.match_id == some.c.id)
    rows = session.execute(whole.order_by(some.c.finished_at, some.c.id, MatchPlayer.place))
    grouped = ((first, list(players)) for first, players in groupby(rows, key=itemgetter(0, 1)))
    return [(ended, _as_result(pool.name, players)) for (_, ended), players in grouped]


def _as_result(pool: str, players: list[Row[Any]]) -> records.Result:
    """A match as scoring sees it, of the rows of its players."""
    match = players[0]
    teams = tuple(player.team for player in players)
    lineup = records.Lineup(
        mission=match.mission,
        policies=tuple(str(player.version_id) for player in players),
        seats=tuple(player.seats for player in players),
        seeds=_seeds(match.seeds),
        map_seeds=_seeds(match.map_seeds),
        teams=teams if any(teams) else (),
    )
    scores = tuple(tuple(json.loads(player.scores or "[]")) for player in players)
    return records.Result(match=str(match.id), pool=pool, lineup=lineup, scores=scores)


@lru_cache(maxsize=10_000)
def _seeds(text: str) -> tuple[int, ...]:
    """Many matches are played on the same seeds."""
    return SEEDS.validate_python(json.loads(text))


def as_standing(line: Row[Any]) -> records.Standing:
    """A line of a leaderboard, of `seasons.leaderboard`."""
    return records.Standing(
        policy=str(line.version_id), score=line.score, ci95=(line.low, line.high), rank=line.rank,
        ranks=(line.first_rank, line.last_rank), matches=line.matches, rating=line.rating, details=line.details,
    )  # fmt: skip


def as_row(standing: records.Standing, season: Season) -> dict[str, Any]:
    """A line of a leaderboard as it is kept."""
    line = asdict(standing)
    (low, high), (first, last) = line.pop("ci95"), line.pop("ranks")
    kept = {"season_id": season.id, "version_id": Id(line.pop("policy")), "low": low, "high": high}
    return {**line, **kept, "first_rank": first, "last_rank": last}
