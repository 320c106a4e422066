"""Pools and matches of the database as plain records, on which planning and scoring work."""

from datetime import datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from metta.eval.match import Seeds
from metta.game.mission import Mission
from metta.league import records
from metta.league.seasons import PoolSettings, SeasonSettings
from metta.league.store.schema import Entry, Id, Match, Pool, Standing

OVERLAP = timedelta(minutes=2)  # in which a result that was written before may come to be seen after another
SEEDS = TypeAdapter(Seeds)


def pool_record(
    settings: SeasonSettings,
    rules: PoolSettings,
    missions: dict[str, Mission],
    entries: list[Entry],
    results: tuple[records.Result, ...],
) -> records.Pool:
    """A pool of a season as planning and scoring see it."""
    return records.Pool(
        name=rules.name,
        missions={name: mission.agents for name, mission in missions.items()},
        teams={
            name: dict(zip(mission.teams, mission.team_sizes, strict=True))
            for name, mission in missions.items()
            if len(mission.teams) > 1
        },
        entrants=tuple(
            records.Entrant(
                policy=str(entry.version_id),
                owner=entry.version.policy.user.name,
                active=entry.retired_at is None and entry.version.status == "valid",
                completed=entry.completed,
                failed=entry.failed,
                pending=entry.pending,
            )
            for entry in entries
        ),
        results=results,
        matches=rules.matches,
        episodes=rules.episodes,
        partners=rules.partners,
        own_seats=tuple(rules.own_seats),
        seed=settings.seed,
    )


class Results:
    """What a pool's matches came to, read once."""

    def __init__(self) -> None:
        self._known: dict[Id, tuple[datetime, records.Result]] = {}
        self._newest: datetime | None = None

    def of(self, session: Session, pool: Pool) -> tuple[records.Result, ...]:
        """In the order in which they came, which is that of `list_results`."""
        query = select(Match).where(Match.pool_id == pool.id, Match.status == "completed")
        if self._newest is not None:
            query = query.where(Match.finished_at > self._newest - OVERLAP)
        for match in session.scalars(query.order_by(Match.finished_at)):
            assert match.finished_at
            self._newest = match.finished_at
            if match.id not in self._known:
                self._known[match.id] = match.finished_at, as_result(match)
        return tuple(result for _, result in sorted(self._known.values(), key=lambda one: (one[0], one[1].match)))


def as_result(match: Match) -> records.Result:
    """A completed match as scoring sees it."""
    return records.Result(
        match=str(match.id),
        pool=match.pool.name,
        lineup=as_lineup(match),
        scores=tuple(tuple(player.scores or ()) for player in match.players),
    )


def as_lineup(match: Match) -> records.Lineup:
    """Who plays a match, as planning sees it."""
    return records.Lineup(
        mission=match.mission,
        policies=tuple(str(player.version_id) for player in match.players),
        seats=tuple(player.seats for player in match.players),
        seeds=SEEDS.validate_python(match.spec["seeds"]),
        map_seeds=SEEDS.validate_python(match.spec["map_seeds"]),
        teams=tuple(player.team for player in match.players) if any(player.team for player in match.players) else (),
    )


def list_results(session: Session, pool: Pool, limit: int, offset: int) -> list[records.Result]:
    """What a pool's matches came to, in the order in which they ended."""
    query = select(Match).where(Match.pool_id == pool.id, Match.status == "completed")
    found = session.scalars(query.order_by(Match.finished_at, Match.id).limit(limit).offset(offset))
    return [as_result(match) for match in found]


def as_standing(line: Standing) -> records.Standing:
    """A line of a leaderboard."""
    return records.Standing(
        policy=str(line.version_id), score=line.score, ci95=(line.low, line.high), rank=line.rank,
        ranks=(line.first_rank, line.last_rank), matches=line.matches, rating=line.rating, details=line.details,
    )  # fmt: skip
