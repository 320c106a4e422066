"""Work that is handed out to workers: leased with a heartbeat, tried again after a while, buried after some tries."""

import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from metta.league.problems import ConflictError
from metta.league.settings import JobSettings
from metta.league.store.schema import Id, Job, now

VALIDATE, MATCH = "validate", "match"
LOST = "the worker gave no more sign of life"


def add_job(session: Session, kind: str, subject: Id, engine: str | None = None) -> None:
    """Have something done, by code of the version `engine` if one is named."""
    session.add(Job(kind=kind, subject=subject, engine=engine))


def lease(session: Session, worker: str, engine: str, most: int, settings: JobSettings) -> list[Job]:
    """At most so many jobs for a worker whose code is `engine`: what another has lost, alone, as it may be what ended
    that one; else validations first, then what waits longest."""
    moment = now()
    waiting = select(Job).where(Job.status == "ready", Job.run_after <= moment).order_by(Job.kind.desc(), Job.run_after)
    lost = (
        select(Job)
        .where(Job.status == "leased", Job.leased_until < moment, Job.attempts < settings.attempts)
        .order_by(Job.leased_until)
    )
    jobs = _some(session, lost, engine, min(most, 1)) or _some(session, waiting, engine, most)
    for job in jobs:
        job.error = LOST if job.status == "leased" else job.error
        job.status, job.lease, job.worker, job.attempts = "leased", uuid.uuid4(), worker, job.attempts + 1
        job.leased_until = moment + timedelta(seconds=settings.lease_seconds)
    return jobs


def _some(session: Session, query: Select[Job], engine: str, most: int) -> list[Job]:
    able = query.where(or_(Job.engine.is_(None), Job.engine == engine))
    return list(session.scalars(able.limit(most).with_for_update(skip_locked=True)))


def beat(session: Session, job_id: Id, lease: Id, settings: JobSettings) -> Job:
    """A worker is still at it. Raises ConflictError where the job is no longer its own."""
    job = _held(session, job_id, lease)
    job.leased_until = now() + timedelta(seconds=settings.lease_seconds)
    return job


def finish(session: Session, job_id: Id, lease: Id) -> tuple[Job, bool]:
    """A job is done; False where it was before, by the same lease: a worker that got no answer asks again. Raises
    ConflictError where the job is no longer its own: what it has found does not count."""
    job = _held(session, job_id, lease, again=True)
    if job.status == "done":
        return job, False
    job.status, job.error, job.leased_until = "done", None, None
    return job, True


def fail(session: Session, job_id: Id, lease: Id, error: str, settings: JobSettings) -> tuple[Job, bool]:
    """An attempt came to nothing; True where it was the last. Raises ConflictError as `finish`."""
    job = _held(session, job_id, lease)
    job.error, job.lease, job.leased_until = error, None, None
    if job.attempts >= settings.attempts:
        job.status = "dead"
        return job, True
    wait = min(settings.most_back_off_seconds, settings.back_off_seconds * 2 ** (job.attempts - 1))
    job.status, job.run_after = "ready", now() + timedelta(seconds=wait)
    return job, False


def give_back(session: Session, job_id: Id, lease: Id) -> Job:
    """A worker that is stopped has not begun with a job: it counts as no attempt. Raises ConflictError as `finish`."""
    job = _held(session, job_id, lease)
    job.status, job.attempts, job.lease, job.leased_until, job.run_after = "ready", job.attempts - 1, None, None, now()
    job.worker = job.worker if job.attempts else None
    return job


def bury(session: Session, settings: JobSettings, buried: Callable[[Session, Job], None]) -> None:
    """Jobs whose last worker is gone are dead; `buried` is told of each."""
    lost = (
        select(Job)
        .where(Job.status == "leased", Job.leased_until < now(), Job.attempts >= settings.attempts)
        .with_for_update(skip_locked=True)
    )
    for job in session.scalars(lost):
        job.status, job.error, job.lease, job.leased_until = "dead", LOST, None, None
        buried(session, job)


def _held(session: Session, job_id: Id, lease: Id, again: bool = False) -> Job:
    job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
    if job is None or job.lease != lease or not (job.status == "leased" or (again and job.status == "done")):
        raise ConflictError("the job is no longer yours: its lease ran out and another worker has it")
    return job
