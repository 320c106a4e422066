"""What planning and ranking are told of a season is what the database holds, however it came there."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, update

from metta.league.commissioner import Commissioner
from metta.league.league import SQLITE
from metta.league.rating.ranking import recompute, standings
from metta.league.records import Lineup, Pool, Result
from metta.league.scheduling import met_in, plan
from metta.league.seasons import DEFAULT
from metta.league.store import jobs, policies, results, seasons
from metta.league.store.schema import Entry, Job, Match, MatchPlayer, Standing, now
from tests.league.conftest import MakeLeague, Playground, bundle, short_season

MATCHES = 6
NAMES = ("role", "random", "miner", "noop")


@pytest.fixture
def empty_league(make_league: MakeLeague, address: str) -> Playground:
    """A league whose season nobody has entered yet, on each database."""
    settings = {} if address.endswith(SQLITE) else {"database": address}
    return make_league(short_season(pools=[{"name": "competition", "matches": MATCHES}]), **settings)


@pytest.fixture
def playground(empty_league: Playground) -> Playground:
    """A league with four versions that have played nothing yet."""
    for name in NAMES:
        enter(empty_league, name)
    return empty_league


def enter(playground: Playground, name: str) -> uuid.UUID:
    """A version that is valid enters the season."""
    version_id = uuid.UUID(playground.upload("anna", name, bundle(name))["id"])
    with playground.league.database.transaction() as session:
        policies.judge(session, version_id, None, version_id.hex * 2, "script")
        session.execute(update(Job).where(Job.kind == jobs.VALIDATE).values(status="done"))
    return version_id


def retire(playground: Playground, version_id: uuid.UUID) -> None:
    with playground.league.database.transaction() as session:
        seasons.retire(session, session.scalars(select(Entry).where(Entry.version_id == version_id)).one(), "has left")


def lease(playground: Playground, most: int) -> list[Job]:
    """A worker takes so many matches."""
    league = playground.league
    with league.database.transaction() as session:
        return jobs.lease(session, "worker", league.engine, most, league.settings.jobs)


def planned(playground: Playground) -> dict[uuid.UUID, frozenset[uuid.UUID]]:
    """Who plays in each match that has not ended. What is counted of the policies, and the jobs, must say the same."""
    with playground.league.database.reading() as session:
        found = session.scalars(select(Match).where(Match.status.in_(("pending", "running")))).all()
        players = {match.id: frozenset(player.version_id for player in match.players) for match in found}
        counted = {entry.version_id: entry.pending for entry in session.scalars(select(Entry))}
        open_jobs = session.scalars(select(Job.subject).where(Job.kind == jobs.MATCH, Job.status != "done")).all()
        rows = session.scalars(select(MatchPlayer.match_id)).all()
    assert counted == {**dict.fromkeys(counted, 0), **Counter(one for own in players.values() for one in own)}
    assert sorted(open_jobs) == sorted(players) and set(rows) >= set(players)
    return players


def add_results(playground: Playground, count: int, ago: timedelta = timedelta(0), status: str = "completed") -> None:
    """Matches of all pairs in turn, one more second old each."""
    with playground.league.database.transaction() as session:
        [pool] = seasons.default_season(session).pools  # pyright: ignore[reportOptionalMemberAccess]
        versions = sorted(version.id for version in policies.list_versions(session))
        pairs = [(one, other) for one in versions for other in versions if one < other]
        for number in range(count):
            seeds = [[number, 1]]
            ended = now() - ago - timedelta(seconds=number)
            match = Match(
                pool_id=pool.id, status=status, mission="arena", spec={"seeds": seeds, "map_seeds": seeds},
                finished_at=ended,
            )  # fmt: skip
            match.players = [
                MatchPlayer(place=place, version_id=version_id, seats=4, scores=[float(number * place)])
                for place, version_id in enumerate(pairs[number % len(pairs)])
            ]
            session.add(match)


def published(playground: Playground, limit: int) -> list[Result]:
    """All results, page by page."""
    found: list[Result] = []
    with playground.league.database.reading() as session:
        [pool] = seasons.default_season(session).pools  # pyright: ignore[reportOptionalMemberAccess]
        while page := results.list_results(session, pool, limit, uuid.UUID(found[-1].match) if found else None):
            found += page
    return found


def test_results_come_in_pages_in_the_order_in_which_the_matches_ended(playground: Playground):
    add_results(playground, 10)
    add_results(playground, 3, status="failed")
    found = published(playground, 3)
    assert found == published(playground, 100)
    assert [one.lineup.seeds for one in found] == [(number,) for number in reversed(range(10))]


def test_what_is_taken_in_bit_by_bit_ranks_as_all_at_once_also_what_is_seen_late(playground: Playground):
    known = results.Results()
    for batch, ago in ((5, 60), (4, 0), (6, 90), (0, 0), (2, 9_000)):  # the third before the second, the last long ago
        add_results(playground, batch, timedelta(seconds=ago))
        with playground.league.database.reading() as session:
            [pool] = seasons.default_season(session).pools  # pyright: ignore[reportOptionalMemberAccess]
            active = results.active_policies(session, pool)
            known.take_in(session, pool)
    everything = published(playground, 100)
    assert len(known.ledger) == len(everything) == 17 and len(active) == 4
    assert standings(known.ledger.table(), active, "replacement") == recompute(everything, active)


def test_who_has_met_whom_is_the_same_by_the_database_as_by_the_results(playground: Playground):
    add_results(playground, 9)
    add_results(playground, 5, status="failed")
    pool = Pool("competition", {"arena": 8}, (), tuple(published(playground, 100)))
    with playground.league.database.reading() as session:
        season = seasons.default_season(session)
        assert season
        ids = [str(version.id) for version in policies.list_versions(session)]
        assert {one: dict(results.met(session, season.pools[0], one)) for one in ids} == {
            one: dict(met_in(pool)(one)) for one in ids
        }
        settings = seasons.settings_of(season)
        record = results.pool_record(session, settings, settings.build_missions(), season.pools[0])
        lineups = plan(record, 6, partial(results.met, session, season.pools[0]))
    pairs = Counter(frozenset(lineup.policies) for lineup in lineups)
    assert len(pairs) == 6  # 9 of 6 pairs are played: whoever is due meets whom it has met least


def test_a_leaderboard_is_of_those_who_take_part_when_it_is_kept(playground: Playground):
    add_results(playground, 12)
    playground.commissioner.look()
    assert len(playground.get("/tournament/seasons/beta-cogsguard/leaderboard")) == 4
    with playground.league.database.transaction() as session:
        season = seasons.default_season(session)
        assert season and season.ranked == season.results and season.ranked_results == 12
        entry = session.scalars(select(Entry)).first()
        assert entry
        seasons.retire(session, entry, "has left")
    playground.commissioner.look()
    with playground.league.database.reading() as session:
        assert len(session.scalars(select(Standing)).all()) == 3


def test_one_of_two_conducts_a_season(playground: Playground):
    add_results(playground, 3)
    other = Commissioner(playground.league)
    playground.commissioner.plan()
    other.look()
    with playground.league.database.reading() as session:
        assert session.scalars(select(Standing)).all() == []
    playground.commissioner.rank()
    with playground.league.database.reading() as session:
        assert len(session.scalars(select(Standing)).all()) == 4


def test_line_ups_of_two_teams_are_read_back_as_they_were(playground: Playground):
    with playground.league.database.transaction() as session:
        season = seasons.default_season(session)
        assert season
        first, second = sorted(version.id for version in policies.list_versions(session))[:2]
        spec = {"seeds": [[3, 2]], "map_seeds": [[5, 2]]}
        match = Match(
            pool_id=season.pools[0].id, status="completed", mission="duel#2", spec=spec, finished_at=now()
        )  # fmt: skip
        match.players = [
            MatchPlayer(place=0, version_id=second, seats=4, team="cogs", scores=[1.0, 2.0]),
            MatchPlayer(place=1, version_id=first, seats=2, team="clips", scores=[3.0, 4.0]),
        ]
        session.add(match)
    lineup = Lineup("duel#2", (str(second), str(first)), (4, 2), (3, 4), (5, 6), ("cogs", "clips"))
    [found] = published(playground, 100)
    assert found == Result(found.match, "competition", lineup, ((1.0, 2.0), (3.0, 4.0)))


def test_matches_that_wait_when_somebody_comes_are_planned_anew_and_those_of_a_worker_go_on(empty_league: Playground):
    first, second = enter(empty_league, "role"), enter(empty_league, "noop")
    empty_league.commissioner.look()
    alone = planned(empty_league)
    assert Counter(alone.values()) == {frozenset((first, second)): MATCHES}
    begun = {job.subject for job in lease(empty_league, 2)}
    third = enter(empty_league, "miner")
    empty_league.commissioner.look()
    found = planned(empty_league)
    assert set(alone) & set(found) == begun
    assert Counter(one for own in found.values() for one in own) == {first: MATCHES, second: MATCHES, third: MATCHES}
    empty_league.commissioner.look()
    assert planned(empty_league) == found


def test_who_is_retired_plays_no_match_that_waits_and_the_partners_get_others(playground: Playground):
    playground.commissioner.look()
    before = planned(playground)
    gone = next(iter(before[lease(playground, 1)[0].subject]))
    retire(playground, gone)
    left = planned(playground)
    assert sum(gone in players for players in left.values()) == 1
    assert all(match in left for match, players in before.items() if gone not in players)
    playground.commissioner.look()
    counts = Counter(one for players in planned(playground).values() for one in players)
    assert counts.pop(gone) == 1 and set(counts.values()) <= {MATCHES, MATCHES + 1} and len(counts) == 3


def test_a_match_that_was_tried_is_not_withdrawn_and_one_that_was_given_back_is(playground: Playground):
    playground.commissioner.look()
    tried, returned = lease(playground, 2)
    with playground.league.database.transaction() as session:
        assert tried.lease and returned.lease
        jobs.fail(session, tried.id, tried.lease, "out of memory", playground.league.settings.jobs)
        jobs.give_back(session, returned.id, returned.lease)
    for players in list(planned(playground).values()):
        for version_id in players:
            retire(playground, version_id)
    assert set(planned(playground)) == {tried.subject}


def test_matches_are_withdrawn_or_handed_out_while_others_do_the_same(playground: Playground):
    """Two servers and two workers at once: each match is handed out once or taken back, and all counts are right."""
    playground.commissioner.look()
    before = planned(playground)
    [one, other, *_] = sorted({version for players in before.values() for version in players})
    with ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(lease, playground, 4) for _ in range(2)]
        left_by = [pool.submit(retire, playground, leaver) for leaver in (one, other)]
    assert [future.result() for future in left_by] == [None, None]
    held = [job.subject for future in taken for job in future.result()]
    left = planned(playground)
    assert len(held) == len(set(held)) and set(held) <= set(left) <= set(before)
    assert all(match in held or not {one, other} & players for match, players in left.items())


def test_matches_are_listed_those_that_ended_last_first_and_those_that_wait_at_the_end(playground: Playground):
    playground.commissioner.look()
    add_results(playground, 12)  # each ended a second before the one that was added earlier
    add_results(playground, 1, timedelta(hours=1), status="failed")
    listed = playground.get(f"/tournament/seasons/{DEFAULT}/matches")
    assert [one["status"] for one in listed[:13]] == ["completed"] * 12 + ["failed"]
    ended = [one["episode"]["finished_at"] for one in listed[:12]]
    assert ended == sorted(ended, reverse=True)
    assert [one["status"] for one in listed[13:]] == ["pending"] * 12
    pages = [playground.get(f"/tournament/seasons/{DEFAULT}/matches", limit=5, offset=k) for k in range(0, 30, 5)]
    assert [one for page in pages for one in page] == listed
    own = listed[0]["players"][0]["policy"]["id"]
    own_list = playground.get(f"/tournament/seasons/{DEFAULT}/matches", policy_version_ids=own)
    assert own_list == [one for one in listed if own in {player["policy"]["id"] for player in one["players"]}]
    page = playground.web.get(f"/seasons/{DEFAULT}").text
    assert page.count('class="badge completed"') == 10 and "badge pending" not in page and "12 waiting" in page
