"""How policies go through the pools of a season, and what ends with it; while servers and workers get in one another's
way."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from metta.league import accounts
from metta.league.commissioner import Commissioner
from metta.league.league import SQLITE
from metta.league.problems import TooManyError
from metta.league.store import jobs, matches, policies, seasons
from metta.league.store.schema import Change, Entry, Job, Match, Season, Standing, now
from metta.league.worker import Worker
from tests.league.conftest import InProcess, MakeLeague, Playground, bundle, short_season
from tests.league.test_commissioner import enter

MATCHES, POLICIES = 20, 10
Begin = Callable[..., Playground]


@pytest.fixture
def begin(make_league: MakeLeague, address: str) -> Begin:
    """A league with a season of such settings, on each database."""
    database = {} if address.endswith(SQLITE) else {"database": address}
    return lambda **settings: make_league(short_season(**settings), **database)


def take(league: Playground, most: int = 100) -> Sequence[Job]:
    with league.league.database.transaction() as session:
        return jobs.lease(session, "worker", league.league.engine, most, league.league.settings.jobs)


def end(league: Playground, job: Job, score: float, fails: Sequence[uuid.UUID] = ()) -> None:
    """What came of a match: one score for everybody; some stood still."""
    assert job.lease
    with league.league.database.transaction() as session:
        jobs.finish(session, job.id, job.lease)
        match = matches.get_match(session, job.subject)
        nothing = [dict[str, int]() for _ in match.players]
        matches.end_match(session, match, "0" * 64, [[score]] * len(nothing), nothing)
        matches.judge_players(session, match, [("fell" if p.version_id in fails else "", "") for p in match.players])


def entries(league: Playground) -> dict[tuple[str, uuid.UUID], Entry]:
    with league.league.database.reading() as session:
        return {(entry.pool.name, entry.version_id): entry for entry in session.scalars(select(Entry))}


def statuses(league: Playground) -> Counter[str]:
    with league.league.database.reading() as session:
        return Counter(session.scalars(select(Match.status)))


TWO = {"name": "first", "partners": "pool", "matches": 2}, {"name": "last", "matches": 2}


def test_a_match_that_a_partner_made_fail_does_not_lower_the_mean_that_takes_one_on(begin: Begin):
    league = begin(pools=[{**TWO[0], "threshold": 0.5}, TWO[1]])
    sound, falls = enter(league, "role"), enter(league, "noop")
    league.commissioner.look()
    spoilt, *others = take(league)
    end(league, spoilt, -5.0, fails=[falls])
    for job in others:
        end(league, job, 0.9)
    league.commissioner.look()
    for job in take(league):
        end(league, job, 0.9)
    league.commissioner.look()
    found = entries(league)
    assert (found["first", sound].completed, found["first", sound].failed, found["first", falls].failed) == (2, 0, 1)
    assert ("last", sound) in found and found["first", sound].retired_at is None
    with league.league.database.reading() as session:
        notes = session.scalars(select(Change.notes).where(Change.version_id == sound)).all()
    assert "mean score 0.900 in first" in notes


@pytest.mark.parametrize(("threshold", "goes_on"), [(None, True), (-3.0, True), (-2.99, False)])
def test_who_has_played_its_matches_goes_on_from_what_the_pool_asks(
    threshold: float | None, goes_on: bool, begin: Begin
):
    league = begin(pools=[{**TWO[0], "partners": "self", "threshold": threshold}, TWO[1]])
    version = enter(league, "role")
    league.commissioner.look()
    for job in take(league):
        assert ("last", version) not in entries(league)
        end(league, job, -3.0)
    league.commissioner.look()
    assert (("last", version) in entries(league)) is goes_on
    assert (entries(league)["first", version].retired_at is None) is goes_on


@pytest.mark.parametrize("partners", ["self", "pool"])
def test_who_alone_ends_worker_after_worker_is_taken_out(partners: str, begin: Begin):
    """Where two play, nobody knows whose fault it was."""
    league = begin(pools=[{"name": "only", "partners": partners, "matches": 3, "failures": 3}])
    versions = [enter(league, "role"), enter(league, "noop")][: 1 if partners == "self" else 2]
    for _ in range(40):
        league.commissioner.look()
        take(league, 1)
        with league.league.database.transaction() as session:
            for job in session.scalars(select(Job).where(Job.status == "leased")):
                job.leased_until = now() - timedelta(seconds=1)
    league.commissioner.look()
    found = [entries(league)["only", version] for version in versions]
    assert [entry.failed >= 3 for entry in found] == [partners == "self"] * len(found)
    assert [entry.retired_at is not None for entry in found] == [partners == "self"] * len(found)


@pytest.mark.parametrize("how", ["closed", "followed by a new version"])
def test_of_a_season_that_ends_nothing_more_begins_and_what_is_under_way_counts(how: str, begin: Begin):
    league = begin(pools=[{"name": "only", "matches": 6}])
    entered = [enter(league, "role"), enter(league, "noop")]
    league.commissioner.look()
    begun = take(league, 2)
    with league.league.database.transaction() as session:
        season = session.scalars(select(Season)).one()
        if how == "closed":
            seasons.close(session, season)
        else:
            seasons.add_season(session, seasons.settings_of(season), season.engine)
    assert statuses(league).total() == 2 and not take(league)
    for job in begun:
        end(league, job, 1.0)
    league.commissioner.look()
    assert statuses(league) == {"completed": 2}
    found = entries(league)
    assert [(found["only", one].completed, found["only", one].pending) for one in entered] == [(2, 0), (2, 0)]
    with league.league.database.reading() as session:
        assert session.scalars(select(Standing.matches)).all() == [2, 2]


def test_after_its_end_a_season_takes_nobody_and_who_is_in_plays_all_matches(begin: Begin):
    league = begin(pools=[{"name": "only", "matches": 3}], outstanding=1)
    version = enter(league, "role")
    with league.league.database.transaction() as session:
        season = session.scalars(select(Season)).one()
        season.settings = {**season.settings, "ends_at": (now() - timedelta(seconds=1)).isoformat()}
    late = league.upload("bert", "late", bundle("noop"))
    assert late["pools"] is None and "is over" in late["submit_error"]
    for _ in range(3):
        league.commissioner.look()
        [job] = [job for job in take(league) if job.kind == jobs.MATCH]
        end(league, job, 1.0)
    assert entries(league)["only", version].completed == 3


def test_who_submits_many_versions_at_once_enters_no_more_than_it_may(begin: Begin):
    league = begin(versions_per_user=3)
    versions = [league.upload("anna", f"p{k}", bundle("role"), season=None)["id"] for k in range(9)]
    caller, submitted = league.token("anna"), threading.Barrier(len(versions))

    def submit(version: str) -> bool:
        submitted.wait()
        try:
            with league.league.database.transaction() as session:
                season, found = session.scalars(select(Season)).one(), policies.get_version(session, uuid.UUID(version))
                who = accounts.who(session, caller)
                return bool(who and not seasons.enter(session, who, season, found).already)
        except TooManyError:
            return False

    with ThreadPoolExecutor(len(versions)) as pool:
        assert sum(pool.map(submit, versions)) == 3
    assert len(entries(league)) == 3


def test_a_season_that_cannot_go_on_does_not_hold_up_another(begin: Begin):
    league = begin(pools=[{"name": "only", "matches": 2}])
    enter(league, "role")
    with league.league.database.transaction() as session:
        broken = seasons.add_season(session, short_season(name="a"), league.league.engine)
        broken.settings, broken.ranked = {**broken.settings, "score": "of another version"}, seasons.STALE
    for act in (league.commissioner.plan, league.commissioner.rank):
        with pytest.raises(ValidationError, match="score"):
            act()
        for job in take(league):
            end(league, job, 1.0)
    assert statuses(league) == {"completed": 2}
    with league.league.database.reading() as session:
        assert session.scalars(select(Standing.matches)).all() == [2]


class Lying(InProcess):
    """A worker that says of each match that everybody had a return that no game gives."""

    def post(self, path: str, document: Any = None) -> Any:
        for episode in document["result"]["episodes"] if path.endswith("/played") else []:
            episode["returns"] = [1e300] * len(episode["returns"])
        return super().post(path, document)


def test_returns_that_no_game_gives_count_nowhere(begin: Begin):
    league = begin(pools=[{"name": "only", "matches": 1}])
    league.upload("anna", "role", bundle("role"))
    worker = Worker(Lying(league))
    for _ in range(2):  # tries it out, plays
        worker.run_once()
        league.commissioner.look()
    worker.run_once()
    with league.league.database.reading() as session:
        [error] = session.scalars(select(Job.error).where(Job.kind == jobs.MATCH))
    assert error and "this is not its result" in error and statuses(league) == {"running": 1}


@pytest.mark.parametrize("season", ["hidden", "of other code", "closed"])
def test_versions_are_tried_out_whatever_the_season_is(season: str, begin: Begin):
    league = begin(hidden=season == "hidden")
    with league.league.database.transaction() as session:
        found = session.scalars(select(Season)).one()
        found.engine = "e" * 64 if season == "of other code" else found.engine
        found.disabled_at = now() if season == "closed" else None
    done = league.upload("anna", "role", bundle("role"), season=None)
    assert Worker(InProcess(league)).run_once()
    assert league.get(f"/stats/policy-versions/{done['id']}")["status"] == "valid"


def test_two_who_conduct_and_four_who_play_do_not_wait_for_each_other_for_ever(begin: Begin):
    """Matches end and fail, policies are retired, while two servers plan: no transaction is given up, and all counts
    are right."""
    pools = [{"name": "only", "matches": MATCHES, "failures": 2}]
    league = begin(pools=pools, outstanding=9)
    if league.league.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    versions = [enter(league, name) for name in ("role", "noop", "miner", "random")]
    versions += [enter(league, f"role?miner={number}") for number in range(1, POLICIES - 3)]
    over = threading.Event()

    def conduct(commissioner: Commissioner) -> None:
        while not over.is_set():
            commissioner.plan()

    def play(seed: int) -> None:
        draw = random.Random(seed)
        while not over.is_set():
            for job in take(league, 2):
                end(league, job, 1.0, fails=versions if draw.random() < 0.02 else versions[:1])

    def is_over() -> bool:
        with league.league.database.reading() as session:
            left = (Entry.pending > 0) | ((Entry.completed < MATCHES) & Entry.retired_at.is_(None))
            return not session.scalar(select(func.count()).select_from(Entry).where(left))

    league.commissioner.plan()
    conductors = league.commissioner, Commissioner(league.league)
    with ThreadPoolExecutor(6) as pool:
        running = [*(pool.submit(play, seed) for seed in range(4)), *(pool.submit(conduct, one) for one in conductors)]
        while not is_over() and not any(one.done() for one in running):
            over.wait(0.1)
        over.set()
        assert [one.result() for one in running] == [None] * 6
    with league.league.database.reading() as session:
        played = Counter(
            player.version_id
            for match in session.scalars(select(Match).where(Match.status == "completed"))
            for player in match.players
        )
        season = session.scalars(select(Season)).one()
        assert season.results == session.scalar(select(func.count(Match.id)))
    counted = {version: entry.completed for (_, version), entry in entries(league).items()}
    assert counted == {**dict.fromkeys(counted, 0), **played}
    assert entries(league)["only", versions[0]].retired_at is not None
