"""The leaderboard from the results: scores with their intervals, and the ranks that are possible.

Of two policies one is above the other for sure where their intervals, each shrunk to 1/√2 of its width, do not meet: of
two equals that happens about one time in twenty (Goldstein and Healy, "The graphical presentation of a collection of
means", Journal of the Royal Statistical Society A 158, 1995).

Results are put in the order of their ids, and numbers are rounded to DIGITS: the same results, in whatever order, give
the same leaderboard, bit for bit, on every machine.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np

from metta.league.rating.observations import observe
from metta.league.rating.replacement import interval_offsets, values_over_replacement
from metta.league.rating.skill import skills
from metta.league.rating.table import Ledger, Table
from metta.league.records import Pool, Result, Standing

DIGITS = 6  # after the point
Score = Literal["replacement", "shares"]


def rank(pool: Pool, score: Score = "replacement") -> list[Standing]:
    """The leaderboard of a pool: those that still take part in it, best first."""
    return recompute(pool.results, [entrant.policy for entrant in pool.entrants if entrant.active], score)


def recompute(results: Iterable[Result], policies: Iterable[str], score: Score = "replacement") -> list[Standing]:
    """Standings of `policies` that have played, best first. `score`: value over replacement, where the replacement is
    their average; or shares, the mean return weighed by the seats held."""
    return standings(Ledger(results).table(), policies, score)


def standings(table: Table | None, policies: Iterable[str], score: Score) -> list[Standing]:
    """As `recompute`, of results that have been put into columns."""
    if table is None:
        return []
    wanted = set(policies)
    counted = np.array([policy in wanted for policy in table.names])
    seen = observe(table)
    values, ends = values_over_replacement(seen, counted) if score == "replacement" else _by_shares(table)
    ratings = skills(table)
    values, (low, high) = np.round(values[counted], DIGITS) + 0.0, np.round(ends[counted], DIGITS).T + 0.0
    ranks, first, last = _ranks(values, low, high)
    found = [
        Standing(
            policy=table.names[number],
            score=float(values[k]),
            ci95=(float(low[k]), float(high[k])),
            rank=int(ranks[k]),
            ranks=(int(first[k]), int(last[k])),
            matches=int(seen.matches_played[number]),
            rating=round(ratings[number], DIGITS) + 0.0,
        )
        for k, number in enumerate(np.flatnonzero(counted))
    ]
    return sorted(found, key=lambda standing: (standing.rank, standing.policy))


def _ranks(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank of each value, the first and the last that are possible, [policies] each; equal values have one rank."""
    low, high = (values + (end - values) / math.sqrt(2) for end in (low, high))
    ranks = 1 + len(values) - np.searchsorted(np.sort(values), values, "right")
    better = len(values) - np.searchsorted(np.sort(low), high, "right")
    worse = np.searchsorted(np.sort(high), low, "left")
    return ranks, 1 + better, len(values) - worse


def _by_shares(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Mean return of each policy's agents, matches weighed by its seats, [policies], and intervals, [policies, 2]."""
    episodes = np.bincount(table.matches_of)[table.match]
    seats, count = table.seats / episodes, len(table.names)  # all episodes of a match weigh as much as one alone
    held = np.bincount(table.policy, seats)
    means = np.bincount(table.policy, seats * table.score) / held
    influences = seats * (table.score - means[table.policy]) / held[table.policy]
    span = float(np.ptp(table.score))
    return means, means[:, None] + interval_offsets(table.policy, table.match, influences, count, span)
