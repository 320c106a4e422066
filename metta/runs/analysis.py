"""What the best runs have in common that the others have not."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, median
from typing import Any

from metta.common.errors import UserError
from metta.common.jsonl import is_number
from metta.runs.compare import settings
from metta.runs.run import Run, Source, checked_metrics

TOP = 6
LATE = 10  # of a curve its last tenth
LATE_MEAN = "mean over the last tenth of the curve"


@dataclass(frozen=True)
class Ranked:
    """A run and its score."""

    run: Run
    score: float


@dataclass(frozen=True)
class Shared:
    """A value of a setting, and how many of the top runs and of the rest have it."""

    setting: str
    value: Any
    top: int
    rest: int
    chance: float  # probability that as many top runs or more had it if the top had been drawn by lot


@dataclass(frozen=True)
class Contrast:
    """Medians of a number over the top runs and over the rest, where any of them has it."""

    name: str
    top: float | None
    rest: float | None


@dataclass(frozen=True)
class Analysis:
    """`shared` is what at least half of the top have and fewer of the rest, in proportion; the most telling first."""

    source: str
    metric: str
    how: str  # the score is found
    top: list[Ranked]
    rest: list[Ranked]
    left_out: int  # runs without the metric
    shared: list[Shared]
    same: int  # settings with one value in all runs
    numbers: list[Contrast]  # numeric settings on which the runs differ
    metrics: list[Contrast]


def analyze(
    source: Source,
    runs: Sequence[Run],
    metric: str,
    top: int | None = None,
    *,
    watched: Sequence[str] = (),
    late: bool = False,
    lowest: bool = False,
) -> Analysis:
    """Rank runs by a metric's newest value, or by its mean over the last tenth of the curve, and compare settings.

    The `top` best (default: 6, at most half) are held against the rest.

    Raises:
        UserError: fewer than two runs report the metric.
    """
    if not runs:
        raise UserError(f"{source.title}: no such runs")
    checked_metrics(runs, [metric], ())
    ranked = [Ranked(run, score) for run in runs if (score := _score(source, run, metric, late)) is not None]
    if len(ranked) < 2:
        raise UserError(
            f"--metric {metric}: only {len(ranked)} of {len(runs)} runs reports it, there is nothing to compare"
        )
    ranked.sort(key=lambda one: one.score if lowest else -one.score)
    count = min(TOP, (len(ranked) + 1) // 2) if top is None else min(top, len(ranked))
    best, rest = ranked[:count], ranked[count:]
    trees = [dict(settings(one.run)) for one in ranked]
    keys = sorted({key for tree in trees for key in tree})
    varied = [key for key in keys if any(tree.get(key) != trees[0].get(key) for tree in trees)]
    return Analysis(
        source=source.title,
        metric=metric,
        how=f"{LATE_MEAN if late else 'newest value'}, {'lowest' if lowest else 'highest'} first",
        top=best,
        rest=rest,
        left_out=len(runs) - len(ranked),
        shared=_shared(varied, trees[:count], trees[count:]),
        same=len(keys) - len(varied),
        numbers=[one for key in varied if (one := _contrast(key, trees[:count], trees[count:], numeric_only=True))],
        metrics=[
            one
            for name in dict.fromkeys((metric, *watched))
            if (one := _contrast(name, [one.run.metrics for one in best], [one.run.metrics for one in rest]))
        ],
    )


def _score(source: Source, run: Run, metric: str, late: bool) -> float | None:
    if not late or metric not in run.metrics:
        return run.metrics.get(metric)
    values = [value for _, value in source.history(run, [metric])[metric]]
    return fmean(values[-max(1, len(values) // LATE) :]) if values else run.metrics[metric]


def _shared(keys: Sequence[str], top: Sequence[dict[str, Any]], rest: Sequence[dict[str, Any]]) -> list[Shared]:
    """For each setting the commonest value of the top, where half of them have it and the rest less often."""
    found = []
    for key in keys:
        values = [tree[key] for tree in top if key in tree]
        value = max(values, key=values.count, default=None)
        have, others = (sum(tree.get(key) == value for tree in part) for part in (top, rest))
        if value is not None and 2 * have >= len(top) and have * len(rest) > others * len(top):
            found.append(Shared(key, value, have, others, _by_lot(have, len(top), have + others, len(top) + len(rest))))
    return sorted(found, key=lambda one: (one.rest * len(top) - one.top * len(rest), one.setting))


def _by_lot(have: int, drawn: int, marked: int, total: int) -> float:
    """Probability of at least `have` marked among `drawn` of `total`, `marked` of which are (hypergeometric)."""
    ways = (comb(marked, hits) * comb(total - marked, drawn - hits) for hits in range(have, min(marked, drawn) + 1))
    return sum(ways) / comb(total, drawn)


def _contrast(
    name: str, top: Sequence[dict[str, Any]], rest: Sequence[dict[str, Any]], numeric_only: bool = False
) -> Contrast | None:
    """Medians of the numbers of that name; None where there are none, or other things than numbers too."""
    given = [[tree[name] for tree in part if tree.get(name) is not None] for part in (top, rest)]
    if not any(given) or (numeric_only and not all(is_number(value) for part in given for value in part)):
        return None
    medians = [median(part) if part else None for part in given]
    return Contrast(name, *medians)
