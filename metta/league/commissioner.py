"""Conducts the seasons: takes policies on and out, plans matches, ranks. One server of a league does it at a time."""

import socket
import threading
import uuid
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from metta.common.logging import warn
from metta.eval.match import Match as MatchSpec
from metta.eval.match import Player
from metta.league import records
from metta.league.league import League
from metta.league.rating.ranking import rank
from metta.league.scheduling import plan
from metta.league.seasons import PoolSettings, SeasonSettings
from metta.league.server.answers import status_of
from metta.league.server.work import give_up
from metta.league.store import jobs, matches, policies, seasons
from metta.league.store.results import Results, as_lineup, pool_record
from metta.league.store.schema import (
    Duty,
    Entry,
    Id,
    Match,
    MatchPlayer,
    Pool,
    RankPoint,
    Season,
    Standing,
    Version,
    now,
)

PAUSE = 1.0  # seconds between looks
TERM = timedelta(seconds=15)  # for which a server has the duty
DUTY = "commissioner"


class Commissioner:
    """Conducts all seasons of a league."""

    def __init__(self, league: League) -> None:
        self._league = league
        self._name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"[:64]
        self._results: defaultdict[Id, Results] = defaultdict(Results)

    def conduct(self, over: threading.Event) -> None:
        """Look at the seasons again and again until it is over."""
        while not over.wait(PAUSE):
            try:
                self.look()
            except Exception as error:  # a database that is down may be back at the next look
                warn(f"{DUTY}: {type(error).__name__}: {' '.join(str(error).split())[:500]}")

    def look(self) -> None:
        """Do what is to be done now; nothing where another server has the duty."""
        with self._league.database.transaction() as session:
            if not self._has_duty(session):
                return
            jobs.bury(session, self._league.settings.jobs, give_up)
            running = [season.id for season in seasons.list_seasons(session, include_hidden=True)]
        for season_id in running:
            with self._league.database.transaction() as session:
                season = session.get_one(Season, season_id)
                if status_of(season) == "in_progress":
                    self._look_at(session, season)

    def _has_duty(self, session: Session) -> bool:
        duty = session.scalar(select(Duty).where(Duty.name == DUTY).with_for_update())
        if duty is None:
            session.add(Duty(name=DUTY, holder=self._name, until=now() + TERM))
            return True
        if duty.holder != self._name and duty.until > now():
            return False
        duty.holder, duty.until = self._name, now() + TERM
        return True

    def _look_at(self, session: Session, season: Season) -> None:
        settings = seasons.settings_of(season)
        missions = settings.build_missions()
        for place, pool in enumerate(season.pools):
            rules = settings.pool(pool.name)
            entries = list(session.scalars(select(Entry).where(Entry.pool_id == pool.id)))
            following = season.pools[place + 1] if place + 1 < len(season.pools) else None
            for entry in entries:
                if entry.retired_at is None:
                    _judge(session, rules, entry, following)
            record = pool_record(settings, rules, missions, entries, self._results[pool.id].of(session, pool))
            if season.engine == self._league.engine:
                _plan(session, settings, pool, record)
        last = season.pools[-1]
        if season.ranked != season.results:
            entries = list(session.scalars(select(Entry).where(Entry.pool_id == last.id)))
            record = pool_record(
                settings, settings.leaderboard_pool, missions, entries, self._results[last.id].of(session, last)
            )
            _rank(session, season, rank(record, settings.score))
            season.ranked_results = len(record.results)


def _plan(session: Session, settings: SeasonSettings, pool: Pool, record: records.Pool) -> None:
    """Plan matches of a pool, as many as may be outstanding."""
    under_way = session.scalars(select(Match).where(Match.pool_id == pool.id, Match.finished_at.is_(None)))
    widths = {str(line.version_id): line.high - line.low for line in seasons.standings_of(session, pool.season)}
    record = replace(record, pending=tuple(map(as_lineup, under_way)), widths=widths)
    if (room := settings.outstanding - len(record.pending)) <= 0:
        return
    missions = settings.build_missions()
    for lineup in plan(record, room):
        versions = [session.get_one(Version, uuid.UUID(policy)) for policy in lineup.policies]
        teams = lineup.teams or (None,) * len(versions)
        players = list(zip(versions, lineup.seats, teams, strict=True))
        spec = MatchSpec(
            mission=missions[lineup.mission],
            players=tuple(
                Player(policy=version.digest or "", seats=seats, name=policies.label(version), team=team)
                for version, seats, team in players
            ),
            seeds=lineup.seeds,
            map_seeds=lineup.map_seeds,
            action_timeout_ms=settings.action_timeout_ms,
            engine=pool.season.engine,
        )
        matches.plan_match(session, pool, lineup.mission, spec.model_dump(mode="json"), players)


def _judge(session: Session, rules: PoolSettings, entry: Entry, following: Pool | None) -> None:
    """Take an entry out of its pool, or on to the next, where it is time for that."""
    if entry.version.status == "refused":
        return seasons.retire(session, entry, f"refused: {entry.version.reason}")
    if entry.failed >= rules.failures:
        return seasons.retire(session, entry, f"{entry.failed} matches failed through its own fault")
    if rules.threshold is None or following is None or entry.completed < rules.matches:
        return
    taken = select(Entry.version_id).where(Entry.pool_id == following.id, Entry.version_id == entry.version_id)
    if session.scalar(taken):
        return
    mean = _mean_score(session, entry)
    if mean < rules.threshold:
        return seasons.retire(session, entry, f"mean score {mean:.3f}, below {rules.threshold:g}")
    session.add(Entry(pool_id=following.id, version_id=entry.version_id, pool=following, version=entry.version))
    seasons.note(session, following, entry.version, "promoted", f"mean score {mean:.3f} in {entry.pool.name}")


def _mean_score(session: Session, entry: Entry) -> float:
    query = select(func.avg(MatchPlayer.score)).join(Match, MatchPlayer.match_id == Match.id)
    query = query.where(Match.pool_id == entry.pool_id, MatchPlayer.version_id == entry.version_id)
    return float(session.scalar(query) or 0.0)


def _rank(session: Session, season: Season, standings: list[records.Standing]) -> None:
    """Keep a leaderboard in place of the one before, and the ranks that have changed for their history."""
    before = {line.version_id: line.rank for line in seasons.standings_of(session, season)}
    session.execute(delete(Standing).where(Standing.season_id == season.id))
    lines = [
        {
            "season_id": season.id, "version_id": uuid.UUID(line.policy), "rank": line.rank,
            "first_rank": line.ranks[0], "last_rank": line.ranks[1], "score": line.score, "low": line.ci95[0],
            "high": line.ci95[1], "rating": line.rating, "matches": line.matches, "details": dict(line.details),
        }
        for line in standings
    ]  # fmt: skip
    if lines:
        session.execute(insert(Standing), lines)
    moved = [line for line in lines if before.get(line["version_id"]) != line["rank"]]
    if moved:
        kept = ("season_id", "version_id", "rank", "score")
        points = [{**{key: line[key] for key in kept}, "results": season.results, "at": now()} for line in moved]
        session.execute(insert(RankPoint), points)
    season.ranked, season.ranked_at = season.results, now()
