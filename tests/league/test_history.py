"""The history of ranks: bounded, from the first to the last."""

import math
import uuid
from itertools import pairwise

import pytest

from metta.eval.match import engine_version
from metta.league import accounts
from metta.league.server import figures
from metta.league.store import history, policies, seasons
from metta.league.store.database import Database
from metta.league.store.schema import RankPoint
from tests.league.conftest import short_season

MOST = 16  # points


class Course:
    """The ranks of two versions in a season, on each database."""

    def __init__(self, address: str) -> None:
        self.database = Database(address)
        self.database.migrate()
        with self.database.transaction() as session:
            self.season_id = seasons.add_season(session, short_season(), engine_version()).id
            user = accounts.add_user(session, "anna", None)
            self.own, self.other = (
                policies.add_version(session, user, name, name * 16, 1)[0].id for name in ("mine", "more")
            )

    def add(self, version_id: uuid.UUID, results: int, rank: int) -> None:
        line = {"version_id": version_id, "rank": rank, "score": float(rank), "low": 0.0}
        with self.database.transaction() as session:
            history.add_points(session, self.season_id, results, [line])
            history.thin_out(session, self.season_id, MOST)

    def points(self, version_id: uuid.UUID) -> list[RankPoint]:
        with self.database.reading() as session:
            [(points, _)] = history.courses_of(session, version_id).values()
            return points


@pytest.fixture
def course(address: str) -> Course:
    return Course(address)


def test_a_version_keeps_the_first_rank_the_last_and_a_bounded_number_all_over_the_season(course: Course):
    course.add(course.other, 7, 1)
    for number in range(1, 101):
        course.add(course.own, 10 * number, number)
        kept = [point.rank for point in course.points(course.own)]
        assert len(kept) <= MOST and kept[0] == 1 and kept[-1] == number
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert max(gaps, default=1) <= 3 * math.ceil(number / (MOST // 2))
    assert all(point.results == 10 * point.rank for point in course.points(course.own))
    assert [point.rank for point in course.points(course.other)] == [1]


def test_a_rank_that_changes_without_a_further_result_is_the_newest(course: Course):
    """As when somebody leaves."""
    for rank in (3, 2):
        course.add(course.own, 12, rank)
    course.add(course.other, 12, 1)
    assert [(point.results, point.rank) for point in course.points(course.own)] == [(12, 2)]
    assert len(course.points(course.other)) == 1


def test_the_last_ranks_of_many_versions_are_found_at_once(course: Course):
    for number in range(1, 41):
        course.add(course.own, number, 41 - number)
    course.add(course.other, 7, 3)
    with course.database.reading() as session:
        found = history.newest_points(session, course.season_id, [course.own, course.other, uuid.uuid4()], 5)
    assert {version: [point.rank for point in points] for version, points in found.items()} == {
        course.own: [point.rank for point in course.points(course.own)][-5:],
        course.other: [3],
    }


def test_a_course_goes_from_the_best_rank_at_the_top_to_the_worst_at_the_bottom(course: Course):
    for results, rank in ((10, 5002), (20, 5000), (30, 5004)):
        course.add(course.own, results, rank)
    drawn = figures.course(course.points(course.own), 50)
    places = [tuple(map(float, pair.split(","))) for pair in drawn.points.split()]
    assert places[0] == (0, figures.COURSE_HEIGHT / 2) and places[-1][0] == figures.COURSE_WIDTH
    assert {y for _, y in places} == {figures.MARGIN, figures.COURSE_HEIGHT / 2, figures.COURSE_HEIGHT - figures.MARGIN}
    assert (drawn.first, drawn.best, drawn.worst, drawn.newest) == (5002, 5000, 5004, 5004)
