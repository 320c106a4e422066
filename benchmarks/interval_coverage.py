#!/usr/bin/env python3
"""How often 95 % intervals hold the true mean, by the values' distribution and the number of episodes.

Beside the intervals of `metta.eval.statistics`: Student's t alone, and the percentile bootstrap (Efron, 1979).
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.eval.statistics import intervals, t_quantile

EPISODES = (2, 3, 4, 5, 6, 8, 10, 16, 20, 50)
RESAMPLES = 1000  # of the bootstrap, which takes nearly all of the time
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Values of episodes, float64 [evaluations, episodes], and their true mean.
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda random, shape: random.normal(5, 1, shape), 5.0),
    "exponential": (lambda random, shape: random.exponential(1, shape), 1.0),
    "lognormal": (lambda random, shape: random.lognormal(0, 1, shape), float(np.exp(0.5))),
    "one in ten scores 1": (lambda random, shape: (random.random(shape) < 0.1).astype(np.float64), 0.1),
    "difference of two exponentials": (
        lambda random, shape: random.exponential(1, shape) - random.exponential(1, shape), 0.0,
    ),
}  # fmt: skip


def student(values: np.ndarray) -> np.ndarray:
    """Ends of Student's interval, float64 [evaluations, 2]."""
    count = values.shape[1]
    half = t_quantile(count - 1) * values.std(1, ddof=1) / count**0.5
    return values.mean(1)[:, None] + half[:, None] * [-1, 1]


def percentile_bootstrap(values: np.ndarray) -> np.ndarray:
    """Ends of the interval between the quantiles of the means of resamples, float64 [evaluations, 2]."""
    count = values.shape[1]
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    weights = np.stack([(draws == k).sum(1) for k in range(count)])
    return np.quantile(values @ weights / count, [0.025, 0.975], axis=1).T


ALL_EQUAL = "all equal"  # share of the evaluations in which no spread was seen
METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "here": intervals,
    "t": student,
    "bootstrap": percentile_bootstrap,
}


def measure(draw: Draw, mean: float, episodes: int, evaluations: int, seed: int) -> dict[str, float]:
    """Share of the evaluations whose interval holds the mean, by method, and of those in which all are equal."""
    values = draw(np.random.default_rng([seed, episodes]), (evaluations, episodes))
    found = {}
    for name, method in METHODS.items():
        low, high = method(values).T
        found[name] = round(float(np.mean((low <= mean) & (mean <= high))), 4)
    low, high = values.min(1), values.max(1)
    return found | {ALL_EQUAL: round(float(np.mean(low == high)), 4)}


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--evaluations", type=at_least(1), default=20_000, help="simulated, for each number")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a Markdown table")
    args = parser.parse_args(argv)
    rows = [
        {"distribution": name, "episodes": episodes, **measure(*drawn, episodes, args.evaluations, args.seed)}
        for name, drawn in DISTRIBUTIONS.items()
        for episodes in EPISODES
    ]
    if args.json:
        print(
            json.dumps({"benchmark": "interval_coverage", "evaluations": args.evaluations, "rows": rows, **machine()})
        )
        return 0
    print("| values of episodes | interval | " + " | ".join(f"n = {episodes}" for episodes in EPISODES) + " |")
    print("|---|---|" + "---|" * len(EPISODES))
    for name in DISTRIBUTIONS:
        for method in (*METHODS, ALL_EQUAL):
            shares = [100 * row[method] for row in rows if row["distribution"] == name]
            if not any(shares):
                continue
            print(f"| {name} | {method} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
