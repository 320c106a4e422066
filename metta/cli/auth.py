"""Commands about the token by which a league knows who asks."""

from typing import Annotated

import typer

from metta.cli.league_options import SERVER, LoggedOutError, client, told
from metta.common.errors import UserError

auth = typer.Typer(no_args_is_help=True, help="The token by which a league knows you.")
Address = Annotated[
    str, typer.Option("-s", "--server", "--login-server", envvar="COGAMES_SERVER", help="address that gives tokens")
]
Asked = Annotated[str | None, typer.Option(help="address of the league to ask; default: --server")]


def login(
    context: typer.Context,
    server: Address = SERVER,
    force: Annotated[bool, typer.Option("-f", "--force", help="get a new token even if there is one")] = False,
    timeout: Annotated[int, typer.Option("-t", "--timeout", help="seconds to wait for the browser", min=1)] = 300,
) -> None:
    """Log in with a browser; the token is kept in ~/.metta/cogames.yaml."""
    if told(context, {"server": server}):
        return
    from metta.league.client import Client, check_server
    from metta.league.login import log_in
    from metta.league.token_file import load_token, save_token

    server = check_server(server)
    if load_token(server) and not force:
        return print(f"Already authenticated with {server} (--force gets a new token)")
    Client(server).get("/tournament/seasons")  # is there a league?
    token = log_in(server, timeout)
    save_token(server, token)
    user = Client(server, token).get("/whoami")
    print(f"Authentication successful: {user['user']}")


@auth.command()
def status(context: typer.Context, server: Address = SERVER, api_server: Asked = None) -> None:
    """Say who is logged in."""
    if told(context, {"server": server}):
        return
    who = client(api_server or server, server).get("/whoami")
    print(f"Authenticated as {who['user_email']}")


@auth.command()
def get_token(context: typer.Context, server: Address = SERVER) -> None:
    """Print the token, for programs."""
    if told(context, {"server": server}):
        return
    from metta.league.client import check_server
    from metta.league.token_file import load_token

    token = load_token(check_server(server))
    if token is None:
        raise LoggedOutError
    print(token)


@auth.command()
def set_token(
    context: typer.Context, token: Annotated[str, typer.Argument(help="the token")], server: Address = SERVER
) -> None:
    """Keep a token that was made on the league's page of tokens: where there is no browser."""
    if not token.strip() or not token.isprintable() or len(token) > 4096:
        raise UserError("the token: one word, as the league's page of tokens showed it")
    if told(context, {"server": server}):
        return
    from metta.league.client import check_server
    from metta.league.token_file import save_token

    save_token(check_server(server), token.strip())
    print(f"Token saved for {server}")


auth.command(name="login")(login)
