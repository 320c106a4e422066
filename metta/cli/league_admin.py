"""`cogames league`: serve a league, work for one, and keep it: accounts, seasons, matches, what can be checked."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metta.cli.league_options import (
    SERVER,
    AsJson,
    LoginServer,
    Season,
    Server,
    client,
    moment,
    print_json,
    told,
)
from metta.cli.output import Format, show, table
from metta.common.errors import UserError, printable

if TYPE_CHECKING:
    from metta.league.rating.published import Published
    from metta.league.store.database import Database

league = typer.Typer(no_args_is_help=True, help="Host a league: server, workers, accounts, seasons.")
user = typer.Typer(no_args_is_help=True, help="Accounts of a league, on the machine of its database.")
season = typer.Typer(no_args_is_help=True, help="Seasons of a league, on the machine of its database.")
match = typer.Typer(no_args_is_help=True, help="Matches of a league, on the machine of its database.")
for group, name in ((user, "user"), (season, "season"), (match, "match")):
    league.add_typer(group, name=name)

Data = Annotated[str, typer.Option(help="folder of the league: its database and files")]
DatabaseAddress = Annotated[
    str | None, typer.Option("--database", help="postgresql+psycopg://… ; default: SQLite in the folder")
]
FOLDER = "./league"
SECRET = "COGAMES_OIDC_SECRET"


@league.command()
def serve(
    context: typer.Context,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
    files: Annotated[str | None, typer.Option(help="folder or s3://bucket/prefix; default: in the folder")] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0: a free one", min=0, max=65535)] = 8400,
    address: Annotated[str | None, typer.Option(help="address under which others reach it")] = None,
    proxy: Annotated[
        str | None, typer.Option(help="address of a proxy in front, whose X-Forwarded-For says who asks")
    ] = None,
    registration: Annotated[
        str, typer.Option(help="who may make an account: open: everybody; provider: who signs in there; closed: nobody")
    ] = "open",
    oidc_issuer: Annotated[str | None, typer.Option(help="provider of OpenID Connect where people may sign in")] = None,
    oidc_client_id: Annotated[str | None, typer.Option(help="as which the provider knows the league")] = None,
    oidc_secret_file: Annotated[
        Path | None, typer.Option(help=f"file with the client's secret; else ${SECRET} if it is set")
    ] = None,
    oidc_name: Annotated[str, typer.Option(help="what people call the provider; default: its host")] = "",
    workers: Annotated[int | None, typer.Option(help="workers here; default: one for each core", min=0)] = None,
    lease_seconds: Annotated[
        int, typer.Option(help="seconds after which a worker without a sign of life loses its match", min=1)
    ] = 60,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="workers here run uploaded code unguarded")] = False,
) -> int:
    """Serve a league on this machine until Ctrl-C."""
    words: dict[str, Any] = {
        "data": data, "database": database, "files": files, "host": host, "port": port, "address": address,
        "proxy": proxy, "registration": registration, "workers": workers, "trust_code": trust_code,
        "jobs": {"lease_seconds": lease_seconds},
    }  # fmt: skip
    if oidc_issuer or oidc_client_id:
        words["provider"] = {"issuer": oidc_issuer, "client_id": oidc_client_id, "name": oidc_name}
    if told(context, words):
        return 0
    from metta.common.settings import validated
    from metta.league.serve import serve as begin
    from metta.league.server import app  # noqa: F401 - says which extra is missing
    from metta.league.settings import LeagueSettings

    if "provider" in words:
        words["provider"]["secret"] = _secret(oidc_secret_file)
    return begin(validated(LeagueSettings, words, ""))


def _secret(file: Path | None) -> str | None:
    """The secret of the client: no worker inherits it."""
    from metta.common.files import read_text

    given = os.environ.pop(SECRET, None)
    return read_text(file, 1000).strip() if file else given


@league.command()
def worker(
    context: typer.Context,
    server: Server = SERVER,
    token_file: Annotated[
        Path | None, typer.Option(help="file with a worker's token, - for standard input", allow_dash=True)
    ] = None,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="run uploaded code unguarded")] = False,
) -> int:
    """Play matches for a league until Ctrl-C; start as many as you like, on any machine."""
    if told(context, {"server": server, "token_file": token_file, "trust_code": trust_code}):
        return 0
    if token_file is None:
        raise UserError("--token-file: a worker shows a token (cogames league user token NAME --scope worker)")
    from metta.common.files import read_text
    from metta.league.client import Client
    from metta.league.token_file import check_token
    from metta.league.worker import work

    token = (sys.stdin.readline(1000) if str(token_file) == "-" else read_text(token_file, 1000)).strip()
    work(Client(server, check_token(token, f"--token-file {token_file}")), trust_code)
    return 0


@league.command()
def recompute(
    context: typer.Context,
    results: Annotated[
        str | None, typer.Argument(help="file or http(s) address of published results; default: the league is asked")
    ] = None,
    season: Season = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="file to keep the results in")] = None,
    json: AsJson = False,
    server: Server = SERVER,
) -> int:
    """Compute a season's leaderboard anew from its published results, and compare. Exit code 1: it differs."""
    if results is not None and season is not None:
        raise UserError(f"--season {season}: {results} says of which season it is")
    if told(context, {"results": results, "season": season, "output": output, "server": server}):
        return 0
    published = _published(results, season, server)
    computed = published.recomputed()
    if output is not None:
        _keep(output, published.model_dump_json())
    if json:
        print_json([asdict(line) for line in computed])
    same = computed == published.standings
    said = (
        f"{len(published.results):,} results, {len(computed)} lines, {'' if same else 'NOT '}the same as the league's"
    )
    print(f"{printable(published.season)}: {said}", file=sys.stderr if json else sys.stdout)
    return 0 if same else 1


def _published(results: str | None, season: str | None, server: str) -> "Published":
    """Results as they were kept, or as the league publishes them now."""
    from metta.cli.league import season_name
    from metta.league.published import fetch, read

    if results is not None:
        return read(results)
    asked = client(server, needed=False)
    return fetch(asked, season_name(asked, season))


def _keep(path: Path, text: str) -> None:
    from metta.common.files import write_atomic, writing

    with writing(f"--output {path}"):
        write_atomic(path, text)


@league.command()
def verify(
    context: typer.Context,
    match: Annotated[str, typer.Argument(help="a match (cogames matches lists them)")],
    replays: Annotated[
        bool, typer.Option("--replays", help="play the actions of its replays, without the policies")
    ] = False,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="run uploaded code unguarded")] = False,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> int:
    """Play a match again, from the bundles that you may have or its replays, and compare. Exit code 1: it differs."""
    if told(context, {"match": match, "replays": replays, "server": server}):
        return 0
    from metta.league.published import play_again, play_replays
    from metta.league.sandbox.probe import sandbox_here

    asked = client(server, login_server)
    if replays:
        again = play_replays(asked, match)
    else:
        again = play_again(asked, match, trust_code, None if trust_code else sandbox_here())
    print(f"{match}: {again.line}")
    return 0 if again.same else 1


@user.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the account")],
    email: Annotated[str | None, typer.Option(help="address by which people know them")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="may see and do everything")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="file with the password, - for standard input; else it is asked for")
    ] = None,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Make an account."""
    if told(context, {"name": name, "email": email, "admin": admin, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail

    opened = _open(data, database)
    word = _password(password_file)
    with opened.transaction() as session:
        trail.write(session, accounts.add_user(session, name, word, email, admin), "added", "admin" if admin else "")
    print(f"account {name} is made")


@user.command()
def password(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the account")],
    password_file: Annotated[Path | None, typer.Option(help="file with the password, - for standard input")] = None,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Give an account another password."""
    if told(context, {"name": name, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail

    opened = _open(data, database)
    word = _password(password_file)
    with opened.transaction() as session:
        found = accounts.find_user(session, name)
        accounts.set_password(session, found, word)
        trail.write(session, found, "password")
    print(f"account {name} has another password; its browsers are signed out")


@user.command()
def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the account")],
    scope: Annotated[str, typer.Option(help="user, worker or admin")] = "user",
    label: Annotated[str, typer.Option(help="what it is for")] = "",
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Make a token of an account, which is shown this once."""
    if scope not in ("user", "worker", "admin"):
        raise UserError(f"--scope {scope}: user, worker or admin")
    if told(context, {"name": name, "scope": scope, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail

    with _open(data, database).transaction() as session:
        found = accounts.find_user(session, name)
        made = accounts.issue_token(session, found, scope, label)
        trail.write(session, found, "token", f"{scope} {label}".strip())
    print(made)


@user.command()
def disable(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the account")],
    undo: Annotated[bool, typer.Option("--undo", help="let it in again")] = False,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Let an account in no more: its passwords and tokens are good for nothing."""
    if told(context, {"name": name, "undo": undo, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail
    from metta.league.store.schema import now

    with _open(data, database).transaction() as session:
        found = accounts.find_user(session, name)
        found.disabled_at = None if undo else now()
        trail.write(session, found, "let in again" if undo else "disabled")
    print(f"account {name} is {'let in again' if undo else 'disabled'}")


@user.command()
def admin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the account")],
    undo: Annotated[bool, typer.Option("--undo", help="make it an account like others again")] = False,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Let an account see and do everything, also one that signs in elsewhere."""
    if told(context, {"name": name, "undo": undo, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail

    with _open(data, database).transaction() as session:
        found = accounts.find_user(session, name)
        found.admin = not undo
        trail.write(session, found, "no admin" if undo else "admin")
    print(f"account {name} is {'no ' if undo else 'an '}admin")


@user.command("list")
def list_users(context: typer.Context, data: Data = FOLDER, database: DatabaseAddress = None) -> None:
    """List the accounts."""
    if told(context, {"data": data}):
        return
    from sqlalchemy import select

    from metta.league.store.schema import User

    with _open(data, database).reading() as session:
        rows = [
            [one.name, one.email or "–", "admin" if one.admin else "", moment(one.created_at.isoformat()),
             "disabled" if one.disabled_at else ""]
            for one in session.scalars(select(User).order_by(User.name))
        ]  # fmt: skip
    _show(["Account", "Address", "", "Made", ""], rows)


@league.command()
def audit(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--user", help="of this account alone")] = None,
    limit: Annotated[int, typer.Option(help="entries at most, the last ones", min=1, max=100_000)] = 100,
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Show who did what from where, newest first: sign-ins, tokens, uploads, submissions, changes of accounts."""
    if told(context, {"user": name, "limit": limit, "data": data}):
        return
    from metta.league import accounts
    from metta.league.store import trail

    with _open(data, database).reading() as session:
        if name is not None:
            accounts.find_user(session, name)
        rows = [
            [moment(entry.created_at.isoformat()), account or "–", entry.action, printable(entry.subject),
             entry.address or "–"]
            for entry, account in trail.newest(session, limit, name)
        ]  # fmt: skip
    _show(["When", "Account", "What", "", "From"], rows)


@season.command("add")
def add_season(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="YAML file of a season, or the name of one that comes along")],
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Begin a season; of a name that there is, a new version, which takes the place of the one before."""
    if told(context, {"file": file, "data": data}):
        return
    from metta.eval.match import engine_version
    from metta.league.seasons import find_season
    from metta.league.store import trail
    from metta.league.store.seasons import add_season as begin

    settings = find_season(file)
    with _open(data, database).transaction() as session:
        made = begin(session, settings, engine_version())
        trail.write(session, None, "season", f"{made.name} v{made.version}")
    print(f"season {made.name} v{made.version} has begun")


@season.command("close")
def close_season(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME or NAME:vN")],
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """End a season: no more entries, no more matches but those under way; its results stay."""
    if told(context, {"season": name, "data": data}):
        return
    from metta.league.store import trail
    from metta.league.store.seasons import close, find_season

    with _open(data, database).transaction() as session:
        close(session, found := find_season(session, name))
        trail.write(session, None, "season over", f"{found.name} v{found.version}")
    print(f"season {found.name} v{found.version} is over")


@season.command("list")
def list_seasons(context: typer.Context, data: Data = FOLDER, database: DatabaseAddress = None) -> None:
    """List all seasons and their versions."""
    if told(context, {"data": data}):
        return
    from sqlalchemy import select

    from metta.league.store.schema import Season as Row

    with _open(data, database).reading() as session:
        rows = [
            [one.name, f"v{one.version}", "over" if one.disabled_at else "canonical" if one.canonical else "historical",
             moment(one.created_at.isoformat()), f"{one.results:,}"]
            for one in session.scalars(select(Row).order_by(Row.name, Row.version))
        ]  # fmt: skip
    _show(["Season", "Version", "", "Begun", ">Matches"], rows)


@match.command("retry")
def retry_match(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="id of a match that failed")],
    data: Data = FOLDER,
    database: DatabaseAddress = None,
) -> None:
    """Have a match that failed played again, by as many workers as a new one."""
    if told(context, {"match": which, "data": data}):
        return
    from metta.common.settings import short_repr
    from metta.league.store.matches import retry
    from metta.league.store.schema import Id

    try:
        match_id = Id(which)
    except ValueError:
        raise UserError(f"match {short_repr(which)}: no id of a match") from None
    with _open(data, database).transaction() as session:
        retry(session, match_id)
    print(f"match {which} waits for a worker")


def _open(data: str, address: str | None) -> "Database":
    """The database of a league that is there. Raises UserError where there is none."""
    from metta.league.league import SQLITE, database_address
    from metta.league.settings import LeagueSettings
    from metta.league.store.database import Database

    if address is None and not (Path(data) / SQLITE).is_file():
        raise UserError(f"--data {data}: there is no league (cogames league serve --data {data} begins one)")
    if address and address.startswith("sqlite:///") and not Path(address.removeprefix("sqlite:///")).is_file():
        raise UserError(f"--database {address}: there is no such file")
    database = Database(database_address(LeagueSettings(data=data, database=address)))
    database.migrate()
    return database


def _password(file: Path | None) -> str:
    from metta.common.files import read_text

    if file is None:
        if not sys.stdin.isatty():
            raise UserError("there is no terminal to ask for the password: --password-file FILE, - for standard input")
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    return (sys.stdin.readline(1000) if str(file) == "-" else read_text(file, 1000)).rstrip("\r\n")


def _show(columns: list[str], rows: list[list[Any]]) -> None:
    show(Format.table, {}, lambda: table(columns, rows))
