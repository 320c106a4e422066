"""Commands about the token by which a league knows who asks."""

from typing import Annotated

import typer

from metta.cli.league_options import SERVER, LoggedOutError, client, told

auth = typer.Typer(no_args_is_help=True, help="The token by which a league knows you.")
Address = Annotated[
    str, typer.Option("-s", "--server", "--login-server", envvar="COGAMES_SERVER", help="address that gives tokens")
]
UNAUTHORIZED = 401
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
    from metta.league.token_file import save_token

    server = check_server(server)
    if not force and (name := _known(server)):
        return print(f"Already authenticated with {server} as {name} (--force gets a new token)")
    Client(server).get("/tournament/seasons")  # is there a league?
    token = log_in(server, timeout)
    save_token(server, token)
    user = Client(server, token).get("/whoami")
    print(f"Authentication successful: {user['user']}")


def _known(server: str) -> str | None:
    """Whom the token is of that is kept; None where there is none, or it is not good any more."""
    from metta.league.client import Client, ServerError
    from metta.league.token_file import load_token

    if (token := load_token(server)) is None:
        return None
    try:
        return Client(server, token).get("/whoami")["user"]
    except ServerError as error:
        if error.status != UNAUTHORIZED:
            raise
        return None


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
    if told(context, {"server": server}):
        return
    from metta.league.client import check_server
    from metta.league.token_file import check_token, save_token

    server = check_server(server)
    save_token(server, check_token(token.strip(), "the token"))
    print(f"Token saved for {server}")


auth.command(name="login")(login)
