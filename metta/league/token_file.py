"""Where tokens are kept on a user's machine: ~/.metta/cogames.yaml, as the original keeps them, by login server."""

import os
from pathlib import Path
from typing import Any

from metta.common.documents import as_text, read_yaml
from metta.common.errors import UserError
from metta.league.names import TOKEN

KEY = "login_tokens"


def token_file() -> Path:
    """The file, which need not be there."""
    return Path.home() / ".metta" / "cogames.yaml"


def load_token(login_server: str) -> str | None:
    """The token of a login server, if there is one. Raises UserError for a file that cannot be read."""
    token = _tokens(_read()).get(login_server)
    return check_token(token, f"{token_file()}:{KEY}.{login_server}") if isinstance(token, str) and token else None


def check_token(token: str, origin: str) -> str:
    """A token as it was given. Raises UserError for what can be none."""
    if not TOKEN.fullmatch(token):
        raise UserError(f"{origin}: no token; it is one word, as the league's page of tokens showed it")
    return token


def save_token(login_server: str, token: str) -> None:
    """Keep a token, for this user's eyes only. Raises UserError where that cannot be."""
    content = _read()
    document = {**content, KEY: {**_tokens(content), login_server: token}}
    path = token_file()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(as_text("yaml", document) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: the token cannot be kept ({error.strerror})") from None


def _read() -> dict[str, Any]:
    return read_yaml(token_file()) if token_file().exists() and token_file().stat().st_size else {}


def _tokens(content: dict[str, Any]) -> dict[str, Any]:
    tokens = content.get(KEY) or {}
    if not isinstance(tokens, dict):
        raise UserError(f"{token_file()}:{KEY}: no mapping of servers to tokens")
    return tokens
