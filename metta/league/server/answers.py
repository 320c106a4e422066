"""What the server answers, as the original's client reads it and a little more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Row

from metta.league.store.schema import Change, Id, Match, MatchPlayer, Pool, Season, Version, now
from metta.league.store.seasons import settings_of

Reasons = Mapping[tuple[Id, str], str]


class Error(BaseModel):
    detail: str = Field(description="what was wrong, in one line")


class UploadPlace(BaseModel):
    upload_url: str = Field(description="where to PUT the zip file, as application/zip")
    s3_key: str
    upload_id: Id
    expires_in: int = Field(description="seconds in which the address is good")


class Uploaded(BaseModel):
    id: Id
    name: str
    version: int
    status: str
    pools: list[str] | None = None
    submit_error: str | None = None
    retired: str | None = Field(default=None, description="why it plays in no pool of the season any more")


class VersionInfo(BaseModel):
    id: Id
    policy_id: Id
    name: str
    version: int
    user_id: str = Field(description="name of the account")
    created_at: datetime
    policy_created_at: datetime
    status: str = Field(description="validating, valid or refused")
    sha256: str
    size: int
    reason: str | None = Field(default=None, description="why it was refused; for its owner")

    @classmethod
    def of(cls, version: Version, owned: bool) -> "VersionInfo":
        policy = version.policy
        return cls(
            id=version.id, policy_id=policy.id, name=policy.name, version=version.number, user_id=policy.user.name,
            created_at=version.created_at, policy_created_at=policy.created_at, status=version.status,
            sha256=version.sha256, size=version.size, reason=version.reason if owned else None,
        )  # fmt: skip


class Versions(BaseModel):
    entries: list[VersionInfo]


class PolicyRef(BaseModel):
    id: Id
    name: str
    version: int

    @classmethod
    def of(cls, version: Version) -> "PolicyRef":
        return cls(id=version.id, name=version.policy.name, version=version.number)


class PoolInfo(BaseModel):
    id: Id
    name: str
    description: str
    config_id: Id


class SeasonSummary(BaseModel):
    id: Id
    name: str
    version: int
    canonical: bool
    summary: str
    entry_pool: str
    leaderboard_pool: str
    is_default: bool
    compat_version: str | None
    pools: list[PoolInfo]

    @classmethod
    def of(cls, season: Season) -> "SeasonSummary":
        return cls(**_summary(season))


class SeasonInfo(SeasonSummary):
    status: Literal["not_started", "in_progress", "complete"]
    display_name: str
    started_at: str | None
    tournament_type: Literal["policy"] = "policy"
    entrant_count: int
    active_entrant_count: int
    match_count: int
    stage_count: int
    engine: str = Field(description="version of the code that plays its matches")
    stands_still: bool = Field(description="whether the league has another version of it, so that none are played")
    settings: dict[str, Any] = Field(description="as its file says them")

    @classmethod
    def detailed(cls, season: Season, entrants: int, active: int, engine: str) -> "SeasonInfo":
        """`engine`: the version of the league's code."""
        settings = settings_of(season)
        started = settings.starts_at or season.created_at
        return cls(
            **_summary(season), status=status_of(season), display_name=settings.display_name or season.name,
            started_at=started.isoformat() if started <= now() else None, entrant_count=entrants,
            active_entrant_count=active, match_count=season.results, stage_count=len(season.pools),
            engine=season.engine, stands_still=season.engine != engine, settings=season.settings,
        )  # fmt: skip


class SeasonVersion(BaseModel):
    version: int
    canonical: bool
    disabled_at: str | None
    created_at: str
    compat_version: str | None

    @classmethod
    def of(cls, season: Season) -> "SeasonVersion":
        disabled = season.disabled_at.isoformat() if season.disabled_at else None
        return cls(
            version=season.version, canonical=season.canonical, disabled_at=disabled,
            created_at=season.created_at.isoformat(), compat_version=season.settings.get("compat_version"),
        )  # fmt: skip


class LeaderboardLine(BaseModel):
    rank: int
    policy: PolicyRef
    score: float
    matches: int
    ci95: tuple[float, float] = Field(description="interval of the score")
    ranks: tuple[int, int] = Field(description="first and last rank that are possible with it")
    rating: float | None = Field(description="OpenSkill: mu − 3 sigma")
    user: str

    @classmethod
    def of(cls, line: Row[Any]) -> "LeaderboardLine":
        """`line` as of `seasons.leaderboard`."""
        return cls(
            rank=line.rank, policy=PolicyRef(id=line.version_id, name=line.name, version=line.number),
            score=line.score, matches=line.matches, ci95=(line.low, line.high),
            ranks=(line.first_rank, line.last_rank), rating=line.rating, user=line.user,
        )  # fmt: skip


class Membership(BaseModel):
    pool_name: str
    active: bool
    completed: int
    failed: int
    pending: int
    reason: str | None = Field(default=None, description="why it was taken out; for its owner")

    @classmethod
    def of(cls, entry: Row[Any], reasons: Reasons) -> "Membership":
        """`entry` as of `seasons.entries_of`."""
        return cls(
            pool_name=entry.pool, active=entry.retired_at is None, completed=entry.completed,
            failed=entry.failed, pending=entry.pending, reason=reasons.get((entry.id, entry.pool)),
        )  # fmt: skip


class SeasonEntry(BaseModel):
    policy: PolicyRef
    pools: list[Membership]
    entered_at: str
    status: str = Field(description="of the version: validating, valid or refused")

    @classmethod
    def of(cls, entries: list[Row[Any]], reasons: Reasons) -> "SeasonEntry":
        """`entries` of one version, as of `seasons.entries_of`; `reasons` as of `seasons.why_retired`."""
        first = entries[0]
        return cls(
            policy=PolicyRef(id=first.id, name=first.name, version=first.number),
            pools=[Membership.of(entry, reasons) for entry in entries],
            entered_at=first.created_at.isoformat(), status=first.status,
        )  # fmt: skip


class MatchPlayerInfo(BaseModel):
    policy: PolicyRef
    num_agents: int
    score: float | None
    faults: dict[str, Any]

    @classmethod
    def of(cls, player: MatchPlayer) -> "MatchPlayerInfo":
        return cls(
            policy=PolicyRef.of(player.version), num_agents=player.seats, score=player.score, faults=player.faults
        )


class MatchInfo(BaseModel):
    id: Id
    season_name: str
    pool_name: str
    status: str
    assignments: list[int]
    players: list[MatchPlayerInfo]
    error: str | None
    episode_id: Id | None
    episode: dict[str, Any] | None
    created_at: datetime

    @classmethod
    def of(cls, match: Match) -> "MatchInfo":
        finished = match.finished_at.isoformat() if match.finished_at else None
        episode = {"result_hash": match.result_hash, "finished_at": finished, "replays": sorted(match.replays)}
        return cls(
            id=match.id, season_name=match.pool.season.name, pool_name=match.pool.name, status=match.status,
            assignments=[player.place for player in match.players for _ in range(player.seats)],
            players=[MatchPlayerInfo.of(player) for player in match.players], error=match.error,
            episode_id=match.id if match.status == "completed" else None,
            episode=episode if match.status == "completed" else None, created_at=match.created_at,
        )  # fmt: skip


class Submission(BaseModel):
    policy_version_id: Id


class Submitted(BaseModel):
    pools: list[str]
    already: bool = Field(description="whether it was in the season before")
    retired: str | None = Field(default=None, description="why it plays in no pool any more")


class HistoryEntry(BaseModel):
    season_name: str
    season_version: int | None
    pool_name: str
    action: str
    notes: str | None
    created_at: str

    @classmethod
    def of(cls, change: Change, owned: bool) -> "HistoryEntry":
        season = change.pool.season
        return cls(
            season_name=season.name, season_version=season.version, pool_name=change.pool.name, action=change.action,
            notes=change.notes if owned else None, created_at=change.created_at.isoformat(),
        )  # fmt: skip


def status_of(season: Season) -> Literal["not_started", "in_progress", "complete"]:
    """How far a season is."""
    settings, moment = settings_of(season), now()
    if season.disabled_at or not season.canonical or (settings.ends_at and settings.ends_at <= moment):
        return "complete"
    return "not_started" if settings.starts_at and settings.starts_at > moment else "in_progress"


def _summary(season: Season) -> dict[str, Any]:
    settings = settings_of(season)
    return {
        "id": season.id,
        "name": season.name,
        "version": season.version,
        "canonical": season.canonical,
        "summary": settings.summary,
        "entry_pool": settings.entry_pool.name,
        "leaderboard_pool": settings.leaderboard_pool.name,
        "is_default": settings.default,
        "compat_version": settings.compat_version,
        "pools": [_pool(pool, settings.pool(pool.name).description) for pool in season.pools],
    }


def _pool(pool: Pool, description: str) -> PoolInfo:
    return PoolInfo(id=pool.id, name=pool.name, description=description, config_id=pool.id)
