"""A season's file says all of it: what is wrong is told in one line, before anything begins."""

from pathlib import Path

import pytest
from sqlalchemy import select

from metta.league.league import SQLITE
from metta.league.store.database import Database
from metta.league.store.schema import Season
from tests.cli.conftest import Cogames, cogames

__all__ = ["cogames"]
MISSION = "{name: cogsguard_arena.basic, max_steps: 5}"


@pytest.fixture
def data(tmp_path: Path, empty: Path) -> Path:
    (tmp_path / SQLITE).write_bytes(empty.read_bytes())
    return tmp_path


def write(folder: Path, missions: str = MISSION, pools: str = "{name: only}", **more: str) -> str:
    """The name of a season's file."""
    lines = ["name: autumn", f"missions: [{missions}]", f"pools: [{pools}]"]
    path = folder / "autumn.yaml"
    path.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in more.items())]))
    return str(path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"missions": ""}, "missions=[]"),
        ({"missions": "{name: nothing_here}"}, "unknown mission 'nothing_here'"),
        ({"pools": "{name: a}, {name: a}"}, "two pools of one name"),
        ({"pools": "{name: a, matches: 0}"}, "pools.0.matches=0"),
        ({"pools": "{name: a, episodes: 100000000}"}, "pools.0.episodes=100000000"),
        ({"pools": "{name: a, own_seats: [9]}"}, "pools.0.own_seats=9: the missions have 8 seats"),
        (
            {"missions": "{name: cogsguard_arena.basic}, {name: cogsguard_arena.basic, cogs: 4}"}
            | {"pools": "{name: a, own_seats: [8]}"},
            "pools.0.own_seats=8: cogsguard_arena.basic#2 has 4 seats",
        ),
        ({"pools": "{name: a, partner: self}"}, "pools.0.partner"),
        ({"pools": "{name: a, threshold: .nan}, {name: b}"}, "pools.0.threshold=nan"),
        ({"pools": "{name: a, threshold: 1}"}, "a is the last pool"),
        ({"score": "best"}, "score='best'"),
        ({"starts_at": "2026-12-01T00:00:00"}, "say their time zone"),
        ({"starts_at": "2026-12-02T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z"}, "ends_at is before starts_at"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_season_begins(words: dict[str, str], told: str, data: Path, cogames: Cogames):
    done = cogames("league", "season", "add", write(data, **words), "--data", str(data))
    assert done.code == 2 and told in done.err and done.err.count("\n") == 1, done.err
    database = Database(f"sqlite:///{data / SQLITE}")
    with database.reading() as session:
        assert session.scalars(select(Season)).all() == []
    database.engine.dispose()


def test_seasons_begin_follow_each_other_and_end(data: Path, cogames: Cogames):
    file = write(data, pools="{name: a, partners: self, matches: 1}, {name: b, own_seats: [1, 8]}")
    for number in (1, 2):
        done = cogames("league", "season", "add", file, "--data", str(data))
        assert (done.code, done.out) == (0, f"season autumn v{number} has begun\n"), done.err
    assert cogames("league", "season", "close", "autumn", "--data", str(data)).out == "season autumn v2 is over\n"
    lines = cogames("league", "season", "list", "--data", str(data)).out.splitlines()
    assert [kind for kind in ("historical", "over") for line in lines if kind in line] == ["historical", "over"]
    missing = cogames("league", "season", "close", "autum", "--data", str(data))
    assert (missing.code, missing.err) == (2, "error: Season 'autum' not found\n")
