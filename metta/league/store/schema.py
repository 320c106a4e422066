"""The tables of a league, alike on SQLite and PostgreSQL. Times are UTC, ids random."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from metta.league.names import NAME

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
Id = uuid.UUID


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, also on databases that know no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text as each database holds it: PostgreSQL knows no NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Word(Words):
    """Text up to a length."""

    impl = String
    cache_ok = True


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[float]: JSON, str: Words}


class Made(Base):
    """A row with an id and the moment at which it was made."""

    __abstract__ = True

    id: Mapped[Id] = mapped_column(primary_key=True, default=uuid.uuid4)
    created_at: Mapped[datetime] = mapped_column(default=now)


class User(Made):
    """A person, or a program that plays on its own account."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(Word(NAME), unique=True)
    email: Mapped[str | None]
    password: Mapped[str | None]  # argon2; None: signs in elsewhere, or never
    admin: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[datetime | None]


class ProviderUser(Base):
    """Who somebody is where they sign in elsewhere."""

    __tablename__ = "provider_users"

    issuer: Mapped[str] = mapped_column(Word(255), primary_key=True)
    subject: Mapped[str] = mapped_column(Word(255), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)

    user: Mapped[User] = relationship(lazy="joined")


class Token(Made):
    """What a program or browser shows to act for a user. Only its hash is kept."""

    __tablename__ = "tokens"

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    hash: Mapped[str] = mapped_column(Word(64), unique=True)
    scope: Mapped[str] = mapped_column(Word(16))  # user, worker, admin; browser: a page that is signed in
    label: Mapped[str] = mapped_column(Word(NAME), default="")
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="joined")


class Key(Base):
    """What the servers of one database sign with."""

    __tablename__ = "keys"

    name: Mapped[str] = mapped_column(Word(NAME), primary_key=True)
    value: Mapped[str]


class Policy(Made):
    """A name under which a user uploads versions."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Word(NAME), index=True)

    user: Mapped[User] = relationship(lazy="joined")


class Version(Made):
    """A version of a policy: one content, with what it is told in secret, for good."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("policy_id", "number"), UniqueConstraint("policy_id", "sha256", "secrets"))

    policy_id: Mapped[Id] = mapped_column(ForeignKey("policies.id"))
    number: Mapped[int]
    sha256: Mapped[str] = mapped_column(Word(64))  # of the uploaded file
    size: Mapped[int] = mapped_column(BigInteger)
    secrets: Mapped[str] = mapped_column(Word(64), default="")  # digest of its secret values; empty: none
    status: Mapped[str] = mapped_column(Word(16), default="validating")  # then valid or refused
    reason: Mapped[str | None]  # why it was refused
    digest: Mapped[str | None] = mapped_column(Word(64))  # of all that decides what it does
    kind: Mapped[str] = mapped_column(Word(16), default="")  # net, script, code

    policy: Mapped[Policy] = relationship(lazy="joined")


class Upload(Made):
    """An address that was given out to upload to."""

    __tablename__ = "uploads"

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    expires_at: Mapped[datetime]
    version_id: Mapped[Id | None] = mapped_column(ForeignKey("versions.id"))  # what became of it


class Season(Made):
    """A version of a season: the settings of its file, and how far it is."""

    __tablename__ = "seasons"
    __table_args__ = (UniqueConstraint("name", "version"),)

    name: Mapped[str] = mapped_column(Word(NAME), index=True)
    version: Mapped[int]
    canonical: Mapped[bool] = mapped_column(default=True)
    settings: Mapped[dict[str, Any]]  # seasons.SeasonSettings
    engine: Mapped[str] = mapped_column(Word(64))  # version of the code that plays, for all its matches
    disabled_at: Mapped[datetime | None]
    results: Mapped[int] = mapped_column(default=0)  # matches that have ended: the table is as new as this says
    ranked: Mapped[int] = mapped_column(default=0)  # what `results` was when the standings were computed
    ranked_results: Mapped[int] = mapped_column(default=0)  # how many matches they count
    ranked_at: Mapped[datetime | None]  # when they were computed

    pools: Mapped[list["Pool"]] = relationship(back_populates="season", order_by="Pool.place", lazy="selectin")


class Pool(Made):
    """A pool of a season, in which policies play matches."""

    __tablename__ = "pools"
    __table_args__ = (UniqueConstraint("season_id", "name"),)

    season_id: Mapped[Id] = mapped_column(ForeignKey("seasons.id"))
    name: Mapped[str] = mapped_column(Word(NAME))
    place: Mapped[int]  # in the order in which policies go through
    planned_for: Mapped[int] = mapped_column(default=0)  # valid versions in it, also retired ones, at the last plan

    season: Mapped[Season] = relationship(back_populates="pools", lazy="joined")


class Entry(Made):
    """A version in a pool."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("pool_id", "version_id"),)

    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id"))
    version_id: Mapped[Id] = mapped_column(ForeignKey("versions.id"), index=True)
    retired_at: Mapped[datetime | None]
    completed: Mapped[int] = mapped_column(default=0)  # matches
    failed: Mapped[int] = mapped_column(default=0)  # through its own fault
    pending: Mapped[int] = mapped_column(default=0)

    pool: Mapped[Pool] = relationship(lazy="joined")
    version: Mapped[Version] = relationship(lazy="joined")


class Change(Made):
    """What happened to a version in a pool: entered, promoted, retired."""

    __tablename__ = "changes"

    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id"))
    version_id: Mapped[Id] = mapped_column(ForeignKey("versions.id"), index=True)
    action: Mapped[str] = mapped_column(Word(16))
    notes: Mapped[str | None]

    pool: Mapped[Pool] = relationship(lazy="joined")


class Match(Made):
    """A match of a pool, and what came of it."""

    __tablename__ = "matches"
    __table_args__ = (
        Index(None, "pool_id", "status", "created_at"),
        Index(None, "pool_id", "created_at"),
        Index(None, "pool_id", "finished_at"),
    )

    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id"))
    status: Mapped[str] = mapped_column(Word(16), default="pending")  # running, completed, failed
    mission: Mapped[str]  # as the season calls it
    spec: Mapped[dict[str, Any]]  # metta.eval.match.Match: all that the result follows from
    error: Mapped[str | None]
    result_hash: Mapped[str | None] = mapped_column(Word(64))  # of all that was played; the rest is in a file
    finished_at: Mapped[datetime | None]
    replays: Mapped[dict[str, Any]] = mapped_column(default=dict)  # file by seed

    pool: Mapped[Pool] = relationship(lazy="joined")
    players: Mapped[list["MatchPlayer"]] = relationship(
        back_populates="match", order_by="MatchPlayer.place", lazy="selectin"
    )


class MatchPlayer(Base):
    """A version in a match: how many seats it had, and its score."""

    __tablename__ = "match_players"

    match_id: Mapped[Id] = mapped_column(ForeignKey("matches.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[Id] = mapped_column(ForeignKey("versions.id"), index=True)
    seats: Mapped[int]
    team: Mapped[str | None] = mapped_column(Word(NAME))
    score: Mapped[float | None]  # mean return of its agents, over the episodes
    scores: Mapped[list[float] | None]  # in each episode
    faults: Mapped[dict[str, Any]] = mapped_column(default=dict)
    log: Mapped[str | None] = mapped_column(deferred=True)  # for its owner

    match: Mapped[Match] = relationship(back_populates="players")
    version: Mapped[Version] = relationship(lazy="joined")


class Job(Made):
    """Work for a worker. Whoever has it holds its lease; a lease without a heartbeat runs out."""

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "status", "run_after"), Index(None, "status", "leased_until"))

    kind: Mapped[str] = mapped_column(Word(16))  # validate, match
    subject: Mapped[Id] = mapped_column(unique=True)  # the version or match that it is about
    engine: Mapped[str | None] = mapped_column(Word(64))  # version of the code that is to do it; None: any
    status: Mapped[str] = mapped_column(Word(16), default="ready")  # leased, done, dead
    run_after: Mapped[datetime] = mapped_column(default=now)
    attempts: Mapped[int] = mapped_column(default=0)
    lease: Mapped[Id | None]
    leased_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(Word(NAME))  # who has it, or had it last
    error: Mapped[str | None]  # of the last attempt


class Standing(Base):
    """A line of a season's leaderboard, as it was computed last."""

    __tablename__ = "standings"
    __table_args__ = (Index(None, "season_id", "rank"),)

    season_id: Mapped[Id] = mapped_column(ForeignKey("seasons.id"), primary_key=True)
    version_id: Mapped[Id] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    rank: Mapped[int]
    first_rank: Mapped[int]
    last_rank: Mapped[int]
    score: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    rating: Mapped[float | None]
    matches: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)

    version: Mapped[Version] = relationship(lazy="joined")


class RankPoint(Base):
    """A rank that a version had for a while."""

    __tablename__ = "rank_history"

    season_id: Mapped[Id] = mapped_column(ForeignKey("seasons.id"), primary_key=True)
    version_id: Mapped[Id] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    results: Mapped[int] = mapped_column(primary_key=True)  # matches of the season that had ended
    at: Mapped[datetime] = mapped_column(default=now)
    rank: Mapped[int]
    score: Mapped[float]


class Audit(Made):
    """Who did what, from where."""

    __tablename__ = "audit"

    user_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"), index=True)
    action: Mapped[str] = mapped_column(Word(NAME))
    subject: Mapped[str]
    address: Mapped[str] = mapped_column(Word(NAME))


class Duty(Base):
    """Work that only one of the servers does at a time, and who does it until when."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(Word(NAME), primary_key=True)
    holder: Mapped[str] = mapped_column(Word(NAME))
    until: Mapped[datetime]
