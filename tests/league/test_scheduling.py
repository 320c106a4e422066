"""Which matches a pool plays next."""

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.league.records import Entrant, Lineup, Pool, Result
from metta.league.scheduling import plan

ARENA = {"arena": 4}


def pool(count: int, **fields: object) -> Pool:
    return Pool("competition", **{"missions": ARENA, "entrants": entrants(count), **fields})  # pyright: ignore


def entrants(count: int) -> tuple[Entrant, ...]:
    return tuple(Entrant(f"p{k:05}") for k in range(count))


def after(pool: Pool, lineups: list[Lineup], failing: str | None = None) -> Pool:
    """The pool when line-ups have been played; those with the failing policy failed through its fault."""
    failed = Counter(failing for lineup in lineups if failing in lineup.policies)
    played = [lineup for lineup in lineups if failing not in lineup.policies]
    completed = Counter(policy for lineup in played for policy in set(lineup.policies))
    first = len(pool.results)
    results = [Result(f"m{first + k}", pool.name, lineup, tuple((0.0,) * len(lineup.seeds) for _ in lineup.policies))
               for k, lineup in enumerate(played)]  # fmt: skip
    entrants = [
        replace(one, completed=one.completed + completed[one.policy], failed=one.failed + failed[one.policy])
        for one in pool.entrants
    ]
    return replace(pool, entrants=tuple(entrants), results=(*pool.results, *results))


def played_out(pool: Pool, at_once: int, failing: str | None = None, rounds: int = 1_000) -> Pool:
    for _ in range(rounds):
        if not (lineups := plan(pool, at_once)):
            return pool
        pool = after(pool, lineups, failing)
    return pool


@settings(max_examples=30)
@given(count=st.integers(0, 9), most=st.integers(0, 40), matches=st.integers(1, 12), seed=st.integers(0, 99))
def test_never_more_is_planned_than_asked_and_every_plan_fills_the_seats(
    count: int, most: int, matches: int, seed: int
):
    lineups = plan(pool(count, matches=matches, seed=seed), most)
    assert len(lineups) <= most
    for lineup in lineups:
        assert sum(lineup.seats) == ARENA[lineup.mission] and min(lineup.seats) > 0
    if most == 40 and count > 1:
        assert lineups


@settings(max_examples=20)
@given(count=st.integers(1, 9), matches=st.integers(1, 12), at_once=st.integers(1, 20))
def test_everybody_plays_its_number_of_matches_however_many_are_planned_at_a_time(
    count: int, matches: int, at_once: int
):
    entered = played_out(pool(count, matches=matches), at_once).entrants
    assert all(one.completed >= matches for one in entered)
    assert sum(one.completed for one in entered) <= count * matches + count  # a last one left over needs a partner


def arrive(pool: Pool) -> Pool:
    return replace(pool, entrants=(*pool.entrants, Entrant(f"p{len(pool.entrants):05}")))


@settings(max_examples=40)
@given(
    count=st.integers(2, 9), matches=st.integers(1, 12), played=st.lists(st.integers(0, 12), max_size=8),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_whoever_comes_when_everybody_plays_its_number_and_little_more_than_is_due(
    count: int, matches: int, played: list[int], order: random.Random
):
    """What waits is planned anew when somebody comes; `played` is how many matches are by then. Due is what a policy
    is to play, and its share of what each that came later is to play, if all played when they came."""
    now, due = pool(0, matches=matches, seed=order.randrange(99)), list[float]()
    for place in range(count):
        due = [own + matches / place for own in due]
        due.append(matches)
        now = arrive(now)
        lineups = plan(now, 100)
        order.shuffle(lineups)
        now = after(now, lineups[: played[place] if place < len(played) else 0])
    entered = played_out(now, 100).entrants
    assert all(one.completed >= matches for one in entered)
    assert all(one.completed <= math.ceil(own) + 1 for one, own in zip(entered, due, strict=True))
    if not any(played):
        assert all(one.completed <= matches + 1 for one in entered)


@settings(max_examples=40)
@given(done=st.lists(st.integers(0, 12), min_size=2, max_size=9), matches=st.integers(1, 12))
def test_nobody_is_asked_beyond_its_number_while_others_lack_matches_that_were_met_no_more_often(
    done: list[int], matches: int
):
    now = pool(0, matches=matches, entrants=tuple(Entrant(f"p{k}", completed=number) for k, number in enumerate(done)))
    planned, met = {one.policy: one.completed for one in now.entrants}, Counter[frozenset[str]]()
    for lineup in plan(now, 100):
        players = frozenset(lineup.policies)
        beyond = [policy for policy in players if planned[policy] >= matches]
        assert len(beyond) <= 1
        for partner in beyond:
            [policy] = players - {partner}
            lacking = [other for other in planned if planned[other] < matches and other != policy]
            assert all(met[frozenset((policy, other))] > met[players] for other in lacking)
        met[players] += 1
        planned.update({policy: planned[policy] + 1 for policy in players})


def test_a_season_that_many_enter_one_by_one_has_no_more_matches_than_one_that_all_enter_at_once():
    """Two workers play three matches before the next comes; with room for a hundred to wait."""
    now = pool(0, matches=21)
    for _ in range(9):
        now = arrive(now)
        now = after(now, plan(now, 100)[:3])
    assert {one.completed for one in played_out(now, 100).entrants} <= {21, 22}


def test_the_same_pool_gives_the_same_plan_and_another_seed_another():
    assert plan(pool(9), 20) == plan(pool(9), 20)
    assert plan(pool(9), 20) != plan(pool(9, seed=43), 20)
    assert plan(replace(pool(9), entrants=tuple(reversed(entrants(9)))), 20) == plan(pool(9), 20)


def test_whoever_has_played_least_comes_first_then_whose_interval_is_widest():
    late = tuple(replace(one, completed=3 if one.policy != "p00004" else 1) for one in entrants(6))
    assert "p00004" in plan(pool(6, entrants=late), 1)[0].policies
    even = {f"p{k:05}": 1.0 for k in range(6)}
    assert "p00002" in plan(pool(6, widths={**even, "p00002": 2.0}), 1)[0].policies


def test_what_is_pending_counts_as_played():
    waiting = tuple(replace(one, pending=20) for one in entrants(3))
    assert plan(pool(3, entrants=waiting), 5) == []


def test_partners_are_those_met_least():
    met = Counter(frozenset(one.lineup.policies) for one in played_out(pool(6, matches=20), 3).results)
    assert len(met) == 15 and max(met.values()) - min(met.values()) <= 2


def test_everybody_plays_all_numbers_of_seats_on_the_same_seeds():
    """What is compared is the policy, not what it happened to be given."""
    given: dict[str, list[tuple[int, int]]] = {}
    for result in played_out(pool(8, matches=12), 4).results:
        for policy in result.lineup.policies:
            given.setdefault(policy, []).append((result.lineup.seats_of(policy), result.lineup.seeds[0]))
    for own in given.values():
        assert {seats for seats, _ in own} == {1, 2, 3}
        assert {seed for _, seed in own} >= {42, 43, 44, 45}


def test_a_failing_policy_costs_its_partners_no_match_and_does_not_keep_others_waiting():
    stopped = played_out(pool(5, matches=6), 4, failing="p00003", rounds=40)
    others = [one for one in stopped.entrants if one.policy != "p00003"]
    assert all(one.completed >= 6 and one.failed == 0 for one in others)


def test_who_plays_with_itself_plays_alone_and_all_on_the_same_seeds():
    lineups = plan(pool(3, partners="self", matches=2), 9)
    assert len(lineups) == 6
    assert Counter((*one.policies, one.seats, one.seeds) for one in lineups) == Counter(
        (f"p{k:05}", (4,), (seed,)) for k in range(3) for seed in (42, 43)
    )


def test_who_is_alone_in_a_pool_plays_alone():
    assert [one.policies for one in plan(pool(1, matches=2), 5)] == [("p00000",)] * 2


def test_who_has_left_a_pool_plays_no_more():
    gone = tuple(replace(one, active=one.policy != "p00001") for one in entrants(3))
    assert all("p00001" not in one.policies for one in plan(pool(3, entrants=gone), 9))


def test_on_a_mission_of_two_teams_each_policy_has_a_whole_team_and_both_sides_in_turn():
    duel = pool(2, missions={"duel": 6}, teams={"duel": {"cogs": 4, "clips": 2}}, matches=4)
    lineups = plan(duel, 9)
    assert [one.teams for one in lineups] == [("cogs", "clips")] * 4
    assert all(one.seats == (4, 2) for one in lineups)
    assert {one.policies for one in lineups} == {("p00000", "p00001"), ("p00001", "p00000")}


@pytest.mark.parametrize(("own", "seats"), [((), {1, 2, 3}), ((1,), {1, 3}), ((2, 9), {2}), ((4,), {4})])
def test_a_pool_can_say_how_many_seats_a_policy_holds(own: tuple[int, ...], seats: set[int]):
    lineups = plan(pool(4, own_seats=own, matches=6), 99)
    assert {count for one in lineups for count in one.seats} == seats


def test_missions_are_played_in_turn_and_a_match_has_an_episode_for_each_seed():
    lineups = plan(pool(2, missions={"a": 2, "b": 4}, matches=4, episodes=3), 4)
    assert [one.mission for one in lineups] == ["a", "b", "a", "b"]
    assert lineups[0].seeds == (42, 43, 44) and lineups[2].seeds == (45, 46, 47)


def test_ten_thousand_policies_are_planned_without_looking_at_every_pair():
    many = pool(10_000)
    planned = Counter(policy for one in plan(many, 5_000) for policy in one.policies)
    assert len(planned) == 10_000 and set(planned.values()) == {1}
