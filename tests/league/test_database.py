"""The schema: the same on both databases, from an empty one and from older ones."""

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError

from metta.common.errors import UserError
from metta.common.processes import child_environment
from metta.league.league import open_league
from metta.league.settings import LeagueSettings
from metta.league.store.database import Database
from metta.league.store.schema import Base, Season, Upload, Version, now


def test_an_empty_database_gets_the_schema_of_the_code(address: str):
    database = Database(address)
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_servers_that_begin_at_once_have_one_season_and_the_same_keys(address: str, tmp_path: Path):
    settings = [LeagueSettings(data=str(tmp_path / str(number)), database=address) for number in range(4)]
    with ThreadPoolExecutor(len(settings)) as pool:
        leagues = list(pool.map(open_league, settings))
    assert len({league.forms_key for league in leagues}) == 1
    with leagues[0].database.reading() as session:
        [season] = session.scalars(select(Season))
        assert (season.version, season.canonical) == (1, True)


def test_an_older_database_keeps_what_is_in_it(address: str):
    database = Database(address)
    database.migrate("0001")
    with database.engine.begin() as connection:
        assert "ranked_at" not in {column["name"] for column in inspect(connection).get_columns("seasons")}
        old = Table("seasons", MetaData(), autoload_with=connection)
        row = {
            "id": uuid.uuid4(),
            "name": "autumn",
            "version": 1,
            "canonical": True,
            "settings": {},
            "engine": "e" * 64,
        }
        counts = {"results": 3, "ranked": 3, "ranked_results": 3, "created_at": now()}
        connection.execute(old.insert(), {**row, **counts, "id": row["id"] if address[0] == "p" else row["id"].hex})
    database.migrate()
    with database.reading() as session:
        [season] = session.scalars(select(Season))
        assert (season.id, season.name, season.results, season.ranked_at) == (row["id"], "autumn", 3, None)


def test_versions_of_before_have_no_secrets_and_what_refers_to_them_still_does(address: str):
    """On SQLite their table is made anew."""
    database = Database(address)
    database.migrate("0003")
    keys = {name: uuid.uuid4() for name in ("users", "policies", "versions", "uploads")}
    own = {name: key if address[0] == "p" else key.hex for name, key in keys.items()}
    version = {
        "policy_id": own["policies"],
        "number": 1,
        "sha256": "a" * 64,
        "size": 1,
        "status": "valid",
        "kind": "net",
    }
    rows = {
        "users": {"name": "anna", "admin": False},
        "policies": {"user_id": own["users"], "name": "mine"},
        "versions": version,
        "uploads": {"user_id": own["users"], "version_id": own["versions"], "expires_at": now()},
    }
    with database.engine.begin() as connection:
        for name, row in rows.items():
            table = Table(name, MetaData(), autoload_with=connection)
            connection.execute(table.insert(), {"id": own[name], "created_at": now(), **row})
    database.migrate()
    with database.reading() as session:
        assert session.get_one(Upload, keys["uploads"]).version_id == keys["versions"]
        assert session.get_one(Version, keys["versions"]).secrets == ""
    with database.transaction() as session:
        session.add(Version(policy_id=keys["policies"], number=2, sha256="a" * 64, size=1, secrets="b" * 64))
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add(Upload(user_id=keys["users"], version_id=uuid.uuid4(), expires_at=now()))


def test_migrating_again_changes_nothing_and_secrets_stay(address: str):
    database = Database(address)
    database.migrate()
    secret = database.key("files")
    other = Database(address)
    other.migrate()
    assert other.key("files") == secret and other.key("forms") != secret


def test_a_newer_schema_is_left_alone(address: str):
    database = Database(address)
    database.migrate()
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="newer version of metta"):
        Database(address).migrate()


def test_two_servers_that_begin_at_once_make_one_schema(address: str):
    code = "import sys; from metta.league.store.database import Database; Database(sys.argv[1]).migrate()"
    started = [
        subprocess.Popen([sys.executable, "-c", code, address], env=child_environment(), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [(one.wait(60), one.stderr.read() if one.stderr else b"")[0] for one in started] == [0, 0]
    assert "users" in inspect(Database(address).engine).get_table_names()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("mysql://anna:secret@db/x", "sqlite:///PATH"),
        ("no address", "no address of a database"),
        ("postgresql+psycopg://anna:secret@127.0.0.1:9/x", "refused"),
        ("sqlite:////proc/league/x.sqlite", "cannot write there"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_without_its_password(wrong: str, expected: str, tmp_path: Path):
    with pytest.raises(UserError) as raised:
        Database(wrong).migrate()
    assert expected in str(raised.value) and "secret" not in str(raised.value)
