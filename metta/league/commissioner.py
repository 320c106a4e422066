"""Conducts the seasons: takes policies on and out, plans matches, ranks. One server of a league does it at a time, in a
process of its own, so that no reader waits for it."""

import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from metta.common.background import in_background
from metta.common.commands import guarded
from metta.common.logging import warn
from metta.eval.match import Match as MatchSpec
from metta.eval.match import Player
from metta.executors.process import received
from metta.game.mission import Mission
from metta.league import records
from metta.league.league import League, open_league
from metta.league.rating.ranking import standings
from metta.league.scheduling import plan
from metta.league.seasons import PoolSettings, SeasonSettings
from metta.league.server.answers import status_of
from metta.league.server.work import give_up
from metta.league.settings import LeagueSettings
from metta.league.store import history, jobs, matches, policies, results, seasons
from metta.league.store.schema import (
    Duty,
    Entry,
    Id,
    Match,
    MatchPlayer,
    Pool,
    Season,
    Standing,
    Version,
    now,
)

PAUSE = 1.0  # seconds between looks
REST = 9.0  # for so many times the time that ranking took a season is not ranked anew
SWEEP = 60.0  # seconds between looks for uploads that nobody has completed
TERM = timedelta(seconds=15)  # for which a server has the duty
DUTY = "commissioner"


class Commissioner:
    """Conducts all seasons of a league."""

    def __init__(self, league: League) -> None:
        self._league = league
        self._name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"[:64]
        self._results: dict[Id, results.Results] = {}  # by season: of its last pool
        self._rested: dict[Id, float] = {}  # by season: when it may be ranked anew
        self._has_duty = False
        self._swept = -SWEEP

    def conduct(self, over: threading.Event) -> None:
        """Look at the seasons again and again until it is over; ranking, which takes longer, does not hold up the
        rest."""
        with in_background(partial(self._again, self.rank), "ranking"):
            self._again(self.plan, over)

    def look(self) -> None:
        """Do all that is to be done now; nothing where another server has the duty."""
        self._rested.clear()
        self.plan()
        self.rank()

    def _again(self, act: Callable[[], None], over: threading.Event) -> None:
        while not over.wait(PAUSE):
            try:
                act()
            except Exception as error:  # a database that is down may be back at the next look
                warn(f"{DUTY}: {type(error).__name__}: {' '.join(str(error).split())[:500]}")

    def plan(self) -> None:
        """Take policies on and out, and plan matches."""
        with self._league.database.transaction() as session:
            self._has_duty = _take_duty(session, self._name)
            running = [season.id for season in seasons.list_seasons(session, include_hidden=True)]
        if not self._has_duty:
            return
        with self._league.database.transaction() as session:
            jobs.bury(session, self._league.settings.jobs, give_up)
        _each(running, self._plan)
        if time.monotonic() > self._swept + SWEEP:
            self._sweep()
            self._swept = time.monotonic()

    def _plan(self, season_id: Id) -> None:
        with self._league.database.transaction() as session:
            season = session.get_one(Season, season_id)
            if status_of(season) != "not_started":
                _conduct(session, season, season.engine == self._league.engine)
            if not _take_duty(session, self._name):  # this took too long: what the other one plans counts
                session.rollback()

    def _sweep(self) -> None:
        """Remove what was uploaded and never completed."""
        with self._league.database.transaction() as session:
            for upload in policies.forgotten_uploads(session):
                self._league.files.remove(f"uploads/{upload.id}")
                session.delete(upload)

    def rank(self) -> None:
        """Rank the seasons whose results or entrants have changed, each after a rest; also those that are over, for the
        matches that were under way."""
        if not self._has_duty:
            return
        with self._league.database.reading() as session:
            changed = session.scalars(select(Season.id).where(Season.ranked != Season.results)).all()
        start = time.monotonic()
        _each([season_id for season_id in changed if start >= self._rested.get(season_id, start)], self._rank)

    def _rank(self, season_id: Id) -> None:
        start = time.monotonic()
        known = self._results.setdefault(season_id, results.Results())
        with self._league.database.reading() as session:
            season = session.get_one(Season, season_id)
            counted, last, score = season.results, season.pools[-1], seasons.settings_of(season).score
            active = results.active_policies(session, last)
            known.take_in(session, last)
        number, lines = len(known.ledger), standings(known.ledger.table(), active, score)
        with self._league.database.transaction() as session:
            season = session.get_one(Season, season_id, with_for_update=True)
            _keep(session, season, lines, counted)
            same = results.active_policies(session, season.pools[-1]) == active
            season.ranked, season.ranked_results, season.ranked_at = counted if same else seasons.STALE, number, now()
        with self._league.database.transaction() as session:
            history.thin_out(session, season_id)
        self._rested[season_id] = time.monotonic() + REST * (time.monotonic() - start)


def _each(season_ids: Iterable[Id], act: Callable[[Id], None]) -> None:
    """Do something with every season, whatever goes wrong with another; what went wrong first is raised at the end."""
    errors: list[Exception] = []
    for season_id in season_ids:
        try:
            act(season_id)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _take_duty(session: Session, name: str) -> bool:
    """Whether the server of that name has the duty; it has it now where nobody else does."""
    duty = session.scalar(select(Duty).where(Duty.name == DUTY).with_for_update())
    if duty is None:
        session.add(Duty(name=DUTY, holder=name, until=now() + TERM))
        return True
    if duty.holder != name and duty.until > now():
        return False
    duty.holder, duty.until = name, now() + TERM
    return True


def _conduct(session: Session, season: Season, plays: bool) -> None:
    """Take policies of a season on and out; plan matches where its engine `plays`."""
    settings = seasons.settings_of(season)
    missions = settings.build_missions()
    for place, pool in enumerate(season.pools):
        following = season.pools[place + 1] if place + 1 < len(season.pools) else None
        _judge(session, settings.pool(pool.name), pool, following)
        if plays:
            _plan(session, settings, missions, pool)


def _plan(session: Session, settings: SeasonSettings, missions: dict[str, Mission], pool: Pool) -> None:
    """Plan matches of a pool, as many as may be outstanding. Those that wait when somebody comes are planned anew: the
    newcomer is a partner too."""
    rules = settings.pool(pool.name)
    valid = select(func.count()).select_from(Entry).join(Version).where(Entry.pool_id == pool.id)
    entrants = session.scalars(valid.where(Version.status == "valid")).one()
    if entrants != pool.planned_for:
        matches.lock(session, pool.season_id)
        matches.withdraw(session, pool.id)
        pool.planned_for = entrants
    room = settings.outstanding - matches.under_way(session, [pool]).total()
    left = select(Entry.id).where(Entry.pool_id == pool.id, Entry.retired_at.is_(None))
    left = left.where(Entry.completed + Entry.pending < rules.matches)
    if room <= 0 or session.scalar(left.limit(1)) is None:
        return
    record = results.pool_record(session, settings, missions, pool)
    lineups = plan(record, room, partial(results.met, session, pool))
    matches.lock(session, pool.season_id)
    for lineup in lineups:
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


def _judge(session: Session, rules: PoolSettings, pool: Pool, following: Pool | None) -> None:
    """Take entries out of a pool, or on to the next, where it is time for that."""
    ends = [Version.status == "refused", Entry.failed >= rules.failures]
    if following is not None:
        on = select(Entry.version_id).where(Entry.pool_id == following.id)
        ends.append((Entry.completed >= rules.matches) & Entry.version_id.not_in(on))
    query = select(Entry).join(Version).where(Entry.pool_id == pool.id, Entry.retired_at.is_(None), or_(*ends))
    found = session.scalars(query.order_by(Entry.created_at, Entry.id)).all()
    if found:
        matches.lock(session, pool.season_id)
    for entry in found:
        if entry.version.status == "refused":
            seasons.retire(session, entry, f"refused: {entry.version.reason}")
        elif entry.failed >= rules.failures:
            seasons.retire(session, entry, f"{entry.failed} matches failed through its own fault")
        else:
            assert following is not None
            _take_on(session, entry, rules.threshold, following)


def _take_on(session: Session, entry: Entry, threshold: float | None, following: Pool) -> None:
    """An entry that has played all its matches goes on, or is out. What failed is no match of anybody's."""
    query = select(func.avg(MatchPlayer.score)).join(Match, MatchPlayer.match_id == Match.id)
    query = query.where(Match.pool_id == entry.pool_id, Match.status == "completed")
    mean = float(session.scalar(query.where(MatchPlayer.version_id == entry.version_id)) or 0.0)
    if threshold is not None and mean < threshold:
        return seasons.retire(session, entry, f"mean score {mean:.3f}, below {threshold:g}")
    session.add(Entry(pool_id=following.id, version_id=entry.version_id, pool=following, version=entry.version))
    seasons.note(session, following, entry.version, "promoted", f"mean score {mean:.3f} in {entry.pool.name}")


def _keep(session: Session, season: Season, lines: list[records.Standing], counted: int) -> None:
    """Keep a leaderboard in place of the one before, and the ranks that have changed for their history."""
    ranks = select(Standing.version_id, Standing.rank).where(Standing.season_id == season.id)
    before = {row.version_id: row.rank for row in session.execute(ranks)}
    session.execute(delete(Standing).where(Standing.season_id == season.id))
    rows = [results.as_row(line, season) for line in lines]
    if rows:
        session.execute(insert(Standing), rows)
    moved = [row for row in rows if before.get(row["version_id"]) != row["rank"]]
    history.add_points(session, season.id, counted, moved)


def main() -> int:
    """Conduct the seasons of a league until its server is gone, which gives its settings."""
    league = open_league(LeagueSettings.model_validate_json(received()))
    Commissioner(league).conduct(threading.Event())
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
