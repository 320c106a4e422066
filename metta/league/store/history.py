"""Ranks that versions had over time: a point for each change, and of many changes some, evenly over the season."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Row, bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from metta.league.store.schema import Id, RankPoint, Season, now

NEWEST = 24  # points of a version on a leaderboard
MOST = 256  # points of a version in a season: more than a picture shows


def add_points(session: Session, season_id: Id, results: int, lines: Sequence[dict[str, Any]]) -> None:
    """Keep the ranks of versions when so many matches of a season had ended. What was kept at that number before, when
    others took part, is replaced."""
    points = [{key: line[key] for key in ("version_id", "rank", "score")} for line in lines]
    if not points:
        return
    before = delete(RankPoint.__table__).where(  # pyright: ignore[reportArgumentType]
        RankPoint.season_id == season_id, RankPoint.results == results, RankPoint.version_id == bindparam("version")
    )
    session.connection().execute(before, [{"version": point["version_id"]} for point in points])
    kept = {"season_id": season_id, "results": results, "at": now()}
    session.execute(insert(RankPoint), [{**point, **kept} for point in points])


def thin_out(session: Session, season_id: Id, most: int = MOST) -> None:
    """Of a version with more than so many points in a season about half stay: the first, the last, and those nearest to
    marks that divide the results between them evenly."""
    own = select(RankPoint.version_id).where(RankPoint.season_id == season_id).group_by(RankPoint.version_id)
    for version_id in session.scalars(own.having(func.count() > most)).all():
        of_version = (RankPoint.season_id == season_id, RankPoint.version_id == version_id)
        numbers = session.scalars(select(RankPoint.results).where(*of_version).order_by(RankPoint.results)).all()
        marks = np.linspace(numbers[0], numbers[-1], most // 2)
        kept = {_nearest(numbers, mark) for mark in marks}
        session.execute(delete(RankPoint).where(*of_version, RankPoint.results.in_(set(numbers) - kept)))


def _nearest(numbers: Sequence[int], mark: float) -> int:
    """Of numbers in order the one that is nearest to a mark."""
    place = bisect(numbers, mark)
    return min(numbers[max(0, place - 1) : place + 1], key=lambda number: abs(number - mark))


def newest_points(
    session: Session, season_id: Id, versions: Sequence[Id], most: int = NEWEST
) -> dict[Id, list[Row[Any]]]:
    """Ranks that versions had last in a season, oldest first: `results` and `rank` of each."""
    place = func.row_number().over(partition_by=RankPoint.version_id, order_by=RankPoint.results.desc())
    points = select(RankPoint.version_id, RankPoint.results, RankPoint.rank, place.label("place"))
    points = points.where(RankPoint.season_id == season_id, RankPoint.version_id.in_(versions)).subquery()
    found: defaultdict[Id, list[Row[Any]]] = defaultdict(list)
    for point in session.execute(select(points).where(points.c.place <= most).order_by(points.c.results)):
        found[point.version_id].append(point)
    return dict(found)


def courses_of(session: Session, version_id: Id) -> dict[str, tuple[list[RankPoint], int]]:
    """Ranks that a version had, oldest first, and how many results there are by now, by season (NAME:vN)."""
    query = select(Season, RankPoint).join(Season, RankPoint.season_id == Season.id)
    query = query.where(RankPoint.version_id == version_id).order_by(Season.name, Season.version, RankPoint.results)
    found: dict[str, tuple[list[RankPoint], int]] = {}
    for season, point in session.execute(query):
        found.setdefault(f"{season.name}:v{season.version}", ([], season.results))[0].append(point)
    return found
