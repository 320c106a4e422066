"""The history of ranks: bounded, from the first to the last."""

import math
import uuid
from itertools import pairwise

import pytest

from metta.eval.match import engine_version
from metta.league import accounts
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
