"""Options that the league's commands share, and what they all begin with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metta.cli.jobs import Instead, instead
from metta.common.documents import as_text
from metta.common.errors import UserError

if TYPE_CHECKING:
    from metta.league.client import Client

SERVER = "http://127.0.0.1:8400"  # where `cogames league serve` listens
Server = Annotated[str, typer.Option("-s", "--server", envvar="COGAMES_SERVER", help="address of the league")]
LoginServer = Annotated[str | None, typer.Option(help="address that gave the token; default: --server")]
Season = Annotated[str | None, typer.Option(help="season; default: the league's default one")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")]
Hidden = Annotated[bool, typer.Option("--include-hidden", hidden=True)]
TIME = "%Y-%m-%d %H:%M"


class LoggedOutError(UserError):
    """Nobody is logged in."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__("Not authenticated. Please run: cogames login")


def client(server: str, login_server: str | None = None, needed: bool = True) -> "Client":
    """The league's server, asked by who is logged in. Raises LoggedOutError where that is needed and nobody is."""
    from metta.league.client import Client, check_server
    from metta.league.token_file import load_token

    token = load_token(check_server(login_server or server))
    if token is None and needed:
        raise LoggedOutError
    return Client(server, token)


def told(context: typer.Context, words: Mapping[str, Any]) -> bool:
    """Under --dry-run or --cfg print what would be asked in place of asking."""
    if instead(context) is None:
        return False
    shown = {key: str(value) if isinstance(value, Path) else value for key, value in words.items() if value is not None}
    if instead(context) is Instead.print:
        print(as_text("yaml", shown))
    else:
        print(f"{context.command_path}: " + ", ".join(f"{key}={value}" for key, value in shown.items()))
    return True


def print_json(document: Any) -> None:
    """One document on standard output."""
    print(json.dumps(document, indent=2))


def moment(text: str | None) -> str:
    """A moment of the server's in the time of this machine."""
    from datetime import datetime

    return datetime.fromisoformat(text).astimezone().strftime(TIME) if text else "–"


def split_policy(text: str) -> tuple[str, int | None]:
    """Name and version of NAME, NAME:v3 or NAME:3. Raises UserError for anything else."""
    name, colon, version = text.rpartition(":")
    if not colon:
        return text, None
    number = version.removeprefix("v")
    if not name or not number.isascii() or not number.isdecimal() or len(number) > 9:
        raise UserError(f"policy {text}: the form is NAME or NAME:v3")
    return name, int(number)
