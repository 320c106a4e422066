"""Results as columns: what is known of a match takes about two hundred bytes, so that a million fit everywhere."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metta.league.records import Lineup, Result

INTEGERS = ("match", "number", "place", "policy", "team", "block")
REALS = ("seats", "score")


@dataclass(frozen=True)
class Table:
    """Results in the order of their matches' ids. A row is a player in an episode; policies are in the order of their
    names, and all columns are [rows], those of an episode side by side."""

    names: tuple[str, ...]  # of the policies
    match: np.ndarray  # int64: number of the match
    episode: np.ndarray  # int64: number of the episode, of all matches
    place: np.ndarray  # int64: number of the player in its match
    policy: np.ndarray  # int64
    team: np.ndarray  # int64: number of the player's team, in the order of their names; 0 where there are none
    block: np.ndarray  # int64: episodes of one mission on one seed; of two teams, all of one mission
    seats: np.ndarray  # float64
    score: np.ndarray  # float64: mean return of the player's agents

    @property
    def starts(self) -> np.ndarray:
        """First row of each episode, int64 [episodes]."""
        return np.flatnonzero(np.diff(self.episode, prepend=-1))

    @property
    def matches_of(self) -> np.ndarray:
        """Number of the match of each episode, int64 [episodes]."""
        return self.match[self.starts]

    @property
    def teams(self) -> np.ndarray:
        """Teams of each episode, int64 [episodes]."""
        return np.maximum.reduceat(self.team, self.starts) + 1


class Ledger:
    """Results, taken in one by one, in whatever order they come."""

    def __init__(self, results: Iterable[Result] = ()) -> None:
        self._matches: list[str] = []
        self._policies: dict[str, int] = {}
        self._blocks: dict[tuple[object, ...], int] = {}
        self._columns: dict[str, array[Any]] = {name: array("i") for name in INTEGERS}
        self._columns |= {name: array("d") for name in REALS}
        for result in results:
            self.add(result)

    def __len__(self) -> int:
        return len(self._matches)

    def add(self, result: Result) -> None:
        """Take a result in, once."""
        lineup, match = result.lineup, len(self._matches)
        self._matches.append(result.match)
        policies = [self._policies.setdefault(policy, len(self._policies)) for policy in lineup.policies]
        teams = _teams(lineup)
        several = len(set(teams)) > 1
        add = {name: column.append for name, column in self._columns.items()}
        for number, seeds in enumerate(zip(lineup.seeds, lineup.map_seeds, strict=True)):
            key = (lineup.mission,) if several else (lineup.mission, *seeds)
            block = self._blocks.setdefault(key, len(self._blocks))
            for place, scores in enumerate(result.scores):
                add["match"](match)
                add["number"](number)
                add["place"](place)
                add["policy"](policies[place])
                add["team"](teams[place])
                add["block"](block)
                add["seats"](lineup.seats[place])
                add["score"](scores[number])

    def table(self) -> Table | None:
        """What has been taken in until now; None: nothing."""
        if not self._matches:
            return None
        _, numbers = _sorted(self._matches)
        names, policies = _sorted(list(self._policies))
        columns = {name: np.array(column) for name, column in self._columns.items()}
        match = numbers[columns["match"]]
        rows = np.argsort(match, kind="stable")
        columns = {name: column[rows] for name, column in columns.items()}
        match = match[rows]
        begins = (np.diff(match, prepend=-1) != 0) | (np.diff(columns["number"], prepend=-1) != 0)
        return Table(
            names=tuple(names),
            match=match,
            episode=np.cumsum(begins) - 1,
            place=columns["place"].astype(np.int64),
            policy=policies[columns["policy"]],
            team=columns["team"].astype(np.int64),
            block=columns["block"].astype(np.int64),
            seats=columns["seats"],
            score=columns["score"],
        )


def _teams(lineup: Lineup) -> list[int]:
    """Number of each player's team."""
    teams = lineup.teams or (None,) * len(lineup.seats)
    number = {team: place for place, team in enumerate(sorted(set(teams), key=str))}
    return [number[team] for team in teams]


def _sorted(texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Texts in order, and the place in it of each as they came, int64."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    places = np.empty(len(texts), np.int64)
    places[order] = np.arange(len(texts))
    return [texts[k] for k in order], places
