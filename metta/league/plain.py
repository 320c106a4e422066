"""The original's way to plan and to score: pairs in all splits on shared seeds, and the mean reward by seats held."""

import math
from collections import Counter
from collections.abc import Iterator

from metta.league.records import Lineup, Pool, Standing

Z95 = 1.959964  # of the normal distribution


def plan(pool: Pool, most: int) -> list[Lineup]:
    """The next matches of a pool, at most so many: those first of whom the fewest are played or under way."""
    policies = [entrant.policy for entrant in pool.entrants if entrant.active]
    played = Counter({entrant.policy: entrant.completed + entrant.pending for entrant in pool.entrants})
    together: Counter[tuple[str, ...]] = Counter(
        lineup.policies for lineup in (*pool.pending, *(result.lineup for result in pool.results))
    )
    lineups: list[Lineup] = []
    while policies and len(lineups) < most:
        policy = min(policies, key=lambda one: (played[one], one))
        if played[policy] >= pool.matches:
            break
        others = [other for other in policies if other != policy] if pool.partners == "pool" else []
        partner = min(others, key=lambda one: (together[_pair(policy, one)], played[one], one), default=None)
        pair = _pair(policy, partner)
        lineups.append(_lineup(pool, pair, together[pair]))
        together[pair] += 1
        played.update(pair)
    return lineups


def _pair(policy: str, partner: str | None) -> tuple[str, ...]:
    return (policy,) if partner is None else (min(policy, partner), max(policy, partner))


def _lineup(pool: Pool, policies: tuple[str, ...], number: int) -> Lineup:
    """The match of that number of some policies; whoever they are, it has the same mission, split and seeds."""
    name, seats = list(pool.missions.items())[number % len(pool.missions)]
    splits = list(_splits(seats, len(policies)))
    first = pool.seed + number // len(pool.missions) // len(splits) * pool.episodes
    seeds = tuple(range(first, first + pool.episodes))
    return Lineup(name, policies, splits[number // len(pool.missions) % len(splits)], seeds, seeds)


def _splits(seats: int, policies: int) -> Iterator[tuple[int, ...]]:
    """Seats of each policy: halves, then a quarter and three quarters, both ways round."""
    if policies == 1 or seats < policies:
        yield (seats,)
        return
    for first in dict.fromkeys((seats // 2, max(1, seats // 4), seats - max(1, seats // 4))):
        yield (first, seats - first)


def rank(pool: Pool) -> list[Standing]:
    """Everybody by the mean reward of its agents, each match weighed by the seats held; best first."""
    samples: dict[str, list[tuple[float, float]]] = {entrant.policy: [] for entrant in pool.entrants if entrant.active}
    for result in pool.results:
        for policy, seats, scores in zip(result.lineup.policies, result.lineup.seats, result.scores, strict=True):
            if policy in samples:
                samples[policy].append((seats, sum(scores) / len(scores)))
    scored = {policy: _weighed(found) for policy, found in samples.items() if found}
    order = sorted(scored, key=lambda policy: (-scored[policy][0], policy))
    return [
        Standing(
            policy=policy, score=scored[policy][0], ci95=scored[policy][1], rank=place,
            ranks=_possible(scored[policy][1], [interval for _, interval in scored.values()]),
            matches=len(samples[policy]),
        )
        for place, policy in enumerate(order, 1)
    ]  # fmt: skip


def _weighed(samples: list[tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """Mean of weighed values and its 95 % interval; one value has none but itself."""
    total = sum(weight for weight, _ in samples)
    mean = sum(weight * value for weight, value in samples) / total
    error = math.sqrt(sum((weight / total * (value - mean)) ** 2 for weight, value in samples))
    return mean, (mean - Z95 * error, mean + Z95 * error)


def _possible(own: tuple[float, float], intervals: list[tuple[float, float]]) -> tuple[int, int]:
    """First and last rank that an interval allows beside the others; its own is among them."""
    better = sum(low > own[1] for low, _ in intervals)
    return better + 1, sum(high >= own[0] for _, high in intervals)
