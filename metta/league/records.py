"""What scheduling and rating work on: plain values, without a database or a server.

Policies are known by the id of their version (text), missions by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metta.common.defaults import SEED


@dataclass(frozen=True)
class Lineup:
    """A match to be played: who holds how many seats of a mission, on which seeds (an episode for each)."""

    mission: str
    policies: tuple[str, ...]
    seats: tuple[int, ...]  # agents of each policy
    seeds: tuple[int, ...]  # of spawns, events, seats, policies
    map_seeds: tuple[int, ...]
    teams: tuple[str | None, ...] = ()  # in which each policy's seats are; none: in any

    def seats_of(self, policy: str) -> int:
        """Seats that a policy holds."""
        return sum(count for name, count in zip(self.policies, self.seats, strict=True) if name == policy)


@dataclass(frozen=True)
class Result:
    """A match that was played to its end. One that failed is none: it tells nothing about anybody."""

    match: str
    pool: str
    lineup: Lineup
    scores: tuple[tuple[float, ...], ...]  # of each policy, in each episode: mean return of its agents


@dataclass(frozen=True)
class Entrant:
    """A policy in a pool, what has become of its matches there, and whether it still takes part."""

    policy: str
    active: bool = True
    completed: int = 0
    failed: int = 0  # through this policy's own fault
    pending: int = 0


@dataclass(frozen=True)
class Pool:
    """A pool of a season as scheduling sees it: who is in it, what is played, what has come out so far."""

    name: str
    missions: Mapping[str, int]  # each with its number of seats
    entrants: tuple[Entrant, ...]
    results: tuple[Result, ...] = ()
    pending: tuple[Lineup, ...] = ()  # under way, or waiting for a worker
    matches: int = 20  # that each entrant is to play
    episodes: int = 1  # of a match
    partners: Literal["self", "pool"] = "pool"  # who holds the seats that are not the policy's own
    own_seats: tuple[int, ...] = ()  # numbers of seats that a policy holds beside partners; none: every possible one
    seed: int = SEED  # of everything random in the season
    teams: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # seats by team, of missions with several
    widths: Mapping[str, float] = field(default_factory=dict)  # of the policies' intervals at last


@dataclass(frozen=True)
class Standing:
    """A line of the leaderboard: a policy's score with its 95 % interval, and the ranks that are possible with it."""

    policy: str
    score: float
    ci95: tuple[float, float]
    rank: int
    ranks: tuple[int, int]  # first and last that are possible
    matches: int
    rating: float | None = None  # OpenSkill: mu − 3 sigma
    details: Mapping[str, float] = field(default_factory=dict)  # further numbers by name
