"""Names that people give: what they may be, and where a server tells of what they name. Needs nothing but Python."""

import re
from urllib.parse import quote

from metta.common.errors import UserError
from metta.league.problems import BadRequestError

NAME = 64  # characters of names that people choose
TOKEN = re.compile(r"[!-~]{1,1000}")  # what a header takes as it is


def check_policy_name(name: str) -> str:
    """A policy's name. Raises BadRequestError for a wrong one."""
    if not name.strip() or len(name) > NAME or ":" in name or not name.isprintable() or name != name.strip():
        raise BadRequestError(f"policy name: 1 to {NAME} characters on one line, without ':' and without outer spaces")
    return name


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
