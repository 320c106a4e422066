"""A league as its parts: database, files, settings and what it signs with."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from metta.common.files import ensure_writable
from metta.eval.match import engine_version
from metta.league.files import Files, open_files
from metta.league.seasons import DEFAULT, find_season
from metta.league.settings import LeagueSettings
from metta.league.store.database import Database
from metta.league.store.schema import Season
from metta.league.store.seasons import add_season
from metta.league.vault import Vault

if TYPE_CHECKING:
    from metta.league.oidc import Provider

SQLITE = "league.sqlite"
AT_ONCE = 2  # uploads that are looked into at a time: each is held in memory


@dataclass(frozen=True)
class League:
    """What a server works with. Any number of them may share a database and its files."""

    settings: LeagueSettings
    database: Database
    files: Files
    engine: str  # version of the code that plays
    vault: Vault
    forms_key: bytes  # signs forms
    provider: "Provider | None" = None  # where people sign in, beside here
    checking: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))


def database_address(settings: LeagueSettings) -> str:
    """The database that is named, else SQLite in the league's folder."""
    return settings.database or f"sqlite:///{Path(settings.data) / SQLITE}"


def open_league(settings: LeagueSettings) -> League:
    """Open a league, at the schema of this version and with a season to enter. Raises UserError where it cannot be."""
    ensure_writable(Path(settings.data), "--data")
    database = Database(database_address(settings))
    database.migrate()
    files = open_files(settings.files or Path(settings.data) / "files", database.key("files"))
    engine = engine_version()
    with database.alone() as session:
        if session.query(Season.id).first() is None:
            add_season(session, find_season(DEFAULT), engine)
    vault = Vault(files, database.key("secrets"))
    return League(settings, database, files, engine, vault, database.key("forms"), _provider(settings, database))


def _provider(settings: LeagueSettings, database: Database) -> "Provider | None":
    if settings.provider is None:
        return None
    from metta.league.oidc import Provider  # here because most leagues need none

    return Provider(settings.provider, database.key("provider"))
