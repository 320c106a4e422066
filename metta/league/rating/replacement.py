"""Value over replacement from matches with all kinds of partners.

`cogames pickup` plays one policy with every number of seats against a pool, on the same seeds. In a season everybody is
candidate and pool at once, and meets only some of the others: values are what fits all episodes best (least squares),
as if the mean return of a team were a sum over its agents, beside what is due to mission and seed. So nobody gains by
good partners or easy seeds. A value is what the mean return of a team gains where the policy takes all the seats of
the average of the others; of two teams it is how far a team of its own leads one of theirs.
"""

from itertools import pairwise

import numpy as np

from metta.eval.statistics import intervals
from metta.league.rating.observations import Observations

EXACT = 10_000_000  # policies times episodes up to which the intervals count in full what is not known of the partners
SMALL = 1e-9  # what counts as nothing, in relation to the greatest
UNTOLD = 1e-6  # part of a difference that the episodes need not tell
MOST_TURNS = 1_000  # of the solver; some dozens are enough


def values_over_replacement(seen: Observations, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value of every policy, float64 [policies], and its 95 % interval, [policies, 2]. `counted`, bool [policies], says
    whose average is the replacement. Where the matches say nothing of a policy, or do not tell chance from it, its
    interval is as wide to both sides as the returns, and 0, differ."""
    strengths = fit(seen)
    others = np.maximum(counted.sum() - counted, 1)
    values = strengths - (strengths[counted].sum() - np.where(counted, strengths, 0.0)) / others
    scale = np.where(counted & (counted.sum() > 1), (others + 1) / others, 1.0)
    return values, values[:, None] + scale[:, None] * _offsets(seen, strengths, counted)


def fit(seen: Observations) -> np.ndarray:
    """Strengths that fit best, [policies], with a mean of 0 among those that matches link. By conjugate gradients:
    sums that come out alike on every machine."""
    rest = way = seen.credited(seen.without_blocks(seen.values))
    strengths = np.zeros(seen.count)
    size = first = float((rest**2).sum())
    for _ in range(MOST_TURNS):
        if size <= (SMALL * 1e-3) ** 2 * first:
            break
        image = seen.credited(seen.seen(way))
        step = size / float((way * image).sum())
        strengths, rest = strengths + step * way, rest - step * image
        size, before = float((rest**2).sum()), size
        way = rest + size / before * way
    return strengths


def _offsets(seen: Observations, strengths: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Ends of the intervals, less the strengths, [policies, 2]: those of a mean of as many values as there are matches,
    each what the match alone, by what the fit leaves of it, does to the strength."""
    reach, left, total = _reaches(seen, counted)
    errors = (seen.without_blocks(seen.values) - seen.seen(strengths)) / np.maximum(left, SMALL)
    own = np.bincount(seen.policies, reach**2, seen.count)
    grown = np.sqrt(np.divide(total, own, out=np.ones(seen.count), where=own > 0))
    span = float(np.ptp(np.append(seen.values, 0.0)))
    ends = interval_offsets(seen.policies, seen.matches[seen.episodes], reach * errors[seen.episodes], seen.count, span)
    return np.where((total > 0)[:, None], ends * grown[:, None], [-span, span])


def _reaches(seen: Observations, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What an error of 1 in an episode does to the strength of each policy there, [entries], and how much of it the fit
    leaves, [episodes]; variance of each strength if that of the episodes is 1, [policies], 0 where they do not tell it
    from the mean of those that are `counted`."""
    sizes = seen.block_sizes[seen.blocks]
    if seen.count * len(seen.values) <= EXACT:
        table = seen.table()
        products = table.T @ table
        inverse = np.linalg.pinv(products, rcond=SMALL, hermitian=True)
        moved = table @ inverse
        left = 1 - (moved * table).sum(1) - 1 / sizes
        bent = np.abs(moved[left < SMALL]).max(0, initial=0.0) > SMALL  # to what an episode happened to be
        unseen = np.eye(seen.count) - inverse @ products
        apart = np.abs(unseen - unseen @ (counted / max(counted.sum(), 1))[:, None]).max(0) > UNTOLD
        return moved[seen.episodes, seen.policies], left, np.where(bent | apart, 0.0, np.diag(inverse))
    # Of many policies, each is taken by itself; what is not known of a partner met once in n matches adds 1/n.
    held = np.bincount(seen.policies, seen.shares**2, seen.count)
    reach = seen.shares / held[seen.policies]
    variance = np.divide(1 + 1 / np.maximum(seen.matches_played, 1), held, out=np.zeros(seen.count), where=held > 0)
    return reach, 1 - np.bincount(seen.episodes, seen.shares * reach, len(seen.values)) - 1 / sizes, variance


def interval_offsets(
    policies: np.ndarray, matches: np.ndarray, influences: np.ndarray, count: int, unknown: float
) -> np.ndarray:
    """Ends of 95 % intervals about estimates, [policies, 2], from what each match does to each; they are of policies
    and matches, int64 [entries]. Of a policy with one match they are -unknown and unknown."""
    ends = np.tile([-unknown, unknown], (count, 1))
    most = int(matches.max(initial=0)) + 1
    pairs, where = np.unique(policies * most + matches, return_inverse=True)
    sums = np.bincount(where, influences, len(pairs))
    starts = np.searchsorted(pairs // most, np.arange(count + 1))
    for policy, (first, last) in enumerate(pairwise(starts)):
        if last - first > 1:
            values = (last - first) * sums[first:last]
            ends[policy] = intervals(values - values.mean())
    return ends
