"""Means of episodes, their 95 % intervals, and what may be said of them.

An interval is the union of two. Student's t is right for values that lie evenly about their mean. For skewed ones, such
as scores that are mostly low and now and then high, Hall's transformation takes the skewness out of t (P. Hall, "On the
removal of skewness by transformation", Journal of the Royal Statistical Society B 54, 1992); it has one degree of
freedom less, as the skewness is estimated too. How often intervals hold the true mean: docs/evaluation.md, measured by
benchmarks/interval_coverage.py.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ERROR = 0.05  # how often an interval may miss the mean, or a verdict be wrong
FEWEST = 5  # episodes for a verdict: with fewer the intervals of skewed values miss more often than that
EVEN = 1e-6  # skewness below which there is nothing to take out


@dataclass(frozen=True)
class Summary:
    """Mean of per-episode values and its 95 % interval; the interval of a single value is (None, None)."""

    mean: float
    ci95: tuple[float | None, float | None]
    per_episode: list[float]

    @property
    def episodes(self) -> int:
        return len(self.per_episode)

    @property
    def sign(self) -> int | None:
        """Whether the mean is above (1) or below (-1) 0, or may be either (0); None: too few episodes to say.

        Where the true mean is 0 and values lie evenly about it, at most about ERROR of the answers are 1 or -1.
        """
        low, high = self.ci95
        if low is None or high is None or self.episodes < FEWEST:
            return None
        if low == high and 2 * 0.5**self.episodes > ERROR:  # all equal: only their signs tell, as of so many coins
            return 0
        return (low > 0) - (high < 0)


def summarize(values: list[float]) -> Summary:
    """Mean and interval of per-episode values."""
    return summaries({"": values})[""]


def summaries(columns: Mapping[str, list[float]]) -> dict[str, Summary]:
    """Mean and interval of each column of per-episode values; the columns are equally long."""
    values = np.array(list(columns.values()), np.float64)
    if not columns:
        return {}
    ends = intervals(values).tolist() if values.shape[1] > 1 else [(None, None)] * len(columns)
    found = zip(columns.items(), _means(values)[:, 0].tolist(), ends, strict=True)
    return {name: Summary(mean, (low, high), column) for (name, column), mean, (low, high) in found}


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Summary | None:
    """How much greater `values` are than `others`, by pairs of episodes of the same seed; None where there are none."""
    differences = [value - others[seed] for seed, value in values.items() if seed in others]
    return summarize(differences) if differences else None


def intervals(values: np.ndarray) -> np.ndarray:
    """95 % intervals of the means of `values`, float64 [..., n] with n > 1; returns their ends, float64 [..., 2].

    Of equal values both ends are that value: no spread was seen, which does not say that there is none.
    """
    count = values.shape[-1]
    means = _means(values)
    off = values - means
    deviations = np.sqrt((off**2).sum(-1, keepdims=True) / (count - 1))
    sides = np.array([-1.0, 1.0])
    ends = np.broadcast_to(sides * t_quantile(count - 1) / math.sqrt(count), (*values.shape[:-1], 2))
    if count > 2:
        scaled = off / np.where(deviations > 0, deviations, 1.0)
        skewness = (scaled**3).sum(-1, keepdims=True) * count / ((count - 1) * (count - 2))
        even = abs(skewness) < EVEN
        skewness = np.where(even, 1.0, skewness)
        # W + skewness W²/3 + skewness² W³/27 + skewness/6n is about t/√n, with W = (mean - true mean) / deviation.
        without = -sides * t_quantile(count - 2) / math.sqrt(count) - skewness / (6 * count)
        solved = 3 / skewness * (np.cbrt(1 + skewness * without) - 1)
        skewed = np.where(even, ends, -solved)
        ends = np.stack([np.minimum(ends, skewed)[..., 0], np.maximum(ends, skewed)[..., 1]], -1)
    return means + deviations * ends


def _means(values: np.ndarray) -> np.ndarray:
    """Means over the last axis, [..., 1]; of equal values that value, which a rounded sum need not give."""
    means = values.mean(-1, keepdims=True)
    return np.clip(means, values.min(-1, keepdims=True), values.max(-1, keepdims=True))


@lru_cache(maxsize=256)
def t_quantile(freedom: int) -> float:
    """What Student's t of so many degrees of freedom stays within, to both sides, but for ERROR of the time."""
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t/√freedom
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _within(middle, freedom) < 1 - ERROR else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Probability of |t| < √freedom tan(angle) (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd, cosine = freedom % 2, math.cos(angle)
    term = total = cosine if odd else 1.0
    for k in range(2 + odd, freedom, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    total *= math.sin(angle)
    return (angle + (total if freedom > 1 else 0.0)) * 2 / math.pi if odd else total


def show(value: float | None) -> str:
    """A number with four significant digits."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def interval_head(episodes: int) -> str:
    """The head of a column of intervals: it says how many episodes they are of."""
    return f"95 % interval, n = {episodes}"


def as_cells(summary: Summary | None) -> tuple[str, str]:
    """Mean and interval as cells of a table; a statistic that nothing touched is 0."""
    return (show(summary.mean), show_interval(summary)) if summary else ("0", "")


def show_interval(summary: Summary) -> str:
    """The interval in words; "–" where there is none, "all equal" where no spread was seen."""
    return show_ends(*summary.ci95)


def show_ends(low: float | None, high: float | None) -> str:
    """The ends of an interval in words, as `show_interval`."""
    if low is None:
        return "–"
    return "all equal" if low == high else f"{show(low)} … {show(high)}"
