"""What results say about policies: values with intervals, ranks with what is known of them."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.league.rating.published import Published, publish, read_published
from metta.league.rating.ranking import rank, recompute
from metta.league.records import Entrant, Lineup, Pool, Result, Standing
from metta.league.scheduling import plan

SEATS = 4
TWELVE = tuple(f"p{k:02}" for k in range(12))


class World:
    """Policies of known strengths: the mean return of a team is that of its agents, beside seed and chance."""

    def __init__(self, seed: int, strengths: dict[str, float], noise: float = 0.3) -> None:
        self._draw = np.random.default_rng(seed)
        self.strengths = strengths
        self._noise = noise

    def play(self, lineup: Lineup, match: str = "") -> Result:
        """Chance is now and then large and mostly small, as returns are."""
        teams = lineup.teams or (None,) * len(lineup.seats)
        scores = np.zeros((len(lineup.policies), len(lineup.seeds)))
        for k, seed in enumerate(lineup.map_seeds):
            for team in dict.fromkeys(teams):
                own = [place for place, one in enumerate(teams) if one == team]
                held = np.array([lineup.seats[place] for place in own])
                parts = np.array([self.strengths[lineup.policies[place]] for place in own])
                luck = np.sin(seed * 12.9) + self._noise * (self._draw.exponential() - 1)
                scores[own, k] = held @ parts / held.sum() + luck
        return Result(match or f"{self._draw.integers(1 << 60):015x}", "competition", lineup, _tuples(scores))

    @property
    def ranks(self) -> dict[str, int]:
        ordered = sorted(self.strengths, key=lambda one: -self.strengths[one])
        return {policy: place for place, policy in enumerate(ordered, 1)}


def _tuples(scores: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in own) for own in scores)


def world(seed: int, policies: tuple[str, ...] = TWELVE, **words: float) -> World:
    return World(
        seed, dict(zip(policies, np.random.default_rng(seed).normal(size=len(policies)), strict=True)), **words
    )


def season(world: World, matches: int, **fields: object) -> Pool:
    """A pool whose matches have all been planned and played."""
    entrants = {policy: Entrant(policy) for policy in world.strengths}
    pool = Pool("competition", {"arena": SEATS}, tuple(entrants.values()), matches=matches, **fields)  # pyright: ignore
    while lineups := plan(pool, 20):
        for lineup in lineups:
            for policy in set(lineup.policies):
                entrants[policy] = replace(entrants[policy], completed=entrants[policy].completed + 1)
        results = (*pool.results, *map(world.play, lineups))
        pool = replace(pool, entrants=tuple(entrants.values()), results=results)
    return pool


def by_policy(standings: list[Standing]) -> dict[str, Standing]:
    return {one.policy: one for one in standings}


def test_intervals_and_ranks_hold_the_truth_at_about_95_percent():
    """Twelve policies of known strengths, 100 seasons of 15 matches each: 1,200 intervals, so 95 % ± 2 %."""
    inside = ranked = 0
    for seed in range(100):
        truth = world(seed)
        mean = np.mean(list(truth.strengths.values()))
        for one in rank(season(truth, 15)):
            value = (truth.strengths[one.policy] - mean) * 12 / 11  # over the mean of the eleven others
            inside += one.ci95[0] <= value <= one.ci95[1]
            ranked += one.ranks[0] <= truth.ranks[one.policy] <= one.ranks[1]
    assert 0.93 <= inside / 1_200 <= 0.985
    assert ranked / 1_200 >= 0.94


@pytest.mark.parametrize("count", [3, 4, 6])
def test_of_few_matches_nothing_is_certain(count: int):
    """Two matches of each: as many strengths as results, or nearly, fit whatever chance made of these."""
    inside = ranked = 0
    for seed in range(60):
        truth = world(seed, TWELVE[:count])
        mean = np.mean(list(truth.strengths.values()))
        for one in rank(season(truth, 2)):
            assert one.ci95[1] - one.ci95[0] > 1e-3
            inside += one.ci95[0] <= (truth.strengths[one.policy] - mean) * count / (count - 1) <= one.ci95[1]
            ranked += one.ranks[0] <= truth.ranks[one.policy] <= one.ranks[1]
    assert inside / (60 * count) >= 0.93 and ranked / (60 * count) >= 0.97


def test_who_has_never_been_compared_is_not_ordered_for_sure():
    """Two teams each: of those who only met each other nothing says how they stand to the rest."""
    truth = World(5, {"a": 0.0, "b": -1.0, "c": 9.0, "d": 7.0}, noise=0.01)
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    lineups = [Lineup("duel", pair, (4, 4), (seed,), (seed,), ("cogs", "clips")) for pair in pairs for seed in range(4)]
    apart = recompute(map(truth.play, lineups), truth.strengths)
    assert {one.ranks for one in apart} == {(1, 4)}
    bridge = [Lineup("duel", pair, (4, 4), (9,), (9,), ("cogs", "clips")) for pair in (("a", "c"), ("d", "b"))]
    found = recompute(map(truth.play, [*lineups, *bridge]), truth.strengths)
    assert [(one.policy, one.ranks) for one in found] == [(name, (k, k)) for k, name in enumerate("cdab", 1)]


def test_a_season_ranks_as_an_exhaustive_tournament_of_the_same_pool():
    """Every pair with every number of seats on many seeds leaves nothing open; 20 matches of each agree with it."""
    truth = world(3)
    exhaustive = recompute(
        [
            truth.play(Lineup("arena", pair, (own, SEATS - own), (seed,), (seed,)))
            for pair in permutations(TWELVE, 2)
            for own in range(1, SEATS)
            for seed in range(6)
        ],
        TWELVE,
    )
    assert [truth.ranks[one.policy] for one in exhaustive] == list(range(1, 13))
    places = by_policy(exhaustive)
    short = rank(season(truth, 20))
    assert all(one.ranks[0] <= places[one.policy].rank <= one.ranks[1] for one in short)
    assert np.corrcoef([one.rank for one in short], [places[one.policy].rank for one in short])[0, 1] > 0.95


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1_000),
    order=st.randoms(use_true_random=False),
    score=st.sampled_from(["replacement", "shares"]),
)
def test_the_order_of_results_changes_nothing(seed: int, order, score):
    results = list(season(world(seed, TWELVE[:5]), 5).results)
    before = recompute(results, TWELVE[:5], score)
    order.shuffle(results)
    assert recompute(results, reversed(TWELVE[:5]), score) == before


@settings(max_examples=25)
@given(
    gains=st.lists(st.floats(0, 2), min_size=4, max_size=12),
    seed=st.integers(0, 1_000),
    score=st.sampled_from(["replacement", "shares"]),
)
def test_who_does_better_in_every_match_is_not_ranked_below(gains: list[float], seed: int, score):
    """Two policies play the same matches with the same partners; whenever the one does, its team has no less."""
    draw, results = np.random.default_rng(seed), []
    for k, gain in enumerate(gains):
        own, partner, value = 1 + k % 3, TWELVE[2 + k % 3], float(draw.normal())
        for policy, reached in (("better", value + gain), ("worse", value)):
            lineup = Lineup("arena", (policy, partner), (own, SEATS - own), (k % 4,), (k % 4,))
            results.append(Result(f"{policy}{k}", "competition", lineup, ((reached,), (reached,))))
    found = by_policy(recompute(results, ["better", "worse", *TWELVE[2:5]], score))
    assert found["better"].rank <= found["worse"].rank


def test_more_matches_narrow_the_intervals():
    few, many = (rank(season(world(8), matches)) for matches in (8, 72))
    widths = [np.mean([one.ci95[1] - one.ci95[0] for one in standings]) for standings in (few, many)]
    assert widths[1] < widths[0] / 2  # as 1/√9, and what few matches add


def test_good_partners_raise_nobody():
    """Of two equals the one that was always given the best partner is not above the other for it."""
    truth = World(1, {"lucky": 0.0, "unlucky": 0.0, "best": 4.0, "worst": -4.0}, noise=0.05)
    pairs = [("lucky", "best"), ("unlucky", "worst"), ("best", "worst"), ("lucky", "worst"), ("unlucky", "best")]
    weights = [9, 9, 6, 1, 1]  # how often
    results = [
        truth.play(Lineup("arena", pair, (own, SEATS - own), (seed,), (seed,)))
        for pair, times in zip(pairs, weights, strict=True)
        for seed in range(times)
        for own in range(1, SEATS)
    ]
    fair, by_shares = (by_policy(recompute(results, truth.strengths, score)) for score in ("replacement", "shares"))
    assert abs(fair["lucky"].score - fair["unlucky"].score) < 0.2
    assert by_shares["lucky"].score - by_shares["unlucky"].score > 2


def test_the_value_is_over_those_who_take_part_and_not_over_who_has_left():
    pool = season(world(2, TWELVE[:4]), 12)
    gone = replace(pool, entrants=tuple(replace(one, active=one.policy != "p03") for one in pool.entrants))
    found = rank(gone)
    assert [one.policy for one in found] == [one.policy for one in rank(pool) if one.policy != "p03"]
    assert np.isclose(sum(one.score for one in found), 0, atol=1e-5)


def test_of_two_teams_the_value_is_the_lead():
    truth = World(5, {"strong": 1.0, "weak": 0.0, "middle": 0.5}, noise=0.1)
    results = [
        truth.play(Lineup("duel", pair, (4, 2), (seed,), (seed,), ("cogs", "clips")))
        for pair in permutations(truth.strengths, 2)
        for seed in range(8)
    ]
    found = recompute(results, truth.strengths)
    assert [one.policy for one in found] == ["strong", "middle", "weak"]
    assert found[0].ci95[0] <= 0.75 <= found[0].ci95[1]
    assert found[0].rating is not None and found[2].rating is not None and found[0].rating > found[2].rating


def test_the_share_weighted_mean_is_the_original_s():
    results = [
        Result("a", "competition", Lineup("arena", ("x", "y"), (1, 3), (1,), (1,)), ((2.0,), (1.0,))),
        Result("b", "competition", Lineup("arena", ("x", "y"), (3, 1), (1,), (1,)), ((4.0,), (3.0,))),
    ]
    found = by_policy(recompute(results, ["x", "y"], "shares"))
    assert found["x"].score == 3.5 and found["y"].score == 1.5


def test_openskill_follows_strength():
    truth = World(4, dict(zip(TWELVE, np.linspace(-2, 2, 12), strict=True)))
    found = rank(season(truth, 40))
    ratings = [one.rating for one in sorted(found, key=lambda one: truth.ranks[one.policy])]
    assert np.corrcoef(np.array(ratings, np.float64), np.arange(12))[0, 1] < -0.8


def test_equal_scores_have_one_rank():
    equal = [
        Result(f"{k}", "competition", Lineup("arena", (one, "p02"), (2, 2), (1,), (1,)), ((1.0,), (1.0,)))
        for k, one in enumerate(("p00", "p01"))
    ]
    found = by_policy(recompute(equal, TWELVE[:3]))
    assert found["p00"].rank == found["p01"].rank == 1


@pytest.mark.parametrize("score", ["replacement", "shares"])
def test_nothing_played_nothing_ranked_and_one_match_is_no_evidence(score):
    assert recompute([], ["x"], score) == []
    one = Result("a", "competition", Lineup("arena", ("x", "y"), (1, 3), (1,), (1,)), ((2.0,), (1.0,)))
    found = recompute([one], ["x", "y"], score)
    assert {standing.ranks for standing in found} == {(1, 2)}
    assert all(standing.ci95[0] < standing.score < standing.ci95[1] for standing in found)


def test_many_policies_are_ranked_without_a_table_of_all_pairs():
    names = tuple(f"p{k:05}" for k in range(2_000))
    truth = World(6, dict(zip(names, np.linspace(-2, 2, len(names)), strict=True)))
    pairs = [(names[k], names[(k + shift) % 2_000]) for shift in (1, 7, 300, 901) for k in range(2_000)]
    lineups = [Lineup("arena", pair, (1 + k % 3, 3 - k % 3), (k % 5,), (k % 5,)) for k, pair in enumerate(pairs)]
    found = recompute(map(truth.play, lineups), names)
    mean_of = {one.policy: one for one in found}
    inside = [mean_of[name].ci95[0] <= truth.strengths[name] <= mean_of[name].ci95[1] for name in names]
    assert 0.93 <= np.mean(inside) <= 0.99


def test_a_published_leaderboard_is_recomputed_bit_for_bit():
    published = publish("beta", season(world(7), 6), "replacement", {"p00": "role:v1"})
    again = read_published(published.model_dump_json(), "beta.json")
    assert again == published and again.recomputed() == published.standings
    assert Published.model_validate(json.loads(published.model_dump_json())).recomputed() == published.standings


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda document: document.pop("results"), "results: Field required"),
        (lambda document: document["results"][0]["scores"].pop(), "2 policies, but 1 scores"),
        (lambda document: document["results"][0]["lineup"].update(seeds=[1, 2]), "every episode two seeds"),
        (lambda document: document["results"][0]["lineup"].update(seats=[0, 4]), "every policy has a seat"),
        (lambda document: document.update(score="best"), "score: "),
    ],
)
def test_what_is_no_published_result_is_refused_in_one_line(damage, problem: str):
    document = json.loads(publish("beta", season(world(7), 3), "replacement", {}).model_dump_json())
    damage(document)
    with pytest.raises(UserError, match=f"^beta.json: no published results .*{problem}") as error:
        read_published(json.dumps(document), "beta.json")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"^beta\.json: no published results"):
        read_published("{", "beta.json")
