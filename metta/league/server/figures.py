"""Numbers of a leaderboard as places in small pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from metta.league.store.schema import RankPoint, Standing

WIDTH, HEIGHT, MARGIN = 200, 20, 6
COURSE_WIDTH, COURSE_HEIGHT = 600, 120


@dataclass(frozen=True)
class Interval:
    """A score with its interval on the scale of a table, in units of the picture."""

    low: float
    mean: float
    high: float
    zero: float | None
    text: str


def interval(line: Standing, lines: Sequence[Standing]) -> Interval:
    """Where a score and its interval lie among those of a table."""
    least, most = min(other.low for other in lines), max(other.high for other in lines)
    span = (most - least) or 1.0

    def place(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - least) / span, 1)

    text = f"{line.score:.2f}, 95 % interval {line.low:.2f} to {line.high:.2f}"
    return Interval(
        place(line.low), place(line.score), place(line.high), place(0) if least <= 0 <= most else None, text
    )


@dataclass(frozen=True)
class Course:
    """Ranks over time as points of a line, best at the top, and the worst and newest of them."""

    points: str
    worst: int
    newest: int


def course(points: Sequence[RankPoint], results: int) -> Course:
    """The course of a version's rank up to now, when its season has so many results; it keeps a rank until the next
    point."""
    worst = max(point.rank for point in points)
    first, last = points[0].results, max(results, points[0].results + 1)
    steps: list[tuple[float, float]] = []
    for point in points:
        x = COURSE_WIDTH * (point.results - first) / (last - first)
        y = MARGIN + (COURSE_HEIGHT - 2 * MARGIN) * (point.rank - 1) / max(1, worst - 1)
        steps += [(x, steps[-1][1]), (x, y)] if steps else [(x, y)]
    steps.append((COURSE_WIDTH, steps[-1][1]))
    return Course(" ".join(f"{x:.1f},{y:.1f}" for x, y in steps), worst, points[-1].rank)
