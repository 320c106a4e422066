"""An OpenSkill rating beside the value: line-ups that play the same mission on the same seed are teams of a game."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metta.league.records import Lineup, Result

MOST_TEAMS = 8  # of a game


@dataclass
class _Game:
    """Teams without a member in common, with shares of the seats and scores."""

    policies: set[str] = field(default_factory=set)
    teams: list[tuple[dict[str, float], float]] = field(default_factory=list)

    def has_room(self, team: dict[str, float]) -> bool:
        return len(self.teams) < MOST_TEAMS and self.policies.isdisjoint(team)

    def add(self, team: dict[str, float], score: float) -> None:
        self.policies.update(team)
        self.teams.append((team, score))


def skills(results: Sequence[Result]) -> dict[str, float]:
    """mu − 3 sigma of every policy of the results, in their order: who has played no game has 0."""
    from openskill.models import PlackettLuce  # here because only who rates needs the extra `league`

    model = PlackettLuce()
    ratings: dict[str, Any] = {policy: model.rating() for result in results for policy in result.lineup.policies}
    for game in _games(results):
        before = [[ratings[policy] for policy in team] for team, _ in game.teams]
        weights = [list(team.values()) for team, _ in game.teams]
        after = model.rate(before, scores=[score for _, score in game.teams], weights=weights)
        for (team, _), members in zip(game.teams, after, strict=True):
            ratings.update(zip(team, members, strict=True))
    return {policy: rating.ordinal() for policy, rating in ratings.items()}


def _games(results: Sequence[Result]) -> list[_Game]:
    """Two teams of one match are a game; of the others, those on one seed, a policy once in each."""
    found: list[_Game] = []
    open_ones: defaultdict[tuple[str, int, int], list[_Game]] = defaultdict(list)
    for result in results:
        lineup = result.lineup
        for k, seeds in enumerate(zip(lineup.seeds, lineup.map_seeds, strict=True)):
            teams = _teams(lineup, [scores[k] for scores in result.scores])
            if len(teams) > 1:
                game = _Game()
                for team, score in teams:
                    if game.has_room(team):
                        game.add(team, score)
                found.append(game)
                continue
            (team, score), waiting = teams[0], open_ones[(lineup.mission, *seeds)]
            game = next((game for game in waiting if game.has_room(team)), None)
            if game is None:
                game = _Game()
                waiting.append(game)
                found.append(game)
            game.add(team, score)
            if len(game.teams) == MOST_TEAMS:
                waiting.remove(game)
    return [game for game in found if len(game.teams) > 1]


def _teams(lineup: Lineup, scores: Sequence[float]) -> list[tuple[dict[str, float], float]]:
    """Each team's policies with their shares of its seats, and its mean score."""
    members: defaultdict[str | None, list[int]] = defaultdict(list)
    for place, team in enumerate(lineup.teams or (None,) * len(lineup.seats)):
        members[team].append(place)
    teams = []
    for _, places in sorted(members.items(), key=str):
        seats = sum(lineup.seats[place] for place in places)
        shares: dict[str, float] = {}
        for place in places:
            policy = lineup.policies[place]
            shares[policy] = shares.get(policy, 0.0) + lineup.seats[place] / seats
        teams.append((shares, sum(scores[place] * lineup.seats[place] for place in places) / seats))
    return teams
