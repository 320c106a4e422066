"""Who takes part in an evaluation: a policy, and its part of the agents or of those of a team."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metta.common.errors import UserError, suggest
from metta.game.mission import Mission
from metta.policy.team import share_out

PROPORTION, TEAM = KEYS = ("proportion", "team")


@dataclass(frozen=True)
class Entry:
    """A policy by its URI, how many parts of the agents it plays, and in which team; None: in any."""

    uri: str
    proportion: float = 1.0
    team: str | None = None


def parse_entry(text: str) -> Entry:
    """`POLICY[,proportion=X][,team=NAME]`. Raises UserError for a proportion that is no positive number, for an empty
    team, or for either misspelt."""
    first, *parts = text.split(",")
    own, given = [first], {PROPORTION: "1"}
    for part in parts:
        name, equals, value = part.partition("=")
        if name in KEYS and equals:
            given[name] = value
        elif equals and name not in ("data", *KEYS) and "kw." not in name and suggest(name, KEYS):
            raise UserError(f"policy {text}: unknown option '{name}'{suggest(name, KEYS)}")
        else:
            own.append(part)
    try:
        proportion = float(given[PROPORTION])
    except ValueError:
        proportion = -1.0
    if not 0 < proportion < math.inf:
        raise UserError(f"policy {text}: proportion={given[PROPORTION]} should be a number above 0")
    if not first:
        raise UserError(f"policy {text!r}: no policy is named")
    if given.get(TEAM) == "":
        raise UserError(f"policy {text}: team= names no team")
    return Entry(",".join(own), proportion, given.get(TEAM))


def parse_entries(texts: Sequence[str]) -> tuple[Entry, ...]:
    """All entries of an evaluation, in order."""
    return tuple(parse_entry(text) for text in texts)


def share_seats(entries: Sequence[Entry], mission: Mission) -> list[int]:
    """How many agents each entry plays: by the proportions, among all or among those who are for the same team.

    Raises UserError for too few agents, an unknown team, or entries that leave a part of a team to nobody.
    """
    teams = dict(zip(mission.teams, mission.team_sizes, strict=True))
    named = dict.fromkeys(entry.team for entry in entries if entry.team is not None)
    if not named:
        return share_out([entry.proportion for entry in entries], mission.agents)
    for team in named:
        if team not in teams:
            near = suggest(team, teams)
            raise UserError(f"team={team}: {mission.name} has no such team{near}; there are: {', '.join(teams)}")
    if without := [entry.uri for entry in entries if entry.team is None]:
        raise UserError(f"{without[0]} has no team, others do: add ,team=NAME ({', '.join(teams)})")
    if missing := [team for team in teams if team not in named]:
        raise UserError(f"nobody plays {missing[0]} of {mission.name}: name a policy with ,team={missing[0]}")
    seats: dict[int, int] = {}
    for team, size in teams.items():
        own = [k for k, entry in enumerate(entries) if entry.team == team]
        seats |= dict(zip(own, share_out([entries[k].proportion for k in own], size), strict=True))
    return [seats[k] for k in range(len(entries))]
