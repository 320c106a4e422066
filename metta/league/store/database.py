"""The database of a league: opened, brought to the schema of this version, used in transactions."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from metta.common.errors import MissingExtraError, UserError
from metta.common.files import ensure_writable
from metta.league.store.schema import Key

MIGRATIONS = Path(__file__).parent / "migrations"
ALONE = text(f"SELECT pg_advisory_xact_lock({0x6C656167})")  # one server at a time, on a PostgreSQL
WAIT = 30  # seconds for a lock of SQLite, and for PostgreSQL to answer
POOL = {"pool_size": 20, "max_overflow": 20, "pool_recycle": 300, "pool_pre_ping": True, "pool_timeout": WAIT}


class Database:
    """A league's database. Raises UserError where it cannot be opened."""

    def __init__(self, address: str) -> None:
        """`address` as SQLAlchemy reads it: sqlite:///PATH or postgresql+psycopg://…"""
        self.engine = _engine(address)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reads = self.engine.execution_options(reads=True, **level)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose changes are kept together, or not at all."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def alone(self) -> Iterator[Session]:
        """A transaction of which there is one at a time, of all servers: for what is made once, as one begins. Raises
        UserError where the database does not answer."""
        with self._told(), self.transaction() as session:
            if not self.is_sqlite:  # which has one writer at a time
                session.execute(ALONE)
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, all of it at one moment, and keeps no writer waiting."""
        with Session(self._reads, expire_on_commit=False) as session:
            yield session

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema to that of this version, from whatever older one. Raises UserError for a newer one."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        scripts = ScriptDirectory.from_config(config)
        with self._told(), self._changing() as connection:
            if not self.is_sqlite:
                connection.execute(ALONE)
            if (found := _revision(connection)) and found not in {one.revision for one in scripts.walk_revisions()}:
                raise UserError(f"{self}: made by a newer version of metta (schema {found})")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction that changes tables. SQLite may make one anew, to which others refer meanwhile."""
        with self.engine.connect() as connection:
            driver = connection.connection
            if self.is_sqlite:
                driver.cursor().execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    yield connection
            finally:
                if self.is_sqlite:
                    driver.cursor().execute("PRAGMA foreign_keys=ON")

    def key(self, name: str) -> bytes:
        """A secret that all servers of this database share."""
        with self.alone() as session:
            found = session.get(Key, name)
            if found is None:
                found = Key(name=name, value=secrets.token_hex(32))
                session.add(found)
            return bytes.fromhex(found.value)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise UserError(f"{self}: {reason}") from None

    def __str__(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _engine(address: str) -> Engine:
    try:
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        if url.get_backend_name() == "postgresql":
            return create_engine(url, **POOL, connect_args={"connect_timeout": WAIT})
    except NoSuchModuleError as error:
        raise UserError(f"--database: {error}") from None
    except ArgumentError:
        raise UserError(f"--database {address.partition('@')[0]}: no address of a database") from None
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "league") from None
    raise UserError(f"--database {url.render_as_string()}: sqlite:///PATH and postgresql+psycopg://… are known")


def _sqlite(url: URL) -> Engine:
    """Readers and one writer at a time. A transaction asks for the write lock when it begins: one that asked later
    could be refused after it has read."""
    if url.database and url.database != ":memory:":
        ensure_writable(Path(url.database).parent, "--data")
    engine = create_engine(url, pool_size=20, max_overflow=20, connect_args={"timeout": WAIT})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below
        for line in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={WAIT * 1000}"):
            connection.execute(f"PRAGMA {line}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
