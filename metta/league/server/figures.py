"""Numbers of a leaderboard as places in small pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from metta.league.store.schema import RankPoint

WIDTH, HEIGHT, MARGIN = 200, 20, 6
COURSE_WIDTH, COURSE_HEIGHT = 600, 120


@dataclass(frozen=True)
class Scale:
    """From where to where the pictures of a table reach."""

    least: float
    most: float

    def place(self, value: float) -> float:
        """Where a value lies in a picture."""
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - self.least) / ((self.most - self.least) or 1.0), 1)


def scale(lines: Sequence[Row[Any]]) -> Scale:
    """On which all intervals of a table have room."""
    return Scale(min((line.low for line in lines), default=0.0), max((line.high for line in lines), default=0.0))


@dataclass(frozen=True)
class Interval:
    """A score with its interval on the scale of a table, in units of the picture."""

    low: float
    mean: float
    high: float
    zero: float | None
    text: str


def interval(line: Row[Any], scale: Scale) -> Interval:
    """Where a score and its interval lie."""
    text = f"{line.score:z.2f}, 95 % interval {line.low:z.2f} to {line.high:z.2f}"
    zero = scale.place(0) if scale.least <= 0 <= scale.most else None
    return Interval(scale.place(line.low), scale.place(line.score), scale.place(line.high), zero, text)


@dataclass(frozen=True)
class Course:
    """Ranks over time as points of a line, the best at the top and the worst at the bottom; the first and the newest
    with the number of matches that had ended."""

    points: str
    best: int
    worst: int
    first: int
    begun: int
    newest: int
    results: int


def course(points: Sequence[RankPoint | Row[Any]], results: int) -> Course:
    """The course of a version's rank up to now, when its season has so many results; it keeps a rank until the next
    point."""
    best, worst = min(point.rank for point in points), max(point.rank for point in points)
    first, last = points[0].results, max(results, points[0].results + 1)
    steps: list[tuple[float, float]] = []
    for point in points:
        x = COURSE_WIDTH * (point.results - first) / (last - first)
        y = MARGIN + (COURSE_HEIGHT - 2 * MARGIN) * (point.rank - best) / max(1, worst - best)
        steps += [(x, steps[-1][1]), (x, y)] if steps else [(x, y)]
    steps.append((COURSE_WIDTH, steps[-1][1]))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in steps)
    return Course(line, best, worst, points[0].rank, first, points[-1].rank, results)
