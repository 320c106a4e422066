"""What planning and ranking are told of a season is what the database holds, however it came there."""

import uuid
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from metta.league.commissioner import Commissioner
from metta.league.league import SQLITE
from metta.league.rating.ranking import recompute, standings
from metta.league.records import Lineup, Pool, Result
from metta.league.scheduling import met_in, plan
from metta.league.store import policies, results, seasons
from metta.league.store.schema import Entry, Match, MatchPlayer, Standing, now
from tests.league.conftest import MakeLeague, Playground, bundle, short_season

NAMES = ("role", "random", "miner", "noop")


@pytest.fixture
def playground(make_league: MakeLeague, address: str) -> Playground:
    """A league with four versions that have played nothing yet, on each database."""
    settings = {} if address.endswith(SQLITE) else {"database": address}
    found = make_league(short_season(pools=[{"name": "competition", "matches": 6}]), **settings)
    for name in NAMES:
        found.upload("anna", name, bundle(name))
    with found.league.database.transaction() as session:
        for version in policies.list_versions(session):
            policies.judge(session, version.id, None, version.sha256, "script")
    return found


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
    for batch, ago in ((5, 60), (4, 0), (6, 90), (0, 0)):  # the third ended before the second
        add_results(playground, batch, timedelta(seconds=ago))
        with playground.league.database.reading() as session:
            [pool] = seasons.default_season(session).pools  # pyright: ignore[reportOptionalMemberAccess]
            active = results.active_policies(session, pool)
            known.take_in(session, pool)
    everything = published(playground, 100)
    assert len(known.ledger) == len(everything) == 15 and len(active) == 4
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
