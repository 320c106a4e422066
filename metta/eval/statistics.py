"""Means with intervals."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """Mean of per-episode values and its 95 % interval; the interval of a single value is (None, None)."""

    mean: float
    ci95: tuple[float | None, float | None]
    per_episode: list[float]


@lru_cache(maxsize=2)
def _weights(count: int) -> np.ndarray:
    """How often each of `count` values is in each resample: float64 [RESAMPLES, count]."""
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    draws += np.arange(RESAMPLES)[:, None] * count
    return np.bincount(draws.ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count).astype(np.float64)


def summarize(values: list[float]) -> Summary:
    """Mean and bootstrap percentile interval (Efron, 1979) of per-episode values; fixed resamples, so repeatable."""
    data = np.asarray(values, np.float64)
    mean = float(data.mean())
    if len(data) < 2:
        return Summary(mean, (None, None), values)
    low, high = np.quantile(_weights(len(data)) @ data / len(data), [0.025, 0.975])
    return Summary(mean, (float(low), float(high)), values)


def show(value: float | None) -> str:
    """A number with four significant digits."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def as_cells(summary: Summary | None) -> tuple[str, str]:
    """Mean and interval as cells of a table; a statistic that nothing touched is 0."""
    return (show(summary.mean), show_interval(summary)) if summary else ("0", "")


def show_interval(summary: Summary) -> str:
    """The interval in words."""
    low, high = summary.ci95
    return f"{show(low)} … {show(high)}"
