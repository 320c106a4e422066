"""An OpenSkill rating beside the value: line-ups that play the same mission on the same seed are teams of a game."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metta.league.rating.table import Table

MOST_TEAMS = 8  # of a game


@dataclass
class _Team:
    """Policies that play an episode together, with shares of the seats, and their mean score."""

    policies: list[int]
    shares: list[float]
    score: float


@dataclass
class _Game:
    """Teams without a member in common, by their numbers."""

    teams: list[int] = field(default_factory=list)
    policies: set[int] = field(default_factory=set)

    def has_room(self, policies: list[int]) -> bool:
        return len(self.teams) < MOST_TEAMS and self.policies.isdisjoint(policies)

    def add(self, number: int, policies: list[int]) -> None:
        self.teams.append(number)
        self.policies.update(policies)


class _Teams:
    """All teams of all episodes, in their order; those of an episode by their names."""

    def __init__(self, table: Table) -> None:
        most, count = int(table.team.max()) + 1, len(table.names)
        teams, number = np.unique(table.episode * most + table.team, return_inverse=True)
        sizes = np.bincount(number, table.seats)
        members, place = np.unique(number * count + table.policy, return_inverse=True)
        self._scores = np.bincount(number, table.seats * table.score) / sizes
        self._policies, self._shares = members % count, np.bincount(place, table.seats) / sizes[members // count]
        self._starts = np.searchsorted(members // count, np.arange(len(teams) + 1))
        self.episodes = teams // most

    def policies(self, number: int) -> list[int]:
        return self._policies[self._starts[number] : self._starts[number + 1]].tolist()

    def __getitem__(self, number: int) -> _Team:
        members = slice(self._starts[number], self._starts[number + 1])
        return _Team(self._policies[members].tolist(), self._shares[members].tolist(), float(self._scores[number]))


def skills(table: Table) -> list[float]:
    """mu − 3 sigma of every policy of a table; who has played no game has 0."""
    from openskill.models import PlackettLuce  # here because only who rates needs the extra `league`

    model, teams = PlackettLuce(), _Teams(table)
    ratings: list[Any] = [model.rating() for _ in table.names]
    for game in _games(table, teams):
        playing = [teams[number] for number in game]
        before = [[ratings[policy] for policy in team.policies] for team in playing]
        weights, scores = [team.shares for team in playing], [team.score for team in playing]
        after = model.rate(before, scores=scores, weights=weights)
        for team, members in zip(playing, after, strict=True):
            for policy, rating in zip(team.policies, members, strict=True):
                ratings[policy] = rating
    return [rating.ordinal() for rating in ratings]


def _games(table: Table, teams: _Teams) -> Iterator[list[int]]:
    """Two teams of one episode are a game; of the others, those on one seed, a policy once in each."""
    found: list[list[int]] = []
    waiting: defaultdict[int, list[_Game]] = defaultdict(list)
    several, blocks = (table.teams > 1).tolist(), table.block[table.starts].tolist()
    for number, episode in enumerate(teams.episodes.tolist()):
        policies, alone = teams.policies(number), several[episode]
        beside = waiting[-1 - episode if alone else blocks[episode]]  # games that it may join
        game = next((game for game in beside if game.has_room(policies)), None)
        if game is None:
            if alone and beside:
                continue  # a policy in two teams, or too many of them
            game = _Game()
            beside.append(game)
            found.append(game.teams)
        game.add(number, policies)
        if len(game.teams) == MOST_TEAMS and not alone:
            beside.remove(game)
    return (game for game in found if len(game) > 1)
