"""The schema: the same on both databases, from an empty one and from older ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from metta.common.errors import UserError
from metta.common.processes import child_environment
from metta.league.store.database import Database
from metta.league.store.schema import Base


def test_an_empty_database_gets_the_schema_of_the_code(address: str):
    database = Database(address)
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


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
