"""Names that people give: what they may be, and where a server tells of what they name. Needs nothing but Python."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from metta.common.errors import UserError
from metta.league.problems import BadRequestError

NAME = 64  # characters of names that people choose
MOST_SECRETS, LONGEST_SECRET = 10, 2_000  # secret values of a version, characters of each
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
TOKEN = re.compile(r"[!-~]{1,1000}")  # what a header takes as it is


def check_policy_name(name: str) -> str:
    """A policy's name. Raises BadRequestError for a wrong one."""
    if not name.strip() or len(name) > NAME or ":" in name or not name.isprintable() or name != name.strip():
        raise BadRequestError(f"policy name: 1 to {NAME} characters on one line, without ':' and without outer spaces")
    return name


def check_secrets(values: Mapping[str, str]) -> None:
    """Raises BadRequestError for what is no environment, in words without the values."""
    if len(values) > MOST_SECRETS:
        raise BadRequestError(f"{len(values)} secret values; a version has at most {MOST_SECRETS}")
    for name, value in values.items():
        if not VARIABLE.fullmatch(name):
            raise BadRequestError("secret values: names have at most 64 letters, digits and _, and begin with no digit")
        if len(value) > LONGEST_SECRET or "\0" in value:
            raise BadRequestError(f"secret value {name}: at most {LONGEST_SECRET:,} characters, none of them NUL")


def season_path(name: str) -> str:
    """Where a server tells of a season. Raises UserError for what can be none's name."""
    return "/tournament/seasons/" + _part(name, f"Season '{name}' not found")


def match_path(match: str) -> str:
    """Where a server tells of a match. Raises UserError for what can be none's id."""
    return "/tournament/matches/" + _part(match, f"match {match}: there is none such")


def _part(name: str, problem: str) -> str:
    """A name as a part of a path: a / within would lead elsewhere."""
    if not name or "/" in name:
        raise UserError(problem)
    return quote(name, safe=":")
