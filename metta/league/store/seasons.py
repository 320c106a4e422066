"""Seasons in the database: their versions, who is in them, and their leaderboards."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from metta.common.errors import suggest
from metta.league.accounts import Caller
from metta.league.problems import ConflictError, ForbiddenError, MissingError, TooManyError
from metta.league.seasons import SeasonSettings
from metta.league.store import matches
from metta.league.store.policies import label, lock_user
from metta.league.store.schema import Change, Entry, Id, Policy, Pool, Season, Standing, User, Version, now

NAMED = 5  # seasons that are named where there is none such
STALE = -1  # no number of results
BEST_FIRST = (Standing.rank, Standing.version_id)  # of one rank are those with one score
ORDERS = {  # in which a leaderboard can be had, by name
    "rank": Standing.rank, "policy": func.lower(Policy.name), "score": Standing.score,
    "interval": Standing.high - Standing.low, "rating": Standing.rating, "matches": Standing.matches,
    "by": func.lower(User.name),
}  # fmt: skip
REFERENCE = re.compile(r"(.*?)(?::v?(\d{1,6}))?")


def add_season(session: Session, settings: SeasonSettings, engine: str) -> Season:
    """A season, or a new version of one: from then on the canonical one."""
    earlier = list(session.scalars(select(Season).where(Season.name == settings.name).with_for_update()))
    for season in earlier:
        season.canonical = False
        _call_off(session, season)
    season = Season(
        name=settings.name,
        version=1 + max((season.version for season in earlier), default=0),
        settings=settings.model_dump(mode="json"),
        engine=engine,
    )
    season.pools = [Pool(name=pool.name, place=place) for place, pool in enumerate(settings.pools)]
    session.add(season)
    session.flush()
    return season


def close(session: Session, season: Season) -> None:
    """End a season: no more entries, and no more matches but those under way."""
    matches.lock(session, season.id)
    season.disabled_at = now()
    _call_off(session, season)


def _call_off(session: Session, season: Season) -> None:
    for pool in season.pools:
        matches.withdraw(session, pool.id)


def settings_of(season: Season) -> SeasonSettings:
    """The settings of a season."""
    return SeasonSettings.model_validate(season.settings)


def list_seasons(session: Session, include_hidden: bool = False) -> list[Season]:
    """The canonical seasons that are open, the default one first."""
    found = session.scalars(select(Season).where(Season.canonical, Season.disabled_at.is_(None)).order_by(Season.name))
    shown = [season for season in found if include_hidden or not season.settings.get("hidden")]
    return sorted(shown, key=lambda season: not season.settings.get("default"))


def find_season(session: Session, reference: str) -> Season:
    """A season by NAME, its canonical version, or NAME:vN. Raises MissingError."""
    matched = REFERENCE.fullmatch(reference)
    name, number = matched.groups() if matched else (reference, None)
    query = select(Season).where(Season.name == name)
    query = query.where(Season.version == int(number)) if number else query.where(Season.canonical)
    season = session.scalar(query)
    if season is None:
        raise MissingError(f"Season '{reference}' not found{_near(session, name or '')}")
    return season


def _near(session: Session, name: str) -> str:
    """What else could be meant."""
    if newest := session.scalar(select(func.max(Season.version)).where(Season.name == name)):
        return f" (its newest version is {name}:v{newest})"
    names = [season.name for season in list_seasons(session)]
    return suggest(name.lower(), names) or (f" (there are {', '.join(names[:NAMED])})" if names else "")


def versions_of(session: Session, name: str) -> list[Season]:
    """All versions of a season, newest first. Raises MissingError."""
    known = find_season(session, name).name
    return list(session.scalars(select(Season).where(Season.name == known).order_by(Season.version.desc())))


def default_season(session: Session) -> Season | None:
    """The season that is entered where none is named."""
    return next(iter(list_seasons(session)), None)


@dataclass(frozen=True)
class Entered:
    """What came of entering a version in a season."""

    pools: list[str]  # in which it plays
    already: bool  # whether it was in before
    retired: str | None = None  # why it plays in none any more


def enter(session: Session, caller: Caller, season: Season, version: Version) -> Entered:
    """Enter a version in a season, once: who is in already stays in, who was retired stays out. Raises ForbiddenError,
    ConflictError, TooManyError where it may not."""
    wanted = [pool.id for pool in season.pools]
    entries = {
        entry.pool_id: entry
        for entry in session.scalars(select(Entry).where(Entry.version_id == version.id, Entry.pool_id.in_(wanted)))
    }
    if entries:
        playing = {pool_id for pool_id, entry in entries.items() if entry.retired_at is None}
        active = [pool.name for pool in season.pools if pool.id in playing]
        reasons = [] if active else [*why_retired(session, season, [version.id]).values()]
        return Entered(active, already=True, retired=reasons[-1] if reasons else None)
    _check_entry(session, caller, season, version)
    first = season.pools[0]
    session.add(Entry(pool_id=first.id, version_id=version.id, pool=first, version=version))
    note(session, first, version, "entered")
    session.flush()
    return Entered([first.name], already=False)


def _check_entry(session: Session, caller: Caller, season: Season, version: Version) -> None:
    settings = settings_of(season)
    lock_user(session, version.policy.user_id)
    if season.disabled_at or not season.canonical or (settings.ends_at and settings.ends_at <= now()):
        raise ConflictError(f"Season '{season.name}' (v{season.version}) is over")
    if version.status == "refused":
        raise ForbiddenError(f"Policy {label(version)} was refused: {version.reason}")
    mine = (
        select(func.count(Entry.version_id.distinct()))
        .join(Pool, Entry.pool_id == Pool.id)
        .join(Version, Entry.version_id == Version.id)
        .join(Policy, Version.policy_id == Policy.id)
        .where(Pool.season_id == season.id, Policy.user_id == version.policy.user_id, Entry.retired_at.is_(None))
    )
    if (session.scalar(mine) or 0) >= settings.versions_per_user:
        raise TooManyError(f"Season '{season.name}' takes {settings.versions_per_user} versions of one account", 86400)


def note(session: Session, pool: Pool, version: Version, action: str, notes: str | None = None) -> None:
    """Write down what happened to a version in a pool; the leaderboard is to be computed anew."""
    pool.season.ranked = STALE
    session.add(Change(pool_id=pool.id, version_id=version.id, action=action, notes=notes))


def retire(session: Session, entry: Entry, notes: str) -> None:
    """Take a version out of a pool, for a reason that its owner reads; its matches that wait are not played."""
    if entry.retired_at is None:
        entry.retired_at = now()
        matches.withdraw(session, entry.pool_id, entry.version_id)
        note(session, entry.pool, entry.version, "retired", notes)


def why_retired(session: Session, season: Season, versions: Sequence[Id]) -> dict[tuple[Id, str], str]:
    """Why versions were taken out of pools of a season, by version and pool, oldest first."""
    query = (
        select(Change.version_id, Pool.name, Change.notes)
        .join(Pool, Change.pool_id == Pool.id)
        .where(Pool.season_id == season.id, Change.version_id.in_(versions), Change.action == "retired")
        .order_by(Change.created_at)
    )
    return {(version_id, pool): notes or "" for version_id, pool, notes in session.execute(query)}


def entries_of(session: Session, season: Season, user_id: Id | None = None) -> list[list[Row[Any]]]:
    """Entries of a season by version, in the order of entering; those of a user alone if one is given. Rows, as of
    `leaderboard`: of each the pool's name, and what is known of the entry and its version."""
    query = (
        select(Pool.name.label("pool"), Version.id, Version.number, Version.status, Policy.name, Entry.created_at)
        .add_columns(Entry.retired_at, Entry.completed, Entry.failed, Entry.pending)
        .join_from(Entry, Pool, Entry.pool_id == Pool.id)
        .join(Version, Entry.version_id == Version.id)
        .join(Policy, Version.policy_id == Policy.id)
        .where(Pool.season_id == season.id)
        .order_by(Entry.created_at, Pool.place)
    )
    if user_id is not None:
        query = query.where(Policy.user_id == user_id)
    found: defaultdict[Id, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(query):
        found[row.id].append(row)
    return list(found.values())


def seasons_by_version(session: Session, user_id: Id) -> dict[Id, dict[Season, bool]]:
    """The seasons that each version of a user is in, and whether it takes part in the last of the pools that it came
    to."""
    rows = session.execute(
        select(Version.id, Season, Entry.retired_at)
        .join(Entry, Entry.version_id == Version.id)
        .join(Pool, Entry.pool_id == Pool.id)
        .join(Season, Pool.season_id == Season.id)
        .join(Policy, Version.policy_id == Policy.id)
        .where(Policy.user_id == user_id)
        .order_by(Season.name, Season.version, Pool.place)
    )
    found: defaultdict[Id, dict[Season, bool]] = defaultdict(dict)
    for version_id, season, retired_at in rows:
        found[version_id][season] = retired_at is None
    return dict(found)


def changes_of(session: Session, version_id: Id) -> Sequence[Change]:
    """What happened to a version in all its pools, oldest first."""
    return session.scalars(select(Change).where(Change.version_id == version_id).order_by(Change.created_at)).all()


def leaderboard(
    session: Session, season: Season, order: str = "rank", limit: int | None = None, offset: int = 0
) -> Sequence[Row[Any]]:
    """The leaderboard, or some lines of it, in one of ORDERS, backwards with a - before it: of each line what
    `standings` keeps, with the version's number, the policy's name and its user's. Rows, as objects of ten thousand
    policies would keep a core busy for seconds."""
    query = (
        select(*Standing.__table__.columns, Version.number, Policy.name, User.name.label("user"))
        .join(Version, Standing.version_id == Version.id)
        .join(Policy, Version.policy_id == Policy.id)
        .join(User, Policy.user_id == User.id)
        .where(Standing.season_id == season.id)
    )
    by = ORDERS[order.removeprefix("-")]
    query = query.order_by((by.desc() if order.startswith("-") else by.asc()).nulls_last(), *BEST_FIRST)
    return session.execute(query.limit(limit).offset(offset)).all()


def ranked(session: Session, season: Season) -> int:
    """How many lines the leaderboard has."""
    return session.scalar(select(func.count()).where(Standing.season_id == season.id)) or 0


def entrants(session: Session, season: Season) -> tuple[int, int]:
    """Versions that have entered a season, and those of them that still take part."""
    everybody = func.count(Entry.version_id.distinct())
    query = select(everybody, everybody.filter(Entry.retired_at.is_(None)))
    found, active = session.execute(query.where(Entry.pool_id.in_([pool.id for pool in season.pools]))).one()
    return found, active
