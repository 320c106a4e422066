"""The leaderboard from the results: scores with their intervals, and the ranks that are possible.

Of two policies one is above the other for sure where their intervals, each shrunk to 1/√2 of its width, do not meet: of
two equals that happens about one time in twenty (Goldstein and Healy, "The graphical presentation of a collection of
means", Journal of the Royal Statistical Society A 158, 1995).

Results are put in the order of their ids, and numbers are rounded to DIGITS: the same results, in whatever order, give
the same leaderboard, bit for bit, on every machine.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from metta.league.rating.observations import observe
from metta.league.rating.replacement import interval_offsets, values_over_replacement
from metta.league.rating.skill import skills
from metta.league.records import Pool, Result, Standing

DIGITS = 6  # after the point
Score = Literal["replacement", "shares"]


def rank(pool: Pool, score: Score = "replacement") -> list[Standing]:
    """The leaderboard of a pool: those that still take part in it, best first."""
    return recompute(pool.results, [entrant.policy for entrant in pool.entrants if entrant.active], score)


def recompute(results: Iterable[Result], policies: Iterable[str], score: Score = "replacement") -> list[Standing]:
    """Standings of `policies` that have played, best first. `score`: value over replacement, where the replacement is
    their average; or shares, the mean return weighed by the seats held."""
    ordered = sorted(results, key=lambda result: result.match)
    everyone = sorted({policy for result in ordered for policy in result.lineup.policies})
    if not everyone:
        return []
    wanted = set(policies)
    counted = np.array([policy in wanted for policy in everyone])
    seen = observe(ordered, everyone)
    values, ends = values_over_replacement(seen, counted) if score == "replacement" else _by_shares(ordered, everyone)
    played = np.unique(np.stack([seen.policies, seen.matches[seen.episodes]]), axis=1)[0]
    matches, ratings = np.bincount(played, minlength=len(everyone)), skills(ordered)
    values, (low, high) = np.round(values[counted], DIGITS) + 0.0, np.round(ends[counted], DIGITS).T + 0.0
    ranks, first, last = _ranks(values, low, high)
    standings = [
        Standing(
            policy=everyone[number],
            score=float(values[k]),
            ci95=(float(low[k]), float(high[k])),
            rank=int(ranks[k]),
            ranks=(int(first[k]), int(last[k])),
            matches=int(matches[number]),
            rating=round(ratings[everyone[number]], DIGITS) + 0.0,
        )
        for k, number in enumerate(np.flatnonzero(counted))
    ]
    return sorted(standings, key=lambda standing: (standing.rank, standing.policy))


def _ranks(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank of each value, the first and the last that are possible, [policies] each; equal values have one rank."""
    low, high = (values + (end - values) / math.sqrt(2) for end in (low, high))
    ranks = 1 + len(values) - np.searchsorted(np.sort(values), values, "right")
    better = len(values) - np.searchsorted(np.sort(low), high, "right")
    worse = np.searchsorted(np.sort(high), low, "left")
    return ranks, 1 + better, len(values) - worse


def _by_shares(results: Sequence[Result], everyone: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean return of each policy's agents, matches weighed by its seats, [policies], and intervals, [policies, 2]."""
    number = {policy: place for place, policy in enumerate(everyone)}
    entries = [
        (number[policy], match, seats, sum(scores) / len(scores))
        for match, result in enumerate(results)
        for policy, seats, scores in zip(result.lineup.policies, result.lineup.seats, result.scores, strict=True)
    ]
    policies, matches = np.array([entry[:2] for entry in entries], np.int64).T
    seats, scores = np.array([entry[2:] for entry in entries], np.float64).T
    held = np.bincount(policies, seats)
    means = np.bincount(policies, seats * scores) / held
    influences = seats * (scores - means[policies]) / held[policies]
    span = float(np.ptp(scores))
    return means, means[:, None] + interval_offsets(policies, matches, influences, len(everyone), span)
