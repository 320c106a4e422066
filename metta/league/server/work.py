"""Routes of workers: they lease jobs, say that they live, and tell what came of them."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from metta.common.defaults import SEED
from metta.common.errors import UserError
from metta.eval.match import Match, Player
from metta.league.league import League
from metta.league.play import Job, PlayerReport
from metta.league.rating.published import MOST_SCORE
from metta.league.seasons import DEFAULT, VALIDATION_STEPS, find_season
from metta.league.server.asking import AskedRoute, TheLeague, Worker
from metta.league.server.uploads import bundle_of
from metta.league.settings import DOWNLOAD_TIME, MEGABYTE
from metta.league.store import jobs, matches, policies, seasons
from metta.league.store.schema import Id, Version
from metta.league.store.schema import Job as JobRow
from metta.league.store.schema import Match as MatchRow
from metta.league.work import (
    MOST_LINE,
    MOST_LOG,
    Beat,
    Failed,
    Heard,
    Hungry,
    Jobs,
    Lost,
    Played,
    Returned,
    Sheet,
    Validated,
    scores_of,
)

router = APIRouter(prefix="/work", tags=["workers"], route_class=AskedRoute)
MOST_REPLAY = 64 * MEGABYTE
UNKNOWN = "0" * 64  # digest of a policy that nobody has looked into yet


@router.post("/leases")
def lease(league: TheLeague, worker: Worker, hungry: Hungry) -> Jobs:
    """Jobs to do, each under a lease of its own. None: ask again in a moment. Where no room is left for what comes of
    them, nothing is handed out."""
    league.files.check_room()
    with league.database.transaction() as session:
        taken = jobs.lease(session, hungry.worker, hungry.engine, hungry.most, league.settings.jobs)
        return Jobs(jobs=[_sheet(league, session, job, hungry.engine) for job in taken])


@router.post("/beats")
def beat(league: TheLeague, worker: Worker, beat: Beat) -> Lost:
    """A worker lives, and is at these jobs; returns those that it has lost."""
    lost = []
    with league.database.transaction() as session:
        for held in beat.jobs:
            try:
                jobs.beat(session, held.id, held.lease, league.settings.jobs)
            except UserError:
                lost.append(held.id)
    return Lost(lost=lost)


@router.post("/jobs/{job_id}/validated")
def validated(league: TheLeague, worker: Worker, job_id: Id, said: Validated) -> Heard:
    """A version was tried out."""
    if (said.reason is None) == (said.digest is None):
        raise UserError("a version is valid, with a digest, or refused, with a reason")
    with league.database.transaction() as session:
        job, counts = jobs.finish(session, job_id, said.lease)
        if counts:
            policies.judge(session, job.subject, said.reason, said.digest, said.kind)
    return Heard(counts=counts)


@router.post("/jobs/{job_id}/played")
def played(league: TheLeague, worker: Worker, job_id: Id, said: Played) -> Heard:
    """A match was played to its end."""
    with league.database.transaction() as session:
        job, counts = jobs.finish(session, job_id, said.lease)
        if not counts:
            return Heard(counts=False)
        row = matches.get_match(session, job.subject)
        match = Match.model_validate(row.spec)
        scores = scores_of(match, said.result) if said.result.fits(match) else []
        possible = all(abs(score) <= MOST_SCORE for own in scores for score in own)
        if not scores or not possible or len(said.players) != len(match.players):
            raise UserError(f"match {row.id}: this is not its result")
        league.files.write(f"results/{row.id}", said.result.model_dump_json().encode())
        matches.end_match(session, row, said.result.digest, scores, said.result.faults)
        reports = [_report(*own) for own in zip(said.players, said.result.causes, strict=True)]
        matches.judge_players(session, row, reports)
        row.replays = _replays(row, match, said.lease)
    return Heard(counts=True)


def _report(player: PlayerReport, causes: Mapping[str, str]) -> tuple[str, str]:
    """Why a policy stood still for the rest, and what else its owner reads: the first of its faults of each kind, and
    what it wrote."""
    faults = "".join(f"{kind}, first: {text}\n" for kind, text in causes.items() if text != player.failure)
    return player.failure, f"{faults}{player.log}"[-MOST_LOG:]


@router.post("/jobs/{job_id}/failed")
def failed(league: TheLeague, worker: Worker, job_id: Id, said: Failed) -> Heard:
    """A job could not be done: another worker tries it, after a while, unless this was the last try."""
    with league.database.transaction() as session:
        job, last = jobs.fail(session, job_id, said.lease, said.error[:MOST_LINE], league.settings.jobs)
        if last:
            give_up(session, job)
    return Heard(counts=True)


@router.post("/jobs/{job_id}/returned")
def returned(league: TheLeague, worker: Worker, job_id: Id, said: Returned) -> Heard:
    """A worker that is stopped gives back what it has not begun with."""
    with league.database.transaction() as session:
        job = jobs.give_back(session, job_id, said.lease)
        if job.kind == jobs.MATCH:
            matches.get_match(session, job.subject).status = "pending"
    return Heard(counts=True)


def give_up(session: Session, job: JobRow) -> None:
    """What is said of the subject of a job that nobody could do."""
    error = job.error or ""
    if job.kind == jobs.VALIDATE:
        policies.judge(session, job.subject, f"could not be tried out: {error}", None, "")
    else:
        matches.fail_match(session, matches.get_match(session, job.subject), error, lost=error == jobs.LOST)


def _sheet(league: League, session: Session, job: JobRow, engine: str) -> Sheet:
    """All that a worker whose code is `engine` needs for a job."""
    assert job.lease is not None
    replays: list[str] = []
    if job.kind == jobs.VALIDATE:
        version = policies.get_version(session, job.subject)
        match, versions = _trial(session, version, engine), [version]
    else:
        row = matches.get_match(session, job.subject)
        row.status, match = "running", Match.model_validate(row.spec)
        versions = [player.version for player in row.players]
        keys = _replays(row, match, job.lease).values()
        replays = [league.files.address("PUT", key, DOWNLOAD_TIME, MOST_REPLAY) for key in keys]
    return Sheet(
        id=job.id,
        lease=job.lease,
        kind="validate" if job.kind == jobs.VALIDATE else "match",
        attempt=job.attempts,
        seconds=league.settings.jobs.lease_seconds,
        job=Job(match=match, replays=bool(replays)),
        bundles=[bundle_of(league, version) for version in versions],
        secrets=[league.vault.values(version.secrets) for version in versions],
        replays=replays,
    )


def _trial(session: Session, version: Version, engine: str) -> Match:
    """A few steps that a version plays alone, of what the default season plays, with whatever code the worker has."""
    season = next(iter(seasons.list_seasons(session, include_hidden=True)), None)
    settings = seasons.settings_of(season) if season else find_season(DEFAULT)
    mission = next(iter(settings.build_missions().values()))
    player = Player(policy=UNKNOWN, seats=mission.agents, name=policies.label(version))
    steps = min(VALIDATION_STEPS, mission.max_steps)
    return Match(
        mission=mission.model_copy(update={"max_steps": steps}), players=(player,), seeds=(SEED,), map_seeds=(SEED,),
        action_timeout_ms=settings.action_timeout_ms, engine=engine,
    )  # fmt: skip


def _replays(row: MatchRow, match: Match, lease: Id) -> dict[str, Any]:
    """Key of the replay of each episode, by its number. A worker that has lost its lease puts nothing in the place of
    what another has played."""
    if not row.pool.season.settings["replays"]:
        return {}
    return {str(number): f"replays/{lease}-{number}" for number in range(len(match.seeds))}
