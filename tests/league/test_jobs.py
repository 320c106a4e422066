"""Work is leased: nothing is lost when workers die, nothing counts twice, nobody waits for another."""

import uuid
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from metta.league.problems import ConflictError
from metta.league.settings import JobSettings
from metta.league.store import jobs
from metta.league.store.database import Database
from metta.league.store.schema import Job, now

ENGINE = "e" * 64
RULES = JobSettings(lease_seconds=60, attempts=3, back_off_seconds=2)


@pytest.fixture
def database(address: str) -> Database:
    database = Database(address)
    database.migrate()
    return database


def add(database: Database, count: int, engine: str | None = None) -> None:
    with database.transaction() as session:
        for _ in range(count):
            jobs.add_job(session, jobs.MATCH, uuid.uuid4(), engine)


def lease(database: Database, most: int = 1, engine: str = ENGINE) -> list[Job]:
    with database.transaction() as session:
        return jobs.lease(session, "worker", engine, most, RULES)


def pass_time(database: Database, seconds: float) -> None:
    """Make all that is waited for nearer."""
    with database.transaction() as session:
        for job in session.scalars(select(Job)):
            job.run_after -= timedelta(seconds=seconds)
            job.leased_until = job.leased_until and job.leased_until - timedelta(seconds=seconds)


def test_a_job_is_given_to_one_worker(database: Database):
    add(database, 3)
    first, second = lease(database, 2), lease(database, 2)
    assert (len(first), len(second)) == (2, 1) and len({job.id for job in first + second}) == 3
    assert lease(database, 2) == []


def test_two_that_ask_at_once_wait_for_no_other_and_get_other_jobs(database: Database):
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    add(database, 2)
    with database.transaction() as first, database.transaction() as second:
        one, other = (jobs.lease(session, "worker", ENGINE, 1, RULES) for session in (first, second))
        assert one[0].id != other[0].id


def test_a_worker_without_signs_of_life_loses_its_job_and_what_it_says_later_does_not_count(database: Database):
    add(database, 1)
    [lost] = lease(database)
    pass_time(database, 59)
    assert lease(database) == []
    pass_time(database, 2)
    [again] = lease(database)
    assert again.id == lost.id and again.lease != lost.lease and again.attempts == 2
    with database.transaction() as session, pytest.raises(ConflictError):
        jobs.finish(session, lost.id, lost.lease)
    with database.transaction() as session:
        assert jobs.finish(session, again.id, again.lease)[1] is True
    with database.transaction() as session:
        assert jobs.finish(session, again.id, again.lease)[1] is False


def test_what_was_lost_comes_alone_and_first(database: Database):
    """It may be what ended its worker: nothing else is lost with it once more."""
    add(database, 3)
    held = lease(database, 3)
    pass_time(database, 61)
    add(database, 2)
    again = [lease(database, 4) for _ in range(4)]
    assert [len(jobs) for jobs in again] == [1, 1, 1, 2]
    assert {job.id for [job] in again[:3]} == {job.id for job in held}


def test_a_heartbeat_keeps_a_job(database: Database):
    add(database, 1)
    [held] = lease(database)
    pass_time(database, 50)
    with database.transaction() as session:
        jobs.beat(session, held.id, held.lease, RULES)
    pass_time(database, 50)
    assert lease(database) == []


def test_what_failed_is_tried_again_later_and_later_and_then_no_more(database: Database):
    add(database, 1)
    waits = []
    for attempt in (1, 2, 3):
        [job] = lease(database)
        with database.transaction() as session:
            failed, last = jobs.fail(session, job.id, job.lease, "out of memory", RULES)
            assert last is (attempt == 3) and failed.error == "out of memory"
            waits.append(round((failed.run_after - now()).total_seconds()))
        assert lease(database) == []
        pass_time(database, 4)
    assert waits[:2] == [2, 4] and lease(database) == []


def test_what_is_given_back_is_no_attempt_and_is_there_at_once(database: Database):
    add(database, 1)
    for _ in range(2 * RULES.attempts):
        [job] = lease(database)
        assert job.lease
        with database.transaction() as session:
            jobs.give_back(session, job.id, job.lease)
    assert [job.attempts for job in lease(database)] == [1]


def test_a_job_whose_workers_all_die_is_buried(database: Database):
    add(database, 1)
    for _ in range(RULES.attempts):
        assert len(lease(database)) == 1
        pass_time(database, 61)
    assert lease(database) == []
    told: list[Job] = []
    with database.transaction() as session:
        jobs.bury(session, RULES, lambda session, job: told.append(job))
    assert [(job.status, job.error) for job in told] == [("dead", jobs.LOST)]


def test_only_who_has_the_right_engine_gets_a_match(database: Database):
    add(database, 1, engine="f" * 64)
    assert lease(database) == [] and len(lease(database, engine="f" * 64)) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.sampled_from(["lease", "finish", "fail", "die", "late"]), max_size=25))
def test_whatever_happens_every_job_is_done_at_most_once_and_none_vanishes(
    events: list[str], kind: str, database: Database
):
    if kind != "sqlite":
        pytest.skip("the same rules; one database is enough for chance")
    with database.transaction() as session:
        session.execute(update(Job).values(status="done"))
        before = {job.id for job in session.scalars(select(Job))}
    add(database, 3)
    held: list[Job] = []
    gone: list[Job] = []
    done: list[uuid.UUID] = []
    for event in events:
        if event == "lease":
            held += lease(database)
        elif event == "late" and gone:
            with database.transaction() as session, pytest.raises(ConflictError):
                jobs.finish(session, gone[0].id, gone[0].lease)
        elif held and event == "die":
            gone.append(held.pop(0))
            pass_time(database, 61)
            gone += held
            held = lease(database, 3)
            gone = [job for job in gone if any(job.id == other.id for other in held)]
        elif held and event in ("finish", "fail"):
            job = held.pop(0)
            with database.transaction() as session:
                if event == "finish":
                    jobs.finish(session, job.id, job.lease)
                    done.append(job.id)
                else:
                    jobs.fail(session, job.id, job.lease, "failed", RULES)
            gone = [other for other in gone if other.id != job.id]
    with database.reading() as session:
        found = {job.id: job.status for job in session.scalars(select(Job)) if job.id not in before}
    assert len(found) == 3 and len(done) == len(set(done))
    assert {job for job, status in found.items() if status == "done"} == set(done)
