"""Matches in the database: planned, played, looked at."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, union_all, update
from sqlalchemy.orm import Session, aliased, undefer

from metta.league.problems import ConflictError, MissingError
from metta.league.store import jobs
from metta.league.store.schema import Entry, Id, Job, Match, MatchPlayer, Pool, Season, Version, now

OPEN = ("pending", "running")  # what a match is that has not ended
AT_ONCE = 500  # matches that are withdrawn by one statement
LAST_FIRST = (Match.finished_at.is_(None), Match.finished_at.desc(), Match.created_at.desc(), Match.id)


def plan_match(
    session: Session, pool: Pool, mission: str, spec: dict[str, Any], players: Sequence[tuple[Version, int, str | None]]
) -> Match:
    """A match that waits for a worker: what is played, and each version with its number of seats, and its team."""
    match = Match(pool_id=pool.id, mission=mission, spec=spec)
    session.add(match)
    session.flush()
    for place, (version, seats, team) in enumerate(players):
        session.add(MatchPlayer(match_id=match.id, place=place, version_id=version.id, seats=seats, team=team))
    count(session, pool.id, {version.id for version, _, _ in players}, pending=1)
    jobs.add_job(session, jobs.MATCH, match.id, pool.season.engine)
    return match


def withdraw(session: Session, pool_id: Id, version_id: Id | None = None) -> None:
    """Take back the matches of a pool that no worker has ever had: all, or those of a version. What a worker has, or
    had, goes on."""
    query = select(Match.id).join(Job, Job.subject == Match.id).where(Job.status == "ready", Job.worker.is_(None))
    query = query.where(Match.pool_id == pool_id, Match.status == "pending")
    if version_id is not None:
        query = query.where(Match.id.in_(select(MatchPlayer.match_id).where(MatchPlayer.version_id == version_id)))
    waiting = session.scalars(query.with_for_update(of=Job, skip_locked=True)).all()  # what is leased now is locked
    players = Counter[Id]()
    for first in range(0, len(waiting), AT_ONCE):
        some = waiting[first : first + AT_ONCE]
        within = select(MatchPlayer.match_id, MatchPlayer.version_id).where(MatchPlayer.match_id.in_(some)).distinct()
        players.update(row.version_id for row in session.execute(within))
        session.execute(delete(MatchPlayer).where(MatchPlayer.match_id.in_(some)))
        session.execute(delete(Job).where(Job.subject.in_(some)))
        session.execute(delete(Match).where(Match.id.in_(some)))
    for player, number in sorted(players.items()):
        count(session, pool_id, {player}, pending=-number)


def count(session: Session, pool_id: Id, versions: set[Id], **changes: int) -> None:
    """Add to what is counted of versions in a pool."""
    values = {name: getattr(Entry, name) + number for name, number in changes.items()}
    for version_id in sorted(versions):  # in one order, so that no two wait for each other
        session.execute(update(Entry).where(Entry.pool_id == pool_id, Entry.version_id == version_id).values(values))


def end_match(
    session: Session,
    match: Match,
    result_hash: str,
    scores: Sequence[Sequence[float]],
    faults: Sequence[dict[str, int]],
) -> None:
    """A match was played: its hash, and of each player its score in each episode and its faults by kind."""
    _count_end(session, match)
    match.status, match.result_hash = "completed", result_hash
    for player, own, wrong in zip(match.players, scores, faults, strict=True):
        player.scores, player.score, player.faults = list(own), sum(own) / len(own), dict(wrong)


def judge_players(session: Session, match: Match, reports: Sequence[tuple[str, str]]) -> None:
    """Of each player why it stood still for the rest of a match that was played, if it did, and its log. Where somebody
    did, the match counts for nobody: it would be the partners' loss too."""
    failed = [player for player, (failure, _) in zip(match.players, reports, strict=True) if failure]
    for player, (failure, log) in zip(match.players, reports, strict=True):
        player.log = "\n".join(filter(None, [failure, log])) or None
    everyone = {player.version_id for player in match.players}
    if failed:
        names = ", ".join(dict.fromkeys(f"{one.version.policy.name}:v{one.version.number}" for one in failed))
        match.status, match.error = "failed", f"{names} stood still; the match counts for nobody"
        count(session, match.pool_id, everyone, pending=-1)
        count(session, match.pool_id, {player.version_id for player in failed}, failed=1)
    else:
        count(session, match.pool_id, everyone, pending=-1, completed=1)


def fail_match(session: Session, match: Match, error: str, lost: bool = False) -> None:
    """A match that could not be played, which is nobody's fault; but where it was `lost` with worker after worker and
    one policy played it alone, it is that one's."""
    _count_end(session, match)
    match.status, match.error = "failed", error
    everyone = {player.version_id for player in match.players}
    count(session, match.pool_id, everyone, pending=-1, failed=int(lost and len(everyone) == 1))


def _count_end(session: Session, match: Match) -> None:
    """One more match of a season has ended. Its row is locked from here on, before any entry (`lock`), so that matches
    end in the order in which others see it."""
    season = match.pool.season_id
    session.execute(update(Season).where(Season.id == season).values(results=Season.results + 1))
    match.finished_at = now()


def lock(session: Session, season_id: Id) -> None:
    """Let nobody else count for a season until the transaction ends. Whoever changes several of its entries does this
    first, so that no two wait for each other."""
    session.execute(select(Season.id).where(Season.id == season_id).with_for_update())


def get_match(session: Session, match_id: Id) -> Match:
    """Raises MissingError."""
    match = session.get(Match, match_id)
    if match is None:
        raise MissingError(f"match {match_id}: there is none such")
    return match


def list_matches(
    session: Session, season: Season, versions: Sequence[Id] | None = None, limit: int = 100, offset: int = 0
) -> list[Match]:
    """Matches of a season, those that ended last first, then those that have not ended; those of some versions alone
    if there are any."""
    pools = [pool.id for pool in season.pools]
    if versions:
        query = select(Match.id).where(Match.pool_id.in_(pools))
        query = query.where(Match.id.in_(select(MatchPlayer.match_id).where(MatchPlayer.version_id.in_(versions))))
    else:  # of each pool its last, as an index gives them; those of all at once would be sorted, however many
        ended = [select(Match.id).where(Match.pool_id == pool, Match.finished_at.is_not(None)) for pool in pools]
        parts = [part.order_by(Match.finished_at.desc()).limit(limit + offset).subquery() for part in ended]
        parts.append(select(Match.id).where(Match.pool_id.in_(pools), Match.status.in_(OPEN)).subquery())
        query = union_all(*(select(part.c.id) for part in parts))
    chosen = select(Match).where(Match.id.in_(query)).order_by(*LAST_FIRST)
    return list(session.scalars(chosen.limit(limit).offset(offset)))


def matches_of(session: Session, version_id: Id, limit: int, offset: int = 0) -> list[Match]:
    """Matches of a version in all seasons, as `list_matches`."""
    query = (
        select(Match).join(MatchPlayer, MatchPlayer.match_id == Match.id).where(MatchPlayer.version_id == version_id)
    )
    return list(session.scalars(query.order_by(*LAST_FIRST).limit(limit).offset(offset)))


def under_way(session: Session, pools: Sequence[Pool]) -> Counter[str]:
    """How many matches of some pools wait (pending) and are being played (running)."""
    query = select(Match.status, func.count()).where(Match.pool_id.in_([pool.id for pool in pools]))
    return Counter(dict(session.execute(query.where(Match.status.in_(OPEN)).group_by(Match.status)).all()))


@dataclass(frozen=True)
class Rival:
    """What came of a version's matches with another one: how many, and the mean score of each."""

    version: Version
    matches: int
    own: float
    other: float


def head_to_head(session: Session, version_id: Id, limit: int = 50) -> list[Rival]:
    """A version beside those it has played with, the most frequent first."""
    mine, other = aliased(MatchPlayer), aliased(MatchPlayer)
    number = func.count()
    query = (
        select(other.version_id, number, func.avg(mine.score), func.avg(other.score))
        .join(mine, (mine.match_id == other.match_id) & (mine.version_id == version_id))
        .join(Match, Match.id == mine.match_id)
        .where(other.version_id != version_id, Match.status == "completed")
        .group_by(other.version_id)
        .order_by(number.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    versions = session.scalars(select(Version).where(Version.id.in_([row[0] for row in rows])))
    known = {version.id: version for version in versions}
    return [Rival(known[found], count, float(own), float(theirs)) for found, count, own, theirs in rows]


def logs_of(session: Session, version_id: Id, limit: int) -> list[MatchPlayer]:
    """Last matches of a version in which something was printed or went wrong; for its owner."""
    query = select(MatchPlayer).options(undefer(MatchPlayer.log)).join(Match, MatchPlayer.match_id == Match.id)
    query = query.where(MatchPlayer.version_id == version_id, MatchPlayer.log.is_not(None))
    return list(session.scalars(query.order_by(*LAST_FIRST).limit(limit)))


def retry(session: Session, match_id: Id) -> None:
    """Have a match that failed played again. Raises MissingError, ConflictError for one that did not fail."""
    match = get_match(session, match_id)
    if match.status != "failed":
        raise ConflictError(f"match {match_id}: is {match.status}; only one that failed is played again")
    match.status, match.error, match.finished_at = "pending", None, None
    job = session.scalars(select(Job).where(Job.subject == match_id)).one()
    job.status, job.attempts, job.run_after = "ready", 0, now()
    count(session, match.pool_id, {player.version_id for player in match.players}, pending=1)
